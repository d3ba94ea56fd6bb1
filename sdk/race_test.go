package secrets_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/secretstest"
)

// A caller that saw no value, and asks when the fetch of the others is over,
// must not fetch again.
func TestAStampedeOnAQuickAPIIsOneCall(t *testing.T) {
	for range 200 {
		store := secretstest.New()
		store.Put(name, "value")
		client := store.Client(t)
		var wait sync.WaitGroup
		start := make(chan struct{})
		for range 64 {
			wait.Go(func() {
				<-start
				_, err := client.Get(t.Context(), name)
				assert.NoError(t, err)
			})
		}
		close(start)
		wait.Wait()
		require.Equal(t, 1, store.Calls())
	}
}

func TestReadersDuringARefreshAllocateNothing(t *testing.T) {
	store := secretstest.New()
	store.Put(name, "value")
	var now atomic.Int64
	client := store.Client(t, secrets.WithClock(func() time.Time { return time.Unix(now.Load(), 0) }))
	read(t, client, name)
	gate := newGate(store)
	defer gate.release()
	now.Add(55 * 60)
	read(t, client, name)
	gate.hold()
	ctx := t.Context()
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, err := client.Get(ctx, name); err != nil {
			t.Error(err)
		}
	}))
}

func TestAnOutageInTheRefreshWindowIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "value")
		client := newClient(t, store)
		read(t, client, name)
		store.BeforeCall(failWith(errNetwork))
		time.Sleep(54 * time.Minute)
		for range 1800 { // three minutes, to the end of the TTL
			assert.False(t, read(t, client, name).Stale)
			time.Sleep(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, store.Calls(), 14)
		assert.GreaterOrEqual(t, store.Calls(), 6)
	})
}

func TestNothingIsServedPastMaxStaleHoweverBusyTheReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "value")
		client := newClient(t, store, secrets.WithMaxStale(5*time.Minute))
		read(t, client, name)
		start := time.Now()
		store.BeforeCall(failWith(errNetwork))
		time.Sleep(56 * time.Minute)
		var last time.Duration
		for range 20 * 60 {
			if _, err := client.Get(t.Context(), name); err == nil {
				last = time.Since(start)
			}
			time.Sleep(time.Second)
		}
		assert.Less(t, last, 65*time.Minute)
		assert.Greater(t, last, 61*time.Minute)
	})
}

func TestAClockSetBackDoesNotProlongABackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Int64
		store := secretstest.New()
		store.BeforeCall(failWith(errNetwork))
		client := newClient(t, store, secrets.WithClock(func() time.Time {
			return time.Now().Add(-time.Duration(back.Load()))
		}))
		_, err := client.Get(t.Context(), name)
		require.ErrorIs(t, err, errNetwork)
		back.Store(int64(24 * time.Hour))
		store.BeforeCall(nil)
		store.Put(name, "value")
		_, err = client.Get(t.Context(), name)
		require.ErrorIs(t, err, errNetwork)
		time.Sleep(30 * time.Second)
		read(t, client, name)
	})
}

func TestRefreshForgetsADefiniteError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		client := newClient(t, store)
		_, err := client.Get(t.Context(), name)
		require.ErrorIs(t, err, secrets.ErrNotFound)
		store.Put(name, "value")
		_, err = client.Refresh(t.Context(), name)
		require.NoError(t, err)
		read(t, client, name)
	})
}

// A fetch that began before a change and ends after it brings the old version.
func TestAChangeOvertakesAFetch(t *testing.T) {
	for label, landsFirst := range map[string]bool{"the old fetch ends before the read": true, "the old fetch ends after the read": false} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := secretstest.New()
				store.Put(name, "one")
				feed := &listFeed{}
				client := newClient(t, store, secrets.WithFeed(feed, 0))
				read(t, client, name)
				time.Sleep(55 * time.Minute)
				gate := newGate(store)
				read(t, client, name)
				gate.hold()
				feed.add(name, store.Put(name, "two"))
				time.Sleep(31 * time.Second)
				read(t, client, name) // asks the feed
				synctest.Wait()
				if landsFirst {
					gate.release()
					synctest.Wait()
				}
				assert.Equal(t, "two", read(t, client, name).Value.RevealString())
				if !landsFirst {
					gate.release()
					synctest.Wait()
				}
				assert.Equal(t, "two", read(t, client, name).Value.RevealString())
			})
		})
	}
}

func TestAnEntryThatIsBeingFetchedIsNotEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put("slow", "value")
		store.Put("quick", "value")
		store.BeforeCall(func(ctx context.Context, region, id string) error {
			if id == "slow" {
				return slow(time.Second)(ctx, region, id)
			}
			return nil
		})
		client := newClient(t, store, secrets.WithMaxEntries(1))
		go func() { _, _ = client.Get(t.Context(), "slow") }()
		synctest.Wait()
		read(t, client, "quick")
		read(t, client, "slow")
		assert.Equal(t, 1, store.CallsTo(primary, "slow"))
		store.Put("more", "value")
		read(t, client, "more")
		assert.Equal(t, 1, client.Stats().Entries, "and the cache is back at its size")
	})
}

func TestACallerThatLeavesDoesNotEndAFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "value")
		regionalFaults(store, map[string]func(context.Context, string, string) error{primary: dark, replica: slow(300 * time.Millisecond)})
		client := newClient(t, store, secrets.WithFailover(replica))
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := client.Get(ctx, name) // begins the fetch
			assert.ErrorIs(t, err, context.Canceled)
		}()
		synctest.Wait()
		time.AfterFunc(600*time.Millisecond, cancel)
		assert.Equal(t, replica, read(t, client, name).Region)
	})
}

func TestDoGivesUpWhenTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		client := newClient(t, store)
		read(t, client, name)
		store.BeforeCall(dark)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := client.Do(ctx, name, func(context.Context, secrets.Secret) error { return secrets.Refused(errors.New("401")) })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, secrets.ErrRefused)
		assert.Equal(t, time.Second, time.Since(start))
	})
}
