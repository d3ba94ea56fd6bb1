package secrets_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/secretstest"
)

func TestHooksAreToldOfEveryReadAndFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads []secrets.ReadInfo
		var fetches []secrets.FetchInfo
		type traceKey struct{}
		store := secretstest.New()
		version := store.Put(name, "value")
		client := newClient(t, store, secrets.WithHooks(secrets.Hooks{
			Read: func(_ context.Context, r secrets.ReadInfo) { reads = append(reads, r) },
			Fetch: func(ctx context.Context, id string) (context.Context, func(secrets.FetchInfo)) {
				assert.Equal(t, name, id)
				assert.Equal(t, "trace", ctx.Value(traceKey{}))
				return context.WithValue(ctx, traceKey{}, "fetch"), func(f secrets.FetchInfo) { fetches = append(fetches, f) }
			},
		}))
		ctx := context.WithValue(t.Context(), traceKey{}, "trace")
		get := func() { _, _ = client.Get(ctx, name) }
		var failure error
		store.BeforeCall(func(ctx context.Context, _, _ string) error {
			assert.Equal(t, "fetch", ctx.Value(traceKey{}))
			return failure
		})
		get()
		time.Sleep(time.Minute)
		get()
		failure = errNetwork
		time.Sleep(time.Hour)
		get()
		get()
		failure = secretstest.Denied()
		time.Sleep(time.Hour)
		get()
		get()
		require.Len(t, reads, 6)
		outcomes := make([]secrets.Outcome, 0, len(reads))
		for _, r := range reads {
			outcomes = append(outcomes, r.Outcome)
			assert.Equal(t, name, r.ID)
			assert.Equal(t, r.Outcome == secrets.Failed, r.Err != nil)
		}
		assert.Equal(t, []secrets.Outcome{secrets.Miss, secrets.Hit, secrets.Stale, secrets.Stale, secrets.Failed, secrets.Failed}, outcomes)
		assert.Equal(t, time.Minute, reads[1].Age)
		assert.Equal(t, time.Hour+time.Minute, reads[2].Age)
		require.Len(t, fetches, 3)
		assert.Equal(t, secrets.FetchInfo{VersionID: version, Region: primary}, fetches[0])
		require.ErrorIs(t, fetches[1].Err, errNetwork)
		require.ErrorIs(t, fetches[2].Err, secrets.ErrDenied)
	})
}
