package spec_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/sdk/spec"
)

func TestVerifyRequest(t *testing.T) {
	request := spec.VerifyRequest{Step: spec.StepVerify, SecretID: "a", VersionID: "b"}
	require.NoError(t, request.Validate())
	text, err := json.Marshal(request)
	require.NoError(t, err)
	assert.JSONEq(t, `{"Step":"verifySecret","SecretId":"a","VersionId":"b"}`, string(text))
	text, err = json.Marshal(spec.VerifyResult{SecretID: "a", VersionID: "b", Verified: true})
	require.NoError(t, err)
	assert.JSONEq(t, `{"SecretId":"a","VersionId":"b","Verified":true}`, string(text))

	err = spec.VerifyRequest{Step: spec.StepSeed}.Validate()
	for _, part := range []string{"verify request", `"seedSecret"`, "SecretId is missing", "VersionId is missing"} {
		assert.ErrorContains(t, err, part)
	}
}
