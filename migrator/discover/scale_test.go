package discover_test

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/quotas"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/internal/largetest"
	"github.com/aistudio/secrets/migrator/quota"
)

// Without the flag the estate is a tenth or less, which takes seconds.
var scale = flag.Bool("scale", false, "read an estate of 1,000 functions, 200 services and 5,000 parameters, which takes a minute or two")

// TestNoCallIsOverAQuota reads an estate with AWS's own quotas switched on.
func TestNoCallIsOverAQuota(t *testing.T) {
	size := largetest.Size{Functions: 90, Services: 20, Parameters: 300}
	if *scale {
		size = largetest.Peers
	}
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	largetest.Make(t, cloud, size)

	cloud.Quotas.Set(quotas.AWS()...)
	began := time.Now()
	estate, err := discover.Read(t.Context(), quota.Apply(cloud.Config(largetest.Region), quota.AWS()), nil)
	require.NoError(t, err)
	t.Logf("%d functions, %d services, %d task definitions, %d scheduled tasks, %d parameters read in %s",
		len(estate.Functions), len(estate.Services), len(estate.TaskDefinitions), len(estate.ScheduledTasks), len(estate.Parameters), time.Since(began).Round(100*time.Millisecond))
	assert.Empty(t, cloud.Quotas.Throttled())
	assert.Empty(t, estate.Unread)
	assert.Len(t, estate.Functions, size.Functions)
	assert.Len(t, estate.Services, size.Services)
	assert.Len(t, estate.TaskDefinitions, 2*size.Services)
	assert.Len(t, estate.ScheduledTasks, size.Services/10)
	assert.Len(t, estate.Parameters, size.Parameters)
	assert.Len(t, estate.Functions[0].Aliases, 1)
}
