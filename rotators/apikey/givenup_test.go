package apikey_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/apikey"
	"github.com/aistudio/secrets/rotators/internal/rotatortest"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

func TestMain(m *testing.M) { rotatortest.Main(m) }

// system issues keys, and accepts none while it is broken.
type system struct {
	mu     sync.Mutex
	broken bool
	keys   map[string]string // by id, which is the idempotency key
}

func (s *system) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method {
	case http.MethodPost:
		id := r.Header.Get("Idempotency-Key")
		s.keys[id] = "canary-" + id
		_ = json.NewEncoder(w).Encode(map[string]any{"data": []any{map[string]string{"id": id, "a/b": s.keys[id]}}})
	case http.MethodDelete:
		delete(s.keys, strings.TrimPrefix(r.URL.Path, "/keys/"))
	default:
		for _, key := range s.keys {
			if key == r.URL.Query().Get("key") && !s.broken {
				return
			}
		}
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (s *system) breaks(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = broken
}

// ids are those of the keys that there are, sorted.
func (s *system) ids() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.keys {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// A key that was made for a rotation that never finished doesn't stay valid for
// ever.
func TestTheKeyOfARotationThatWasGivenUpIsRevoked(t *testing.T) {
	e := rotatortest.NewEstate(t)
	issuer := &system{keys: map[string]string{"first": "canary-first"}}
	server := httptest.NewServer(issuer)
	t.Cleanup(server.Close)
	d, err := apikey.ParseDescription(strings.ReplaceAll(description, "$URL", server.URL))
	require.NoError(t, err)
	k := &rotatortest.Killer{}
	e.Run(k, func(*secretsmanager.Client) rotation.Target {
		return apikey.NewIssuer(d, admins{}, apikey.Options{Transport: k, Patience: time.Millisecond})
	})
	e.ARN = e.CreateSecret("aistudio/dev/orders/partner-key", `{"id": "first", "key": "canary-first"}`)
	e.RotateNow()
	current, second := e.Staged("AWSCURRENT")

	issuer.breaks(true)
	e.RotateNow()
	require.NoError(t, e.Cloud.Advance(t.Context(), time.Hour))
	require.NoError(t, e.Cloud.Settle(t.Context()))
	_, version := e.Staged("AWSCURRENT")
	require.Equal(t, second, version, "it was to fail")
	_, pending := e.Staged("AWSPENDING")
	require.Contains(t, issuer.ids(), pending)
	_, err = e.Client.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &e.ARN, VersionStage: aws.String("AWSPENDING"), RemoveFromVersionId: &pending,
	})
	require.NoError(t, err)

	issuer.breaks(false)
	e.RotateNow()
	_, third := e.Staged("AWSCURRENT")
	require.NotEqual(t, second, third)
	key, err := spec.ParseAPIKey(spec.ValueString(current))
	require.NoError(t, err)
	want := []string{key.ID, third}
	slices.Sort(want)
	assert.Equal(t, want, issuer.ids(), "the keys of the current and the previous version")
	assert.False(t, strings.Contains(e.Logs.String(), "canary"), "a credential is in a log or an error")
}
