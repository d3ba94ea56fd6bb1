package apikey_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/apikey"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// admins is Secrets Manager with the admin credential.
type admins struct{}

func (admins) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	return &secretsmanager.GetSecretValueOutput{SecretString: aws.String(`{"token":"canary-admin"}`)}, nil
}

const description = `{
	"admin": {"secret": "issuer-admin", "pointer": "/token"},
	"create": {"method": "POST", "url": "$URL/keys?token={{.Admin}}", "headers": {"Idempotency-Key": "{{.Token}}"}, "id": "/data/0/id", "key": "/data/0/a~1b"},
	"verify": {"method": "GET", "url": "$URL/me?key={{.Key}}"},
	"revoke": {"method": "DELETE", "url": "$URL/keys/{{path .ID}}?token={{.Admin}}"}}`

// newIssuer returns an issuer whose keys are given up at once when they don't
// work.
func newIssuer(t *testing.T, handler http.HandlerFunc) *apikey.Issuer {
	t.Helper()
	return newPatientIssuer(t, time.Nanosecond, handler)
}

func newPatientIssuer(t *testing.T, patience time.Duration, handler http.HandlerFunc) *apikey.Issuer {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	d, err := apikey.ParseDescription(strings.ReplaceAll(description, "$URL", server.URL))
	require.NoError(t, err)
	return apikey.NewIssuer(d, admins{}, apikey.Options{Patience: patience})
}

var (
	older   = spec.ValueString(`{"id": "1", "key": "canary-1"}`)
	current = spec.ValueString(`{"id": "2", "key": "canary-2"}`)
	pending = spec.ValueString(`{"id": "3/x", "key": "canary-3"}`)
)

func TestTheAnswersOfAnIssuer(t *testing.T) {
	for status, want := range map[int]struct{ definite, revoked bool }{
		200: {false, true}, 204: {false, true}, 404: {true, true}, 410: {true, true},
		302: {true, false}, 400: {true, false}, 401: {true, false}, 403: {true, false}, 409: {true, false}, 422: {true, false},
		408: {}, 425: {}, 429: {}, 500: {}, 502: {}, 503: {}, 504: {},
	} {
		issuer := newIssuer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/canary-location")
			w.WriteHeader(status)
			if status != http.StatusNoContent {
				_, _ = w.Write([]byte("canary-answer"))
			}
		})
		_, err := issuer.Generate(t.Context(), rotation.GenerateRequest{Token: "canary-token", Current: current})
		require.Error(t, err, status)
		assert.Equal(t, want.definite || status < 300, isDefinite(err), "%d: %v", status, err)
		assert.NotContains(t, err.Error(), "canary")

		_, err = issuer.Retire(t.Context(), rotation.RetireRequest{Retired: older, Current: current, Pending: pending})
		assert.Equal(t, want.revoked, err == nil, "%d: %v", status, err)
		if err != nil {
			assert.Equal(t, want.definite, isDefinite(err), "%d: %v", status, err)
			assert.NotContains(t, err.Error(), "canary")
		}
	}
}

func isDefinite(err error) bool { return errors.Is(err, rotation.ErrDefinite) }

func TestAnIssuerThatIsGoneMayComeBack(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	d, err := apikey.ParseDescription(strings.ReplaceAll(description, "$URL", server.URL))
	require.NoError(t, err)
	_, err = apikey.NewIssuer(d, admins{}, apikey.Options{}).Generate(t.Context(), rotation.GenerateRequest{Token: "t", Current: current})
	require.Error(t, err)
	assert.NotErrorIs(t, err, rotation.ErrDefinite)
	assert.NotContains(t, err.Error(), "canary", "the URL holds the admin credential")
}

