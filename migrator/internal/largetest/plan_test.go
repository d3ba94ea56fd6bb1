package largetest_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/quotas"
	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/internal/largetest"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/quota"
	"github.com/aistudio/secrets/migrator/settings"
)

// Without the flag the estate is a tenth or less, which takes seconds.
var scale = flag.Bool("scale", false, "plan for an estate of 1,000 functions, 200 services and 5,000 parameters, which takes a minute or two")

const stackFile = `config:
  aws:region: us-east-1
  aistudio-secrets:settings: {organization: acme, environment: dev, owner: platform}
`

// TestAPlanKeepsToTheQuotas plans from beginning to end, as migrate plan does,
// with AWS's own quotas switched on.
func TestAPlanKeepsToTheQuotas(t *testing.T) {
	size := largetest.Size{Functions: 90, Services: 20, Parameters: 300}
	if *scale {
		size = largetest.Peers
	}
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	largetest.Make(t, cloud, size)
	file := filepath.Join(t.TempDir(), "Pulumi.dev.yaml")
	require.NoError(t, os.WriteFile(file, []byte(stackFile), 0o600))
	set, err := settings.Read("dev", file, "")
	require.NoError(t, err)
	classifier, err := classify.New(set.Classify)
	require.NoError(t, err)

	cloud.Quotas.Set(quotas.AWS()...)
	config, key, began := quota.Apply(cloud.Config(largetest.Region), quota.AWS()), digest.New(), time.Now()
	estate, err := discover.Read(t.Context(), config, nil)
	require.NoError(t, err)
	read := time.Since(began)
	draft, err := plan.Make(set, estate, classifier, key, plan.Facts{})
	require.NoError(t, err)
	facts, err := plan.ReadFacts(t.Context(), config, draft, estate, key, nil)
	require.NoError(t, err)
	made, err := plan.Make(set, estate, classifier, key, facts)
	require.NoError(t, err)
	t.Logf("%d functions, %d services, %d parameters: a plan of %d secrets and %d services in %s, of which the estate took %s",
		size.Functions, size.Services, size.Parameters, len(made.Secrets), len(made.Services), time.Since(began).Round(100*time.Millisecond), read.Round(100*time.Millisecond))
	assert.Empty(t, cloud.Quotas.Throttled())
	assert.NotEmpty(t, made.Secrets)
}
