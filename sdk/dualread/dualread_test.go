package dualread_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/dualread"
	"github.com/aistudio/secrets/sdk/secretstest"
	"github.com/aistudio/secrets/sdk/spec"
)

const name = "acme/prod/shop/db"

func TestWhichPlaceIsRead(t *testing.T) {
	for label, c := range map[string]struct {
		mode, secret, old string
		field             string
		want              string // "": an error
		place             dualread.Place
		compared, differ  bool
	}{
		"new by default":        {"", "new value", "old value", "", "new value", dualread.PlaceNew, false, false},
		"new":                   {"new", "new value", "old value", "", "new value", dualread.PlaceNew, false, false},
		"no secret yet":         {"", "", "old value", "", "old value", dualread.PlaceOld, false, false},
		"neither":               {"", "", "", "", "", "", false, false},
		"switched back":         {"old", "new value", "old value", "", "old value", dualread.PlaceOld, false, false},
		"switched back, gone":   {"old", "new value", "", "", "", "", false, false},
		"compare, same":         {"compare", "value", "value", "", "value", dualread.PlaceNew, true, false},
		"compare, different":    {"compare", "new value", "old value", "", "new value", dualread.PlaceNew, true, true},
		"compare, old is gone":  {"compare", "new value", "", "", "new value", dualread.PlaceNew, false, false},
		"misspelt":              {"odl", "new value", "old value", "", "new value", dualread.PlaceNew, false, false},
		"field":                 {"compare", `{"password":"pä\"ss"}`, `pä"ss`, "password", `pä"ss`, dualread.PlaceNew, true, false},
		"field missing":         {"", `{"pass":"new"}`, "old value", "password", "old value", dualread.PlaceOld, false, false},
		"field is a number":     {"compare", `{"port":5432}`, "5432", "port", "5432", dualread.PlaceNew, true, false},
		"field is a boolean":    {"compare", `{"ssl":true}`, "true", "ssl", "true", dualread.PlaceNew, true, false},
		"field is null":         {"", `{"password":null}`, "old value", "password", "old value", dualread.PlaceOld, false, false},
		"field is an object":    {"", `{"password":{}}`, "old value", "password", "old value", dualread.PlaceOld, false, false},
		"field of no object":    {"", `new`, "old value", "password", "old value", dualread.PlaceOld, false, false},
		"bytes are kept":        {"compare", " value\n", " value\n", "", " value\n", dualread.PlaceNew, true, false},
		"a space is difference": {"compare", "value ", "value", "", "value ", dualread.PlaceNew, true, true},
	} {
		t.Run(label, func(t *testing.T) {
			t.Setenv(spec.EnvDualRead, c.mode)
			t.Setenv("DB_PASSWORD", c.old)
			store := secretstest.New()
			if c.secret != "" {
				store.Put(name, c.secret)
			}
			var observed []dualread.Result
			reader := dualread.New(store.Client(t), name, dualread.Env("DB_PASSWORD"), dualread.Options{
				Field:   c.field,
				Observe: func(_ context.Context, r dualread.Result) { observed = append(observed, r) },
			})
			value, err := reader.Value(t.Context())
			if c.want == "" {
				require.ErrorContains(t, err, "DB_PASSWORD")
				require.ErrorContains(t, err, name)
			} else {
				require.NoError(t, err)
				assert.Equal(t, c.want, value.RevealString())
			}
			require.Len(t, observed, 1)
			assert.Equal(t, c.place, observed[0].Place)
			assert.Equal(t, c.compared, observed[0].Compared)
			assert.Equal(t, c.differ, observed[0].Differ)
			digests := observed[0].Digests
			assert.Equal(t, c.compared, digests != dualread.Digests{})
			assert.Equal(t, c.differ, digests.New != digests.Old)
			assert.Equal(t, c.place == dualread.PlaceNew, observed[0].VersionID != "")
			if observed[0].Err != nil {
				assert.NotContains(t, observed[0].Err.Error(), "new value")
			}
		})
	}
}

func TestEachVersionIsComparedOnce(t *testing.T) {
	t.Setenv(spec.EnvDualRead, "compare")
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "value")
		client := store.Client(t, secrets.WithClock(time.Now))
		reads := 0
		reader := dualread.New(client, name, func(context.Context) (spec.Value, error) {
			reads++
			return spec.ValueString("value"), nil
		}, dualread.Options{})
		for range 10 {
			_, err := reader.Value(t.Context())
			require.NoError(t, err)
		}
		assert.Equal(t, 1, reads)
		store.Put(name, "rotated")
		client.Invalidate(name)
		for range 10 {
			_, err := reader.Value(t.Context())
			require.NoError(t, err)
		}
		assert.Equal(t, 2, reads)
		assert.Equal(t, dualread.Stats{New: 20, Compared: 2, Differ: 1}, reader.Stats())
	})
}

// The digests in the log are of no use without the key: not the value's hash,
// and another reader's are others.
func TestDigestsAreKeyed(t *testing.T) {
	t.Setenv(spec.EnvDualRead, "compare")
	t.Setenv("DB_PASSWORD", "value")
	store := secretstest.New()
	store.Put(name, "value")
	client := store.Client(t)
	seen := map[string]bool{}
	plain := sha256.Sum256([]byte("value"))
	unkeyed := hmac.New(sha256.New, make([]byte, sha256.Size))
	unkeyed.Write([]byte("value"))
	seen[hex.EncodeToString(plain[:8])], seen[hex.EncodeToString(unkeyed.Sum(nil)[:8])] = true, true
	for range 3 {
		reader := dualread.New(client, name, dualread.Env("DB_PASSWORD"), dualread.Options{Observe: func(_ context.Context, r dualread.Result) {
			assert.Len(t, r.Digests.New, 16)
			assert.False(t, seen[r.Digests.New])
			seen[r.Digests.New] = true
		}})
		_, err := reader.Value(t.Context())
		require.NoError(t, err)
		assert.Equal(t, `dual read of secret "acme/prod/shop/db"`, fmt.Sprintf("%+v", reader))
		assert.Equal(t, reader.String(), fmt.Sprintf("%#v", reader))
	}
	assert.Len(t, seen, 5)
}

func TestTheSwitchNeedsNoRestart(t *testing.T) {
	store := secretstest.New()
	store.Put(name, "new value")
	reader := dualread.New(store.Client(t), name, func(context.Context) (spec.Value, error) {
		return spec.Value{}, errors.New("vault is sealed")
	}, dualread.Options{})
	_, err := reader.Value(t.Context())
	require.NoError(t, err)
	t.Setenv(spec.EnvDualRead, "old")
	_, err = reader.Value(t.Context())
	require.ErrorContains(t, err, "vault is sealed")
	assert.Equal(t, dualread.Stats{New: 1, Failed: 1}, reader.Stats())
}
