package secrets_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/secretstest"
)

// world is a secret, the service that keeps it, and what is known of both. Its
// rules hold whatever happens in whatever order.
type world struct {
	store *secretstest.Store

	current   string // version
	rotated   time.Time
	state     string // of the service
	since     time.Time
	darkUntil time.Time // when the service was dark last
	calls     []time.Time
	forced    map[time.Time]bool
}

const (
	healthy = "healthy"
	outage  = "outage"
	denied  = "denied"
)

func (w *world) call(context.Context, string, string) error {
	w.calls = append(w.calls, time.Now())
	switch w.state {
	case outage:
		return errNetwork
	case denied:
		return secretstest.Denied()
	}
	return nil
}

func (w *world) change(state string) {
	if w.state == outage {
		w.darkUntil = time.Now()
	}
	w.state, w.since = state, time.Now()
}

func (w *world) check(t *rapid.T, secret secrets.Secret, err error) {
	now := time.Now()
	recentlyDark := w.state == outage || now.Sub(w.darkUntil) < time.Minute
	settled := now.Sub(w.since) > time.Minute
	age := now.Sub(secret.FetchedAt)
	switch {
	case err == nil && !secret.Stale:
		require.Less(t, age, secrets.DefaultTTL, "a value past its TTL passes for fresh")
	case err == nil:
		require.True(t, recentlyDark, "a stale value without an outage")
		require.GreaterOrEqual(t, age, secrets.DefaultTTL*95/100)
		require.Less(t, age, secrets.DefaultTTL+secrets.DefaultMaxStale)
	}
	switch {
	case settled && w.state == healthy:
		require.NoError(t, err)
		require.False(t, secret.Stale)
	case w.state == denied && now.Sub(w.since) > secrets.DefaultTTL:
		require.ErrorIs(t, err, secrets.ErrDenied)
	case w.state == healthy && err != nil && !recentlyDark:
		require.ErrorIs(t, err, secrets.ErrDenied, "what is remembered for a while")
	}
	if err == nil && secret.VersionID != w.current {
		require.False(t, secret.FetchedAt.After(w.rotated), "a fetch that brings an old version")
	}
}

// spaced checks that the service isn't asked too often.
func (w *world) spaced(t *rapid.T) {
	for i := 1; i < len(w.calls); i++ {
		if at := w.calls[i]; !w.forced[at] && !w.forced[w.calls[i-1]] {
			require.GreaterOrEqual(t, at.Sub(w.calls[i-1]), 1500*time.Millisecond)
		}
	}
}

func TestWhateverHappensTheRulesHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, live) })
}

func live(t *rapid.T) {
	w := &world{store: secretstest.New(), state: healthy, since: time.Now(), forced: map[time.Time]bool{}}
	w.current = w.store.Put(name, "value")
	w.store.BeforeCall(w.call)
	client, err := secrets.New(context.Background(), secrets.WithAPI(w.store.API), secrets.WithClock(time.Now))
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	pause := rapid.SampledFrom([]time.Duration{
		0, time.Millisecond, time.Second, 3 * time.Second, 20 * time.Second, time.Minute, 5 * time.Minute, 50 * time.Minute, time.Hour, 20 * time.Hour,
	})
	t.Repeat(map[string]func(*rapid.T){
		"sleep": func(t *rapid.T) { time.Sleep(pause.Draw(t, "for")) },
		"read": func(t *rapid.T) {
			secret, err := client.Get(context.Background(), name)
			w.check(t, secret, err)
		},
		"read for a while": func(t *rapid.T) {
			step := pause.Filter(func(d time.Duration) bool { return d > 0 }).Draw(t, "step")
			for range 20 {
				secret, err := client.Get(context.Background(), name)
				w.check(t, secret, err)
				time.Sleep(step)
			}
		},
		"refresh": func(t *rapid.T) {
			w.forced[time.Now()] = true
			secret, err := client.Refresh(context.Background(), name)
			w.check(t, secret, err)
			require.False(t, secret.Stale)
		},
		"rotate": func(*rapid.T) {
			w.current = w.store.Put(name, time.Now().String())
			w.rotated = time.Now()
		},
		"outage":  func(*rapid.T) { w.change(outage) },
		"deny":    func(*rapid.T) { w.change(denied) },
		"recover": func(*rapid.T) { w.change(healthy) },
		"": func(t *rapid.T) {
			synctest.Wait()
			w.spaced(t)
		},
	})
}
