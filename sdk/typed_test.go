package secrets_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/secretstest"
	"github.com/aistudio/secrets/sdk/spec"
)

func TestGetJSON(t *testing.T) {
	store := secretstest.New()
	store.Put(name, `{"username":"shop","password":"pä\"ss"}`)
	client := store.Client(t)
	type login struct {
		Username string
		Password spec.Value
	}
	got, err := secrets.GetJSON[login](t.Context(), client, name)
	require.NoError(t, err)
	assert.Equal(t, "shop", got.Username)
	assert.Equal(t, `pä"ss`, got.Password.RevealString())
	_, err = secrets.GetJSON[login](t.Context(), client, "none")
	require.ErrorIs(t, err, secrets.ErrNotFound)
}

func TestGetJSONErrorsQuoteNothing(t *testing.T) {
	store := secretstest.New()
	client := store.Client(t)
	type shape struct {
		Count int
		Until time.Time
		Deep  struct{ Port int8 }
	}
	for doc, want := range map[string]string{
		`Zq7canary`:                  "syntax error at byte 1",
		`{"Count":"Zq7canary"}`:      "JSON value of Count doesn't fit a Go int",
		`{"Count":777888999.5}`:      "JSON value of Count doesn't fit a Go int",
		`{"Until":"Zq7canary"}`:      "Go type",
		`["Zq7canary"]`:              "doesn't fit a Go secrets_test.shape",
		`{"Deep":{"Port":77788899}}`: "JSON value of Deep.Port doesn't fit a Go int8",
	} {
		store.Put(name, doc)
		client.Invalidate(name)
		_, err := secrets.GetJSON[shape](t.Context(), client, name)
		require.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, name)
		for _, part := range []string{"Z", "canary", "777888"} {
			assert.NotContains(t, err.Error(), part)
		}
	}
}
