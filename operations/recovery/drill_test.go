package recovery_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/operations/internal/recoverytest"
	"github.com/aistudio/secrets/operations/recovery"
)

// estate is an Estate that isn't held back by quotas, nor takes a slow machine for
// a lost region.
func estate(t *testing.T, w *recoverytest.World, change ...func(*recovery.Options)) *recovery.Estate {
	t.Helper()
	o := recovery.Options{
		Stack: w.Stack, AWS: w.Config(), Record: filepath.Join(t.TempDir(), "record.json"),
		QuotaShare: 100, Poll: 20 * time.Millisecond, Silence: time.Minute,
	}
	for _, c := range change {
		c(&o)
	}
	e, err := recovery.New(o)
	require.NoError(t, err)
	return e
}

// The numbers in docs/disaster-recovery.md are of this test under AWS's quotas, of
// which RECOVERY_QUOTA_SHARE says how much may be used. Without it there are none:
// under them the way back takes most of a minute.
func TestDrillOf500Secrets(t *testing.T) {
	if testing.Short() {
		t.Skip("many secrets")
	}
	w := recoverytest.New(t, 500)
	before := w.Facts()
	e := estate(t, w, func(o *recovery.Options) {
		if text := os.Getenv("RECOVERY_QUOTA_SHARE"); text != "" {
			share, err := strconv.ParseFloat(text, 64)
			require.NoError(t, err)
			o.QuotaShare = share
		}
	})
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

// What is rotated in the DR region, by the real program, is what the primary
// region has after the failback.
func TestRotatedInTheDRRegion(t *testing.T) {
	w := recoverytest.New(t, 20)
	drill, err := estate(t, w).PlanDrill(t.Context(), recovery.DrillOptions{Rotate: recovery.RotateAll})
	require.NoError(t, err)
	first, second := w.Names[0], w.Names[10]
	was := w.Version(recoverytest.Home, first, "AWSCURRENT")
	report, err := drill.Run(t.Context(), false)
	require.NoError(t, err)
	require.True(t, report.Passed, "%+v", report.Failures)
	assert.Equal(t, 2, report.Recovered.Rotated)
	require.NoError(t, w.Cloud.Settle(t.Context()))
	for _, region := range []string{recoverytest.Home, recoverytest.Standby} {
		assert.Equal(t, was, w.Version(region, first, "AWSPREVIOUS"), "the version before the drill is the previous one")
	}
	rotated := w.Version(recoverytest.Home, first, "AWSCURRENT")
	assert.NotEqual(t, was, rotated)
	assert.Equal(t, rotated, w.Version(recoverytest.Standby, first, "AWSCURRENT"))
	assert.Equal(t, w.Value(recoverytest.Standby, second), w.Value(recoverytest.Home, second))
	assert.NotContains(t, w.Value(recoverytest.Home, second), recoverytest.Canary, "it is the rotation function's")

	// The rotations of the primary region work again.
	require.NoError(t, w.Cloud.Advance(t.Context(), 31*24*time.Hour))
	assert.Equal(t, rotated, w.Version(recoverytest.Home, first, "AWSPREVIOUS"))
}

// On AWS a drill changes nothing unless it is for real.
func TestDrillThatChangesNothing(t *testing.T) {
	w := recoverytest.New(t, 20)
	before := w.Facts()
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_localcloud/") { // AWS has no such thing
			http.NotFound(rw, r)
			return
		}
		target, _ := url.Parse(w.Cloud.URL())
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target); p.Out.Host = p.In.Host }}).ServeHTTP(rw, r)
	}))
	t.Cleanup(proxy.Close)
	e := estate(t, w, func(o *recovery.Options) { o.AWS.BaseEndpoint = &proxy.URL })
	drill, err := e.PlanDrill(t.Context(), recovery.DrillOptions{})
	require.NoError(t, err)
	report, err := drill.Run(t.Context(), false)
	require.NoError(t, err)
	require.True(t, report.Passed, "%+v", report.Failures)
	assert.Nil(t, report.Recovered)
	t.Logf("while the primary endpoint never answers: %+v", report.Failover)
	assert.False(t, report.LocalCloud)
	assert.Equal(t, 20, report.Failover.Failover, "the primary endpoint never answers")
	assert.Equal(t, 10, report.Readers.ByService)
	assert.Equal(t, 10, report.Readers.ByOperator)
	assert.Equal(t, 10, report.Readers.Simulated)
	assert.Equal(t, []string{"roles that can't be taken on, AccessDenied: arn:aws:iam::123456789012:role/acme-prod-svc01-reader"}, report.Readers.Why)
	assert.Equal(t, before, w.Facts())

	drill, err = e.PlanDrill(t.Context(), recovery.DrillOptions{ForReal: true})
	require.NoError(t, err)
	report, err = drill.Run(t.Context(), false)
	require.NoError(t, err)
	require.True(t, report.Passed, "%+v", report.Failures)
	assert.Equal(t, 20, report.Recovered.Promoted)
	assert.Equal(t, 1, report.Recovered.Rotated, "one of each function")
}

// A service that couldn't read in the DR region fails the drill, whether its role
// can be taken on (svc00) or IAM is asked (svc01).
func TestReadersWithoutRights(t *testing.T) {
	w := recoverytest.New(t, 20)
	w.Deny("svc00")
	w.Deny("svc01")
	drill, err := estate(t, w).PlanDrill(t.Context(), recovery.DrillOptions{Rotate: recovery.RotateNone})
	require.NoError(t, err)
	report, err := drill.Run(t.Context(), false)
	require.NoError(t, err)
	assert.False(t, report.Passed)
	problems := map[string]int{}
	for _, f := range report.Failures {
		problems[f.Step+": "+f.Problem]++
	}
	assert.Equal(t, 10, problems["ask IAM about readers: arn:aws:iam::123456789012:role/acme-prod-svc01-reader may not read it in us-west-2 by its own policies: implicitDeny"])
	assert.Positive(t, report.Direct.Failed)
	assert.Zero(t, report.Readers.Simulated)
}

// A rotation that fails in the DR region fails the drill, and leaves nothing that
// blocks the rotations of the primary region.
func TestRotationFailsInTheDRRegion(t *testing.T) {
	w := recoverytest.New(t, 10)
	before := w.Facts()
	w.Break(recoverytest.Standby)
	drill, err := estate(t, w, func(o *recovery.Options) { o.Patience = 15 * time.Second }).PlanDrill(t.Context(), recovery.DrillOptions{Rotate: recovery.RotateAll})
	require.NoError(t, err)
	report, err := drill.Run(t.Context(), false)
	require.NoError(t, err)
	assert.False(t, report.Passed)
	require.NotEmpty(t, report.Failures)
	for _, f := range report.Failures {
		assert.Equal(t, w.Names[0], f.Secret)
		assert.Contains(t, f.Step, "rotate in us-west-2")
	}
	require.NoError(t, w.Cloud.Settle(t.Context()))
	after := w.Facts()
	assert.Equal(t, before, after)
	require.NoError(t, w.Cloud.Advance(t.Context(), 31*24*time.Hour))
	assert.Equal(t, before["us-east-1 "+w.Names[0]]["versions"].(map[string]string)[w.Version(recoverytest.Home, w.Names[0], "AWSPREVIOUS")], "AWSCURRENT", "it rotates again")
}
