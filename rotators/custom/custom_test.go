package custom_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/custom"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

func TestValuesAreMadeAsTheOptionsSay(t *testing.T) {
	seed := &spec.SeedRequest{Step: spec.StepSeed, SecretID: "aistudio/dev/orders/token"}
	generate := func(text string, r rotation.GenerateRequest) string {
		target, err := custom.Configure(custom.Config{Options: text}, nil, nil)
		require.NoError(t, err)
		response, err := target.Generate(t.Context(), r)
		require.NoError(t, err)
		return response.Value.RevealString()
	}
	assert.Len(t, generate("", rotation.GenerateRequest{Seed: seed}), 32)
	assert.Regexp(t, `^[2-9]{64}$`, generate(`{"PasswordLength":64,"ExcludeCharacters":"01","ExcludeLowercase":true,"ExcludeUppercase":true,"ExcludePunctuation":true}`, rotation.GenerateRequest{Seed: seed}))
	assert.Len(t, generate(`{"PasswordLength":1,"RequireEachIncludedType":false}`, rotation.GenerateRequest{Seed: seed}), 1)

	member := `{"ExcludePunctuation":true,"SecretStringTemplate":"{\"user\":\"a<b\"}","GenerateStringKey":"password"}`
	assert.Regexp(t, `^{"password":"[A-Za-z0-9]{32}","user":"a<b"}$`, generate(member, rotation.GenerateRequest{Seed: seed}))
	assert.Regexp(t, `^{"n":1.0,"password":"[A-Za-z0-9]{32}"}$`, generate(member, rotation.GenerateRequest{Current: spec.ValueString(`{"password":"old","n":1.0}`)}))

	target, err := custom.Configure(custom.Config{Options: member}, nil, nil)
	require.NoError(t, err)
	for _, bad := range []string{"canary", `["canary"]`, "null"} {
		_, err = target.Generate(t.Context(), rotation.GenerateRequest{Current: spec.ValueString(bad)})
		require.ErrorIs(t, err, rotation.ErrDefinite)
		assert.NotContains(t, err.Error(), "canary")
	}
	_, err = target.Generate(t.Context(), rotation.GenerateRequest{Seed: &spec.SeedRequest{Database: &spec.DatabaseSeed{}}})
	require.ErrorIs(t, err, rotation.ErrDefinite)
}

func TestAConfigurationThatCanNotWorkIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"PasswordLenght":1}`:                                        "unknown field",
		`{"PasswordLength":4097}`:                                     "use 1 to 4096",
		`{"GenerateStringKey":"password"}`:                            "go together",
		`{"SecretStringTemplate":"x","GenerateStringKey":"password"}`: "isn't a JSON object",
	} {
		_, err := custom.Configure(custom.Config{Options: text}, nil, nil)
		assert.ErrorContains(t, err, want)
	}
	for text, want := range map[string]string{
		`{"url":"http://gate.example","secret":"k"}`:                 "https://",
		`{"url":"https://gate.example"}`:                             "signing key",
		`{"url":"https://gate.example","secret":"k","timeout":"0s"}`: "above 0",
		`{"uri":""}`: "unknown field",
	} {
		_, err := custom.Configure(custom.Config{Webhook: text}, nil, nil)
		assert.ErrorContains(t, err, want)
	}
}

// keys is Secrets Manager with the signing key.
type keys struct{}

func (keys) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	return &secretsmanager.GetSecretValueOutput{SecretString: aws.String("canary-signing-key")}, nil
}

func newTarget(t *testing.T, handler http.HandlerFunc) *custom.Target {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	target, err := custom.Configure(custom.Config{Webhook: `{"url":"` + server.URL + `?token=canary-url","secret":"webhook-key","timeout":"1m"}`}, keys{}, nil)
	require.NoError(t, err)
	return target
}

var (
	apply  = rotation.ApplyRequest{SecretARN: "arn", Token: "t", Pending: spec.ValueString("canary-new"), Current: spec.ValueString("canary-old")}
	verify = rotation.VerifyRequest{SecretARN: "arn", Token: "t", Pending: apply.Pending}
)

func TestTheWebhookIsToldWhatToDoAndByWhom(t *testing.T) {
	var bodies []string
	target := newTarget(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.Equal(t, custom.Sign(spec.ValueString("canary-signing-key"), r.Header.Get(custom.HeaderTimestamp), body), r.Header.Get(custom.HeaderSignature))
		bodies = append(bodies, string(body))
	})
	_, err := target.Apply(t.Context(), apply)
	require.NoError(t, err)
	_, err = target.Verify(t.Context(), verify)
	require.NoError(t, err)
	_, err = target.Retire(t.Context(), rotation.RetireRequest{SecretARN: "arn", Token: "t", Retired: spec.ValueString("canary-older"), Current: apply.Current, Pending: apply.Pending})
	require.NoError(t, err)
	assert.Equal(t, []string{
		`{"step":"set","secretId":"arn","token":"t","values":{"current":"canary-old","pending":"canary-new"}}`,
		`{"step":"test","secretId":"arn","token":"t","values":{"pending":"canary-new"}}`,
		`{"step":"retire","secretId":"arn","token":"t","values":{"current":"canary-old","pending":"canary-new","retired":"canary-older"}}`,
	}, bodies)

	_, err = target.Verify(t.Context(), rotation.VerifyRequest{Pending: spec.NewValue([]byte{0xff})})
	require.ErrorIs(t, err, rotation.ErrDefinite)
}

// The signature is the one that a receiver in another language computes:
// printf '1700000000.{}' | openssl dgst -sha256 -hmac key
func TestSignIsHMACSHA256(t *testing.T) {
	assert.Equal(t, "v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae", custom.Sign(spec.ValueString("key"), "1700000000", []byte("{}")))
}

func TestTheAnswersOfAWebhook(t *testing.T) {
	for status, want := range map[int]struct {
		definite bool
		tries    int64
	}{400: {true, 1}, 403: {true, 1}, 307: {true, 1}, 422: {true, 1}, 408: {false, 3}, 425: {false, 3}, 429: {false, 3}, 500: {false, 3}, 503: {false, 3}} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel() // there are pauses between the tries
			var tries atomic.Int64
			target := newTarget(t, func(w http.ResponseWriter, _ *http.Request) {
				tries.Add(1)
				w.Header().Set("Location", "/canary-location")
				w.WriteHeader(status)
				_, _ = w.Write([]byte("canary-answer"))
			})
			_, err := target.Apply(t.Context(), apply)
			require.Error(t, err)
			assert.Equal(t, want.tries, tries.Load())
			if want.definite {
				assert.ErrorIs(t, err, rotation.ErrDefinite)
			} else {
				assert.NotErrorIs(t, err, rotation.ErrDefinite)
			}
			if status == 422 {
				assert.ErrorIs(t, err, rotation.ErrRejected)
				_, other := target.Verify(t.Context(), verify)
				assert.NotErrorIs(t, other, rotation.ErrRejected, "only a set rejects values")
			} else {
				assert.NotErrorIs(t, err, rotation.ErrRejected)
			}
			assert.NotContains(t, err.Error(), "canary")
		})
	}
}

func TestAWebhookThatRecoversIsAskedAgain(t *testing.T) {
	var tries atomic.Int64
	target := newTarget(t, func(w http.ResponseWriter, _ *http.Request) {
		if tries.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	_, err := target.Apply(t.Context(), apply)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = target.Verify(ctx, verify)
	require.ErrorIs(t, err, context.Canceled)
}

func TestAWebhookThatHangsIsTimedOut(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // so that the end of the connection is noticed
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	target := custom.New(custom.Options{}, custom.NewWebhook(custom.Description{URL: server.URL, Secret: "k", Timeout: 50 * time.Millisecond}, keys{}, nil))
	_, err := target.Apply(t.Context(), apply)
	require.ErrorContains(t, err, "try 3")
	assert.NotErrorIs(t, err, rotation.ErrDefinite)
}
