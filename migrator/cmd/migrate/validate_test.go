package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/validate"
	"github.com/aistudio/secrets/sdk/spec"
)

// watched is a migration of one ECS service and one function.
func watched(t *testing.T) *world {
	w := newWorld(t)
	w.small()
	w.want(exitDone, nil, "plan", stack)
	w.want(exitDone, nil, "apply", stack, "--yes")
	require.NoError(t, w.used())
	for _, function := range []string{"orders", "billing"} {
		w.counts(function, spec.MetricDualReadNew) // their own count is of the first minute
	}
	return w
}

// Whoever watches waits until the soak time is over, and no longer.
func TestValidateWaits(t *testing.T) {
	w := watched(t)
	begin := w.cloud.Clock().Now()
	code, stdout, stderr := w.migrate("validate", stack, "--soak", "2h", "--every", "10m", "--wait")
	require.Equal(t, exitDone, code, stdout+stderr)
	assert.Contains(t, stdout, "The migration is valid")
	assert.Contains(t, stderr, "The soak ends at")
	assert.InDelta(t, 2, w.cloud.Clock().Now().Sub(begin).Hours(), 0.3)
	report, err := validate.Load(w.folder())
	require.NoError(t, err)
	assert.True(t, report.Valid())
}

// A fallback ends it at once.
func TestValidateWaitsForNoFailure(t *testing.T) {
	w := watched(t)
	w.counts("orders", spec.MetricDualReadOld)
	w.advance(minute)
	begin := w.cloud.Clock().Now()
	code, stdout, _ := w.migrate("validate", stack, "--soak", "2h", "--wait")
	assert.Equal(t, exitFindings, code)
	assert.Contains(t, stdout, "FAIL  soaked lambda/orders")
	assert.Less(t, w.cloud.Clock().Now().Sub(begin), minute)
}

// What stays unknown ends it too, an hour after the soak time.
func TestValidateDoesNotWaitForEver(t *testing.T) {
	w := newWorld(t)
	w.small()
	w.want(exitDone, nil, "plan", stack)
	w.want(exitDone, nil, "apply", stack, "--yes")
	code, stdout, stderr := w.migrate("validate", stack, "--soak", "1h", "--every", "20m", "--wait")
	assert.Equal(t, exitFindings, code, stderr)
	assert.Contains(t, stdout, "the service has sent no counter")
}
