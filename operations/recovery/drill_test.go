package recovery_test

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/operations/internal/recoverytest"
	"github.com/aistudio/secrets/operations/recovery"
)

// estate is an Estate that isn't held back by quotas.
func estate(t *testing.T, w *recoverytest.World, change ...func(*recovery.Options)) *recovery.Estate {
	t.Helper()
	o := recovery.Options{
		Stack: w.Stack, AWS: w.Config(), Record: filepath.Join(t.TempDir(), "record.json"),
		QuotaShare: 100, Poll: 20 * time.Millisecond,
	}
	for _, c := range change {
		c(&o)
	}
	e, err := recovery.New(o)
	require.NoError(t, err)
	return e
}

func TestDrillOf500Secrets(t *testing.T) {
	w := recoverytest.New(t, 500)
	before := w.Facts()
	e := estate(t, w)
	drill, err := e.PlanDrill(t.Context(), recovery.DrillOptions{Rotate: recovery.RotateNone})
	require.NoError(t, err)
	require.Empty(t, drill.Blocked)
	report, err := drill.Run(t.Context(), false)
	require.NoError(t, err)
	var page bytes.Buffer
	require.NoError(t, report.WriteMarkdown(&page))
	t.Log(page.String())

	assert.True(t, report.Passed)
	assert.Empty(t, report.Failures)
	assert.Equal(t, 500, report.Compared)
	assert.Equal(t, 250, report.Readers.ByService)
	assert.Equal(t, 500, report.Failover.Failover, "every read while it was dark was answered by the DR region")
	assert.Equal(t, 500, report.Recovered.Promoted)
	assert.Equal(t, 1000, report.Recovered.Versions)
	assert.Zero(t, report.Recovered.LostInFailover)
	assert.Zero(t, report.Recovered.LostInFailback)
	require.NoError(t, w.Cloud.Settle(t.Context()))
	assert.Equal(t, before, w.Facts(), "all is as it was")
	assert.Empty(t, w.Cloud.Unsupported())
	assert.NotContains(t, page.String(), recoverytest.Canary)
}
