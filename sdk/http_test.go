package secrets_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/secretstest"
)

// serve speaks the JSON 1.1 protocol of Secrets Manager for a store, so that
// the AWS SDK is a part of the test.
func serve(t *testing.T, store *secretstest.Store) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		region := strings.Split(r.Header.Get("Authorization"), "/")[2]
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		switch r.Header.Get("X-Amz-Target") {
		case "secretsmanager.GetSecretValue":
			var in secretsmanager.GetSecretValueInput
			assert.NoError(t, json.Unmarshal(body, &in))
			out, err := store.API(region).GetSecretValue(r.Context(), &in)
			var known smithy.APIError
			switch {
			case err == nil:
				answer := map[string]any{
					"ARN": out.ARN, "Name": out.Name, "VersionId": out.VersionId, "VersionStages": out.VersionStages,
					"CreatedDate": float64(out.CreatedDate.UnixMilli()) / 1000,
				}
				if out.SecretString != nil {
					answer["SecretString"] = out.SecretString
				} else {
					answer["SecretBinary"] = out.SecretBinary
				}
				assert.NoError(t, json.NewEncoder(w).Encode(answer))
			case assert.ErrorAs(t, err, &known):
				w.WriteHeader(http.StatusBadRequest)
				assert.NoError(t, json.NewEncoder(w).Encode(map[string]string{"__type": known.ErrorCode(), "message": known.ErrorMessage()}))
			}
		default:
			t.Errorf("unexpected call of %s", r.Header.Get("X-Amz-Target"))
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func TestReadsThroughTheAWSSDK(t *testing.T) {
	store := secretstest.New()
	store.Put("acme/dev/shop/db", `{"username":"shop","password":"one"}`)
	store.PutBinary("acme/dev/shop/bin", []byte{0, 1, 0xff})
	server := serve(t, store)
	config := aws.Config{
		Region:       "eu-west-1",
		BaseEndpoint: &server.URL,
		Credentials:  credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "example", ""),
	}
	client, err := secrets.New(t.Context(), secrets.WithConfig(config))
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	checkReads(t, client, "eu-west-1")
	assert.Equal(t, 2, store.CallsTo("eu-west-1", "acme/dev/shop/db")+store.CallsTo("eu-west-1", "acme/dev/shop/bin"))
}

func TestReadsWithTheStandardEnvironment(t *testing.T) {
	store := secretstest.New()
	store.Put("acme/dev/shop/db", `{"username":"shop","password":"one"}`)
	store.PutBinary("acme/dev/shop/bin", []byte{0, 1, 0xff})
	t.Setenv("AWS_ENDPOINT_URL", serve(t, store).URL)
	t.Setenv("AWS_REGION", "us-west-2")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "example")
	client, err := secrets.New(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	checkReads(t, client, "us-west-2")
}

func checkReads(t *testing.T, client *secrets.Client, region string) {
	t.Helper()
	for range 2 {
		secret, err := client.Get(t.Context(), "acme/dev/shop/db")
		require.NoError(t, err)
		assert.JSONEq(t, `{"username":"shop","password":"one"}`, secret.Value.RevealString())
		assert.Equal(t, "acme/dev/shop/db", secret.Name)
		assert.Contains(t, secret.ARN, ":"+region+":")
		assert.Equal(t, region, secret.Region)
		assert.Equal(t, []string{secrets.StageCurrent}, secret.Stages())
		assert.False(t, secret.CreatedAt.IsZero())

		binary, err := client.GetBytes(t.Context(), "acme/dev/shop/bin")
		require.NoError(t, err)
		assert.Equal(t, []byte{0, 1, 0xff}, binary)
	}
	_, err := client.Get(t.Context(), "acme/dev/shop/none")
	require.ErrorIs(t, err, secrets.ErrNotFound)
	assert.ErrorContains(t, err, `read secret "acme/dev/shop/none"`)
}

func TestDoSurvivesARotation(t *testing.T) {
	store := secretstest.New()
	store.Put("acme/dev/shop/db", "one")
	client := store.Client(t)
	accepted := "one"
	tries := 0
	login := func(_ context.Context, secret secrets.Secret) error {
		tries++
		if secret.Value.RevealString() != accepted {
			return secrets.Refused(io.ErrUnexpectedEOF)
		}
		return nil
	}
	require.NoError(t, client.Do(t.Context(), "acme/dev/shop/db", login))
	store.Put("acme/dev/shop/db", "two")
	accepted = "two"
	require.NoError(t, client.Do(t.Context(), "acme/dev/shop/db", login))
	assert.Equal(t, 3, tries)
	assert.Equal(t, 2, store.Calls())

	accepted = "three"
	err := client.Do(t.Context(), "acme/dev/shop/db", login)
	require.ErrorIs(t, err, secrets.ErrRefused)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, 4, tries)
}