func TestGenerateReadsTheAnswerAsDescribed(t *testing.T) {
	issuer := newIssuer(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "canary-admin", r.URL.Query().Get("token"))
		_, _ = w.Write([]byte(`{"data": [{"id": 12345678901234567890, "a/b": "canary-new"}]}`))
	})
	response, err := issuer.Generate(t.Context(), rotation.GenerateRequest{Token: "t", Current: current})
	require.NoError(t, err)
	key, err := spec.ParseAPIKey(response.Value)
	require.NoError(t, err)
	assert.Equal(t, "12345678901234567890", key.ID)
	assert.True(t, key.Key.Equal(spec.ValueString("canary-new")))

	_, err = issuer.Generate(t.Context(), rotation.GenerateRequest{Token: "t", Current: spec.ValueString("canary-without-id")})
	require.ErrorIs(t, err, rotation.ErrDefinite)
	assert.NotContains(t, err.Error(), "canary")
}

func TestVerifyWaitsForTheKeyToBecomeActive(t *testing.T) {
	var tries atomic.Int64
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("key") != "canary-3" || tries.Add(1) < 2 {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	patient := newPatientIssuer(t, time.Hour, handler)
	_, err := patient.Verify(t.Context(), rotation.VerifyRequest{Pending: pending})
	require.NoError(t, err)
	assert.EqualValues(t, 2, tries.Load())

	_, err = newIssuer(t, handler).Verify(t.Context(), rotation.VerifyRequest{Pending: older})
	require.ErrorContains(t, err, "401")
	assert.NotContains(t, err.Error(), "canary")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = patient.Verify(ctx, rotation.VerifyRequest{Pending: older})
	require.ErrorIs(t, err, context.Canceled)
}

func TestRetireRevokesNoKeyThatIsStillInUse(t *testing.T) {
	var paths []string
	issuer := newIssuer(t, func(_ http.ResponseWriter, r *http.Request) { paths = append(paths, r.URL.EscapedPath()) })
	for _, retired := range []spec.Value{current, pending, spec.ValueString("canary-2")} {
		_, err := issuer.Retire(t.Context(), rotation.RetireRequest{Retired: retired, Current: current, Pending: pending})
		require.NoError(t, err)
	}
	assert.Empty(t, paths)
	_, err := issuer.Retire(t.Context(), rotation.RetireRequest{Retired: pending, Current: current, Pending: older})
	require.NoError(t, err)
	assert.Equal(t, []string{"/keys/3%2Fx"}, paths)
	_, err = issuer.Retire(t.Context(), rotation.RetireRequest{Retired: spec.ValueString("canary-without-id"), Current: current, Pending: pending})
	require.ErrorIs(t, err, rotation.ErrDefinite)
	assert.NotContains(t, err.Error(), "canary")
}

func TestADescriptionThatCanNotWorkIsRefused(t *testing.T) {
	for change, want := range map[[2]string]string{
		{`"{{.Token}}"`, `"fixed"`}:               "doesn't use .Token",
		{`{{.Key}}`, `fixed`}:                     "doesn't use .Key",
		{`{{path .ID}}`, `fixed`}:                 "doesn't use .ID",
		{`{{.Key}}`, `{{.Kez}}{{.Key}}`}:          "can't be filled",
		{`"/data/0/id"`, `""`}:                    "create.id is missing",
		{`"issuer-admin"`, `""`}:                  "admin.secret is missing",
		{`"method": "GET", `, ``}:                 "verify needs method and url",
		{`"pointer"`, `"pointre"`}:                "unknown field",
		{`"url": "$URL/me`, `"url": "$URL/me{{.`}: "template",
	} {
		_, err := apikey.ParseDescription(strings.Replace(description, change[0], change[1], 1))
		assert.ErrorContains(t, err, want, change[1])
	}
	d, err := apikey.ParseDescription(strings.ReplaceAll(description, "$URL", "http://issuer.example"))
	require.NoError(t, err)
	_, err = apikey.NewIssuer(d, admins{}, apikey.Options{}).Generate(t.Context(), rotation.GenerateRequest{Token: "t", Current: current})
	require.ErrorContains(t, err, "https://")
}
