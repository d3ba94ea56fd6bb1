package rotation_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/sdk/spec"
)

func (f *fixture) verify(t *testing.T, version string) (*spec.VerifyResult, error) {
	t.Helper()
	event, err := json.Marshal(spec.VerifyRequest{Step: spec.StepVerify, SecretID: name, VersionID: version})
	require.NoError(t, err)
	answer, err := f.rotator.Serve(t.Context(), event)
	if err != nil {
		f.failures = append(f.failures, err)
		return nil, err
	}
	return answer.(*spec.VerifyResult), nil
}

func TestAVersionIsVerified(t *testing.T) {
	f := seeded(t)
	previous := f.manager.labelled("AWSCURRENT")
	require.NoError(t, f.manager.startRotation(token(1)))
	require.NoError(t, f.rotate(t.Context(), token(1), awsSteps))
	off := false
	f.manager.enabled = &off // an incident

	result, err := f.verify(t, previous)
	require.NoError(t, err)
	assert.Equal(t, &spec.VerifyResult{SecretID: arn, VersionID: previous, Verified: true}, result)

	f.system.accepted = nil
	result, err = f.verify(t, previous)
	require.NoError(t, err)
	assert.False(t, result.Verified)
	assert.Contains(t, result.Reason, "the system refuses the value")
	assert.Equal(t, token(1), f.manager.labelled("AWSCURRENT"), "a version was moved")
	f.noCanary(t)
}

func TestWhatCannotBeTriedFails(t *testing.T) {
	f := seeded(t)
	_, err := f.verify(t, token(7))
	require.ErrorContains(t, err, "no version "+token(7))
	_, err = f.verify(t, "")
	require.ErrorContains(t, err, "VersionId is missing")
	f.manager.intercept = func(string) error { return errors.New("no network") }
	_, err = f.verify(t, token(7))
	require.ErrorContains(t, err, "no network")
}

// Everything else is Handle's.
func TestServeRunsTheSteps(t *testing.T) {
	f := unseeded()
	answer, err := f.rotator.Serve(t.Context(), json.RawMessage(`{"Step":"seedSecret","SecretId":"`+name+`"}`))
	require.NoError(t, err)
	assert.True(t, answer.(*spec.SeedResult).Seeded)
	for _, event := range []string{`{"Step":"no"}`, `[`, `{"Step":1}`} {
		_, err = f.rotator.Serve(t.Context(), json.RawMessage(event))
		require.Error(t, err)
	}
}
