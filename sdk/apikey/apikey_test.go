package apikey_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/apikey"
	"github.com/aistudio/secrets/sdk/secretstest"
)

const name = "acme/prod/shop/partner-key"

func TestVerifyAcceptsCurrentAndPrevious(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		first := store.Put(name, "first")
		client := store.Client(t, secrets.WithClock(time.Now))
		verifier := apikey.New(client, name)
		accepts := func(key string, want apikey.Match) {
			t.Helper()
			got, err := verifier.Verify(t.Context(), key)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
		refuses := func(keys ...string) {
			t.Helper()
			for _, key := range keys {
				_, err := verifier.Verify(t.Context(), key)
				require.ErrorIs(t, err, apikey.ErrInvalid)
			}
		}
		accepts("first", apikey.Match{VersionID: first, Stage: secrets.StageCurrent})
		refuses("", "second", "firs", "first ", "First")

		second := store.Put(name, `{"id":"k2","key":"second"}`)
		time.Sleep(apikey.MinRefresh)
		accepts("second", apikey.Match{ID: "k2", VersionID: second, Stage: secrets.StageCurrent})
		accepts("first", apikey.Match{VersionID: first, Stage: secrets.StagePrevious})

		store.PutStage(name, "third", secrets.StagePending)
		refuses("third")
		pending := apikey.New(client, name, secrets.StageCurrent, secrets.StagePending)
		match, err := pending.Verify(t.Context(), "third")
		require.NoError(t, err)
		assert.Equal(t, secrets.StagePending, match.Stage)
		_, err = pending.Verify(t.Context(), "first")
		require.ErrorIs(t, err, apikey.ErrInvalid)
	})
}

func TestUnknownKeysDoNotCauseCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "first")
		verifier := apikey.New(store.Client(t, secrets.WithClock(time.Now)), name)
		for range 10 * 60 {
			_, err := verifier.Verify(t.Context(), "guess")
			require.ErrorIs(t, err, apikey.ErrInvalid)
			time.Sleep(time.Second)
		}
		// The read, once that there is no previous version, and a refresh every
		// half a minute.
		assert.Equal(t, 22, store.Calls())
	})
}

func TestVerifyTellsUnknownFromInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "first")
		store.Put(name, "second")
		client := store.Client(t, secrets.WithClock(time.Now))
		verifier := apikey.New(client, name)
		store.BeforeCall(func(context.Context, string, string) error { return secretstest.Denied() })
		_, err := verifier.Verify(t.Context(), "first")
		require.ErrorIs(t, err, secrets.ErrDenied)
		require.NotErrorIs(t, err, apikey.ErrInvalid)

		// The previous key can't be read: the one presented may be it.
		store.BeforeCall(nil)
		time.Sleep(time.Minute)
		_, err = client.Get(t.Context(), name)
		require.NoError(t, err)
		store.BeforeCall(func(context.Context, string, string) error { return secretstest.Throttled() })
		_, err = verifier.Verify(t.Context(), "first")
		require.Error(t, err)
		require.NotErrorIs(t, err, apikey.ErrInvalid)

		store.BeforeCall(nil)
		store.Put(name, `{"key":12}`)
		time.Sleep(time.Minute)
		client.Invalidate(name)
		_, err = verifier.Verify(t.Context(), "first")
		require.ErrorContains(t, err, name)
		require.NotErrorIs(t, err, apikey.ErrInvalid)
	})
}

func TestMiddleware(t *testing.T) {
	store := secretstest.New()
	version := store.Put(name, `{"id":"k1","key":"first"}`)
	var log bytes.Buffer
	client := store.Client(t)
	handler := apikey.New(client, name).Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		match, ok := apikey.FromContext(r.Context())
		assert.True(t, ok)
		assert.Equal(t, apikey.Match{ID: "k1", VersionID: version, Stage: secrets.StageCurrent}, match)
		w.WriteHeader(http.StatusNoContent)
	}), slog.New(slog.NewTextHandler(&log, nil)))
	ask := func(header, value string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set(header, value)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	for _, c := range []struct {
		header, value string
		want          int
	}{
		{"X-Api-Key", "first", http.StatusNoContent},
		{"Authorization", "Bearer first", http.StatusNoContent},
		{"Authorization", "bearer  first", http.StatusNoContent},
		{"Authorization", "Basic first", http.StatusUnauthorized},
		{"Authorization", "Bearer other", http.StatusUnauthorized},
		{"X-Api-Key", "", http.StatusUnauthorized},
		{"Accept", "first", http.StatusUnauthorized},
	} {
		response := ask(c.header, c.value)
		assert.Equal(t, c.want, response.Code, "%s: %s", c.header, c.value)
		if c.want == http.StatusUnauthorized {
			assert.Equal(t, "Bearer", response.Header().Get("WWW-Authenticate"))
		}
	}
	_, ok := apikey.FromContext(t.Context())
	assert.False(t, ok)

	require.NoError(t, client.Close())
	assert.Equal(t, http.StatusServiceUnavailable, ask("X-Api-Key", "first").Code)
	assert.Contains(t, log.String(), name)
	assert.NotContains(t, log.String(), "first")
}
