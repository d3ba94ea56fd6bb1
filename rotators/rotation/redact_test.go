package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/emf"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// careless breaks the contract: its errors show the value.
type careless struct{ *system }

var errCareless = errors.New("refused")

func (c *careless) Apply(_ context.Context, request rotation.ApplyRequest) (rotation.ApplyResponse, error) {
	return rotation.ApplyResponse{}, fmt.Errorf("%w: login with %q", errCareless, request.Pending.RevealString())
}

func TestErrorsOfACarelessTargetShowNoValue(t *testing.T) {
	f := seeded(t)
	f.use(&careless{f.system}, nil)
	require.NoError(t, f.manager.startRotation(token(1)))
	require.NoError(t, f.step(t.Context(), "createSecret", token(1)))
	err := f.step(t.Context(), "setSecret", token(1))
	require.ErrorIs(t, err, errCareless)
	assert.Contains(t, err.Error(), "[redacted]")
	f.noCanary(t)
}

func TestEachStepIsMeasured(t *testing.T) {
	f := seeded(t)
	var out strings.Builder
	f.use(&careless{f.system}, emf.New(&out, spec.MetricNamespace))
	require.NoError(t, f.manager.startRotation(token(1)))
	require.NoError(t, f.step(t.Context(), "createSecret", token(1)))
	require.Error(t, f.step(t.Context(), "setSecret", token(1)))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 2)
	assert.Regexp(t, `"Kind":"custom","RotationStepDuration":[0-9.]+,"RotationStepErrors":0,"Step":"createSecret"`, lines[0])
	assert.Regexp(t, `"RotationStepErrors":1,"Step":"setSecret"`, lines[1])
	assert.NotContains(t, out.String(), "canary")
}
