package main

import (
	"encoding/json"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/rotators/function"
	"github.com/aistudio/secrets/sdk/spec"
)

// The variables are read, and what they make seeds a secret in the local cloud.
func TestTheWiringSeedsAValue(t *testing.T) {
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	config := cloud.Config("us-east-1")
	credentials, err := config.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	for name, value := range map[string]string{
		"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": aws.ToString(config.BaseEndpoint),
		"AWS_ACCESS_KEY_ID": credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY": credentials.SecretAccessKey, "AWS_SESSION_TOKEN": credentials.SessionToken,
		spec.EnvPasswordOptions: `{"PasswordLength":50}`, spec.EnvWebhook: "", spec.EnvApplier: "", spec.EnvFeedTable: "", spec.EnvLogLevel: "error",
	} {
		t.Setenv(name, value)
	}
	client := secretsmanager.NewFromConfig(config)
	name := aws.String("aistudio/dev/shop/token")
	_, err = client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: name})
	require.NoError(t, err)

	rotator, err := function.New(t.Context(), spec.KindCustom, wire)
	require.NoError(t, err)
	event, err := json.Marshal(spec.SeedRequest{Step: spec.StepSeed, SecretID: *name})
	require.NoError(t, err)
	result, err := rotator.Handle(t.Context(), event)
	require.NoError(t, err)
	assert.True(t, result.Seeded)
	output, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: name})
	require.NoError(t, err)
	assert.Equal(t, 50, len(*output.SecretString))

	t.Setenv(spec.EnvWebhook, "{}")
	_, err = function.New(t.Context(), spec.KindCustom, wire)
	require.ErrorContains(t, err, spec.EnvWebhook)
	t.Setenv(spec.EnvApplier, "arn:aws:lambda:us-east-1:123456789012:function:gate")
	_, err = function.New(t.Context(), spec.KindCustom, wire)
	require.ErrorContains(t, err, "leave one out")
	t.Setenv(spec.EnvWebhook, "")
	_, err = function.New(t.Context(), spec.KindCustom, wire)
	require.NoError(t, err)
	t.Setenv(spec.EnvLogLevel, "loud")
	_, err = function.New(t.Context(), spec.KindCustom, wire)
	require.ErrorContains(t, err, spec.EnvLogLevel)
}
