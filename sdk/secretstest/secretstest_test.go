package secretstest_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/secretstest"
)

const name = "acme/dev/shop/db"

func get(t *testing.T, store *secretstest.Store, in secretsmanager.GetSecretValueInput) (*secretsmanager.GetSecretValueOutput, error) {
	t.Helper()
	return store.API(secretstest.Region).GetSecretValue(t.Context(), &in)
}

func TestTheStoreAnswersAsSecretsManagerDoes(t *testing.T) {
	store := secretstest.New()
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	store.SetClock(func() time.Time { return created })
	first := store.Put(name, "one")
	second := store.Put(name, "two")
	third := store.PutStage(name, "three", secrets.StagePending)
	for label, c := range map[string]struct {
		in      secretsmanager.GetSecretValueInput
		version string
		stages  []string
	}{
		"name":      {secretsmanager.GetSecretValueInput{}, second, []string{"AWSCURRENT"}},
		"stage":     {secretsmanager.GetSecretValueInput{VersionStage: aws.String("AWSPREVIOUS")}, first, []string{"AWSPREVIOUS"}},
		"pending":   {secretsmanager.GetSecretValueInput{VersionStage: aws.String("AWSPENDING")}, third, []string{"AWSPENDING"}},
		"version":   {secretsmanager.GetSecretValueInput{VersionId: &first}, first, []string{"AWSPREVIOUS"}},
		"both":      {secretsmanager.GetSecretValueInput{VersionId: &second, VersionStage: aws.String("AWSCURRENT")}, second, []string{"AWSCURRENT"}},
		"both, not": {secretsmanager.GetSecretValueInput{VersionId: &first, VersionStage: aws.String("AWSCURRENT")}, "", nil},
		"no stage":  {secretsmanager.GetSecretValueInput{VersionStage: aws.String("MINE")}, "", nil},
	} {
		for _, id := range []string{name, secretstest.ARN(name), secretstest.ARN(name)[:len(secretstest.ARN(name))-7]} {
			in := c.in
			in.SecretId = &id
			out, err := get(t, store, in)
			if c.version == "" {
				var notFound *types.ResourceNotFoundException
				require.ErrorAs(t, err, &notFound, label)
				continue
			}
			require.NoError(t, err, label)
			assert.Equal(t, c.version, *out.VersionId, label)
			assert.Equal(t, c.stages, out.VersionStages, label)
			assert.Equal(t, name, *out.Name)
			assert.Equal(t, secretstest.ARN(name), *out.ARN)
			assert.Equal(t, created, *out.CreatedDate)
		}
	}

	store.Delete(name)
	store.Delete("none")
	_, err := get(t, store, secretsmanager.GetSecretValueInput{SecretId: aws.String(name)})
	var deleted *types.InvalidRequestException
	require.ErrorAs(t, err, &deleted)
	store.Put(name, "four")
	out, err := get(t, store, secretsmanager.GetSecretValueInput{SecretId: aws.String(name)})
	require.NoError(t, err)
	assert.Equal(t, "four", *out.SecretString)
}

func TestABatchTellsWhatIsMissing(t *testing.T) {
	store := secretstest.New()
	store.Put(name, "one")
	api := store.API(secretstest.Region)
	out, err := api.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{name, "none"}})
	require.NoError(t, err)
	require.Len(t, out.SecretValues, 1)
	assert.Equal(t, "one", *out.SecretValues[0].SecretString)
	require.Len(t, out.Errors, 1)
	assert.Equal(t, "ResourceNotFoundException", *out.Errors[0].ErrorCode)
	assert.Equal(t, 2, store.Calls())
	_, err = api.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: make([]string, 21)})
	var invalid *types.InvalidParameterException
	require.ErrorAs(t, err, &invalid)
}
