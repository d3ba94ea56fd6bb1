package apikey_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/rotators/apikey"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

var seed = &spec.SeedRequest{Step: spec.StepSeed, SecretID: "aistudio/dev/orders/partner-key"}

func generate(t require.TestingT, prefix string, r rotation.GenerateRequest) spec.APIKey {
	target, err := apikey.NewGenerated(prefix)
	require.NoError(t, err)
	response, err := target.Generate(context.Background(), r)
	require.NoError(t, err)
	_, err = target.Verify(context.Background(), rotation.VerifyRequest{Pending: response.Value})
	require.NoError(t, err)
	key, err := spec.ParseAPIKey(response.Value)
	require.NoError(t, err)
	return key
}

func TestGeneratedKeysHaveAPrefixAndAChecksum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.StringMatching(`[a-z][a-z0-9_]{0,31}`).Draw(t, "prefix")
		key := generate(t, prefix, rotation.GenerateRequest{Seed: seed}).Key
		text := key.RevealString()
		require.True(t, strings.HasPrefix(text, prefix+"_"))
		require.Len(t, text, len(prefix)+1+43+6)

		at := rapid.IntRange(0, len(text)-1).Draw(t, "changed")
		other := rapid.SampledFrom([]byte("abcXYZ019_-")).Draw(t, "to")
		changed := []byte(text)
		if changed[at] == other {
			return
		}
		changed[at] = other
		require.Error(t, apikey.Check(spec.NewValue(changed)))
		require.Error(t, apikey.Check(spec.ValueString(text[:at])))
	})
}

func TestGeneratedKeysKeepTheRestOfTheValue(t *testing.T) {
	current := spec.ValueString(`{"id": "partner-a", "key": "old", "note": "kept"}`)
	target, err := apikey.NewGenerated("")
	require.NoError(t, err)
	response, err := target.Generate(t.Context(), rotation.GenerateRequest{Current: current})
	require.NoError(t, err)
	assert.Contains(t, response.Value.RevealString(), `"note":"kept"`)
	key, err := spec.ParseAPIKey(response.Value)
	require.NoError(t, err)
	assert.Equal(t, "partner-a", key.ID)
	assert.True(t, strings.HasPrefix(key.Key.RevealString(), apikey.DefaultPrefix+"_"))

	response, err = target.Generate(t.Context(), rotation.GenerateRequest{Current: spec.ValueString("a key and nothing else")})
	require.NoError(t, err)
	assert.NoError(t, apikey.Check(response.Value), "a plain key stays a plain one")
}

func TestGeneratedRefusesWhatItIsNotFor(t *testing.T) {
	for _, prefix := range []string{"Upper", "with-dash", "_first", strings.Repeat("a", 33)} {
		_, err := apikey.NewGenerated(prefix)
		assert.ErrorContains(t, err, "lower-case", prefix)
	}
	target, err := apikey.NewGenerated("")
	require.NoError(t, err)
	_, err = target.Generate(t.Context(), rotation.GenerateRequest{Seed: &spec.SeedRequest{Database: &spec.DatabaseSeed{}}})
	require.ErrorIs(t, err, rotation.ErrDefinite)
	_, err = target.Generate(t.Context(), rotation.GenerateRequest{Current: spec.ValueString(`{"canary`)})
	require.ErrorIs(t, err, rotation.ErrDefinite)
	assert.NotContains(t, err.Error(), "canary")
	_, err = target.Verify(t.Context(), rotation.VerifyRequest{Pending: spec.ValueString("canary")})
	require.ErrorIs(t, err, rotation.ErrDefinite)
	assert.NotContains(t, err.Error(), "canary")
}
