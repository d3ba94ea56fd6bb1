package secrets_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/secretstest"
)

// listFeed keeps changes in a list, with the time at which they were noted.
type listFeed struct {
	mu      sync.Mutex
	changes []secrets.Change
	times   []time.Time
	calls   int
	latency time.Duration
	err     error
}

func (f *listFeed) add(id, version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, secrets.Change{SecretID: id, VersionID: version})
	f.times = append(f.times, time.Now())
}

func (f *listFeed) Changes(ctx context.Context, since time.Time) ([]secrets.Change, error) {
	if err := slow(f.latency)(ctx, "", ""); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.err != nil {
		return nil, f.err
	}
	for i, at := range f.times {
		if !at.Before(since) {
			return f.changes[i:], nil
		}
	}
	return nil, nil
}

func (f *listFeed) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func TestTheFeedBringsARotationWithinItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		store.Put("other", "value")
		feed := &listFeed{}
		client := newClient(t, store, secrets.WithFeed(feed, 0))
		arn := secretstest.ARN(name)
		read(t, client, "other")
		for range 5 {
			time.Sleep(7 * time.Minute)
			read(t, client, name) // what was asked while asleep isn't part of the measure
			version := store.Put(name, time.Now().String())
			feed.add(arn, version)
			changed := time.Now()
			for read(t, client, name).VersionID != version {
				time.Sleep(time.Second)
			}
			assert.LessOrEqual(t, time.Since(changed), secrets.DefaultFeedInterval+time.Second)
		}
		calls := store.Calls()
		for range 120 {
			time.Sleep(time.Second)
			read(t, client, name)
			read(t, client, "other")
		}
		assert.Equal(t, calls, store.Calls(), "a change is taken once, and the new version is left alone")
		assert.Equal(t, 1, store.CallsTo(primary, "other"))
	})
}

func TestTheFeedIsAskedOnceAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		feed := &listFeed{latency: 100 * time.Millisecond}
		client := newClient(t, store, secrets.WithFeed(feed, time.Minute))
		for range 16 {
			go func() {
				for range 6000 {
					start := time.Now()
					_, err := client.Get(t.Context(), name)
					assert.NoError(t, err)
					assert.Zero(t, time.Since(start), "a read doesn't wait for the feed")
					time.Sleep(100 * time.Millisecond)
				}
			}()
		}
		time.Sleep(11 * time.Minute)
		assert.InDelta(t, 10, feed.asked(), 1.5)

		calls := feed.asked()
		time.Sleep(time.Hour)
		assert.Equal(t, calls, feed.asked(), "nothing is asked while nothing is read")
	})
}

func TestTheFirstReadAfterASleepAsksTheFeedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		feed := &listFeed{latency: 100 * time.Millisecond}
		client := newClient(t, store, secrets.WithFeed(feed, 0))
		read(t, client, name)
		time.Sleep(5 * time.Minute)
		feed.add(secretstest.ARN(name), store.Put(name, "two"))
		time.Sleep(5 * time.Minute)
		assert.Equal(t, "two", read(t, client, name).Value.RevealString())
	})
}

func TestAFeedThatFailsHoldsNobodyUp(t *testing.T) {
	for label, feed := range map[string]*listFeed{"error": {err: errors.New("no table")}, "dark": {latency: time.Hour}} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := secretstest.New()
				store.Put(name, "one")
				client := newClient(t, store, secrets.WithFeed(feed, 0))
				read(t, client, name)
				time.Sleep(30 * time.Minute)
				start := time.Now()
				read(t, client, name)
				assert.LessOrEqual(t, time.Since(start), 500*time.Millisecond)
				start = time.Now()
				for range 60 {
					read(t, client, name)
				}
				assert.Zero(t, time.Since(start))
				assert.EqualValues(t, 1, client.Stats().FeedFailures)
			})
		})
	}
}

func TestAChangeSurvivesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		feed := &listFeed{}
		client := newClient(t, store, secrets.WithFeed(feed, 0))
		read(t, client, name)
		feed.add(name, store.Put(name, "two"))
		store.BeforeCall(failWith(errNetwork))
		time.Sleep(31 * time.Second)
		read(t, client, name)
		synctest.Wait()
		secret := read(t, client, name)
		assert.Equal(t, "one", secret.Value.RevealString())
		assert.True(t, secret.Stale)
	})
}

func TestFeedOptions(t *testing.T) {
	_, err := secrets.New(t.Context(), secrets.WithFeed(&listFeed{}, -1))
	require.ErrorContains(t, err, "feed interval")
	client, err := secrets.New(t.Context(), secrets.WithFeed(nil, 0))
	require.NoError(t, err)
	require.NoError(t, client.Close())
}

func TestAChangeThatIsKnownCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		feed := &listFeed{}
		client := newClient(t, store, secrets.WithFeed(feed, 0))
		read(t, client, name)
		feed.add(secretstest.ARN(name), store.Put(name, "two"))
		_, err := client.Refresh(t.Context(), name)
		require.NoError(t, err)
		calls := store.Calls()
		for range 120 {
			time.Sleep(time.Second)
			read(t, client, name)
		}
		assert.Equal(t, calls, store.Calls())
	})
}
