package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"net"
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

// The tests below run in bubbles of testing/synctest: time there is fake, moves
// when all goroutines wait, and so can be compared exactly. A goroutine that
// outlives its client fails the test.

const name = "acme/dev/shop/db"

var errNetwork = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}

// newClient returns a client that ages values by the bubble's clock.
func newClient(t *testing.T, store *secretstest.Store, options ...secrets.Option) *secrets.Client {
	t.Helper()
	return store.Client(t, append([]secrets.Option{secrets.WithClock(time.Now)}, options...)...)
}

func read(t *testing.T, client *secrets.Client, id string, which ...secrets.Selector) secrets.Secret {
	t.Helper()
	secret, err := client.Get(t.Context(), id, which...)
	require.NoError(t, err)
	return secret
}

func failWith(err error) func(context.Context, string, string) error {
	return func(context.Context, string, string) error { return err }
}

func slow(d time.Duration) func(context.Context, string, string) error {
	return func(ctx context.Context, _, _ string) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestColdStampedeIsOneCallAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.BeforeCall(slow(300 * time.Millisecond))
		client := newClient(t, store)
		const keys, callers = 50, 10_000
		for i := range keys {
			store.Put(fmt.Sprint("key/", i), fmt.Sprint("value of ", i))
		}
		var wait sync.WaitGroup
		for i := range callers {
			wait.Go(func() {
				value, err := client.GetString(t.Context(), fmt.Sprint("key/", i%keys))
				assert.NoError(t, err)
				assert.Equal(t, fmt.Sprint("value of ", i%keys), value)
			})
		}
		wait.Wait()
		assert.Equal(t, keys, store.Calls())
		assert.EqualValues(t, callers, client.Stats().Misses)
	})
}

func TestWarmReadersNeverWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "value")
		client := newClient(t, store)
		read(t, client, name)
		store.BeforeCall(slow(300 * time.Millisecond))
		for range 64 {
			go func() {
				for range 24 * 60 {
					start := time.Now()
					_, err := client.Get(t.Context(), name)
					assert.NoError(t, err)
					assert.Zero(t, time.Since(start))
					time.Sleep(time.Minute)
				}
			}()
		}
		time.Sleep(25 * time.Hour)
		// A refresh at 76 to 90 % of an hour: 26.7 to 31.6 a day.
		assert.InDelta(t, 29, store.Calls(), 4)
	})
}

func TestRefreshIsDueAt85PercentAndExpiryAtTheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		client := newClient(t, store)
		for range 100 {
			client.Invalidate(name)
			store.Put(name, "one")
			read(t, client, name)
			store.Put(name, "two")
			calls := store.Calls()

			time.Sleep(45 * time.Minute) // 75 %
			read(t, client, name)
			synctest.Wait()
			require.Equal(t, calls, store.Calls())

			time.Sleep(9*time.Minute + time.Second) // 90 %
			require.Equal(t, "one", read(t, client, name).Value.RevealString(), "the reader doesn't wait for the refresh")
			synctest.Wait()
			require.Equal(t, calls+1, store.Calls())
			require.Equal(t, "two", read(t, client, name).Value.RevealString())

			store.Put(name, "three")
			time.Sleep(time.Hour)
			require.Equal(t, "three", read(t, client, name).Value.RevealString(), "the reader waits for the fetch")
		}
	})
}

func TestACancelledCallerLeavesAtOnceAndAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "value")
		store.BeforeCall(slow(time.Second))
		client := newClient(t, store)
		start := time.Now()
		done := make(chan struct{})
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			defer close(done)
			_, err := client.Get(ctx, name) // begins the fetch
			assert.ErrorContains(t, err, "had enough")
			assert.Equal(t, 100*time.Millisecond, time.Since(start))
		}()
		time.Sleep(50 * time.Millisecond)
		go func() {
			time.Sleep(50 * time.Millisecond)
			cancel(errors.New("had enough"))
		}()
		assert.Equal(t, "value", read(t, client, name).Value.RevealString())
		assert.Equal(t, time.Second, time.Since(start))
		assert.Equal(t, 1, store.Calls())
		<-done
	})
}

// caching-net PR#200: a global lock let a slow secret stall the others.
func TestReport2CachingNet200ASlowKeyNeverDelaysAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put("slow", "s")
		store.Put("quick", "q")
		store.BeforeCall(func(ctx context.Context, region, id string) error {
			if id == "slow" {
				return slow(3*time.Second)(ctx, region, id)
			}
			return nil
		})
		client := newClient(t, store)
		go func() { _, _ = client.Get(t.Context(), "slow") }()
		synctest.Wait()
		start := time.Now()
		read(t, client, "quick")
		assert.Zero(t, time.Since(start))
		time.Sleep(3 * time.Second)
	})
}

func TestStaleOnPassingErrorsUpToMaxStale(t *testing.T) {
	for label, failure := range map[string]error{
		"network":    errNetwork,
		"throttling": secretstest.Throttled(),
		"timeout":    context.DeadlineExceeded,
	} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := secretstest.New()
				store.Put(name, "value")
				client := newClient(t, store)
				fetched := read(t, client, name).FetchedAt
				store.BeforeCall(failWith(failure))

				time.Sleep(59 * time.Minute)
				time.Sleep(time.Minute)
				secret := read(t, client, name)
				assert.True(t, secret.Stale)
				assert.Equal(t, "value", secret.Value.RevealString())
				assert.Equal(t, fetched, secret.FetchedAt)

				time.Sleep(23*time.Hour + 50*time.Minute)
				assert.True(t, read(t, client, name).Stale)

				time.Sleep(10 * time.Minute)
				_, err := client.Get(t.Context(), name)
				require.ErrorIs(t, err, failure)
				assert.EqualValues(t, 2, client.Stats().Stale)

				store.BeforeCall(nil)
				time.Sleep(time.Minute)
				assert.False(t, read(t, client, name).Stale)
			})
		})
	}
}

func TestMaxStaleOfZeroNeverServesAnExpiredValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "value")
		client := newClient(t, store, secrets.WithMaxStale(0))
		read(t, client, name)
		store.BeforeCall(failWith(errNetwork))
		time.Sleep(time.Hour)
		_, err := client.Get(t.Context(), name)
		require.ErrorIs(t, err, errNetwork)
	})
}

// fides PR#8051: a stale fallback hid a revocation.
func TestReport15Fides8051ADefiniteErrorDropsTheValue(t *testing.T) {
	for label, c := range map[string]struct {
		spoil func(*secretstest.Store)
		want  error
	}{
		"denied":  {func(s *secretstest.Store) { s.BeforeCall(failWith(secretstest.Denied())) }, secrets.ErrDenied},
		"deleted": {func(s *secretstest.Store) { s.Delete(name) }, secrets.ErrNotFound},
	} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := secretstest.New()
				store.Put(name, "value")
				client := newClient(t, store)
				read(t, client, name)
				c.spoil(store)
				time.Sleep(55 * time.Minute)
				read(t, client, name) // fresh, and starts the refresh that fails
				synctest.Wait()
				_, err := client.Get(t.Context(), name)
				require.ErrorIs(t, err, c.want)

				// And an outage doesn't bring it back.
				store.BeforeCall(failWith(errNetwork))
				time.Sleep(time.Minute)
				_, err = client.Get(t.Context(), name)
				require.ErrorIs(t, err, errNetwork)
			})
		})
	}
}

func TestADefiniteErrorIsRememberedBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		client := newClient(t, store)
		for range 1000 {
			_, err := client.Get(t.Context(), name)
			require.ErrorIs(t, err, secrets.ErrNotFound)
		}
		assert.Equal(t, 1, store.Calls())
		store.Put(name, "value")
		time.Sleep(secrets.DefaultNegativeTTL)
		read(t, client, name)
	})
}

func TestADarkAPIIsNotHammered(t *testing.T) {
	for label, warm := range map[string]bool{"cold": false, "warm": true} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := secretstest.New()
				store.Put(name, "value")
				client := newClient(t, store)
				if warm {
					read(t, client, name)
					time.Sleep(time.Hour)
				}
				before := store.Calls()
				store.BeforeCall(failWith(errNetwork))
				for range 32 {
					go func() {
						for range 6000 {
							secret, err := client.Get(t.Context(), name)
							if warm {
								assert.NoError(t, err)
								assert.True(t, secret.Stale)
							} else {
								assert.ErrorIs(t, err, errNetwork)
							}
							time.Sleep(100 * time.Millisecond)
						}
					}()
				}
				time.Sleep(time.Minute)
				inAMinute := store.Calls() - before
				assert.LessOrEqual(t, inAMinute, 8)
				assert.GreaterOrEqual(t, inAMinute, 4)
				time.Sleep(10 * time.Minute)
				assert.LessOrEqual(t, store.Calls()-before, 40)
				assert.GreaterOrEqual(t, store.Calls()-before, 15)
			})
		})
	}
}

func TestDuringAnOutageReadersDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		client := newClient(t, store)
		read(t, client, name)
		time.Sleep(time.Hour)
		store.Put(name, "two")
		store.BeforeCall(slow(time.Hour)) // no answer at all
		start := time.Now()
		assert.True(t, read(t, client, name).Stale)
		assert.Equal(t, secrets.DefaultTimeout, time.Since(start), "the first one waits for the timeout")
		for range 600 {
			start = time.Now()
			assert.True(t, read(t, client, name).Stale)
			assert.Zero(t, time.Since(start))
			time.Sleep(time.Second)
		}
		store.BeforeCall(nil)
		time.Sleep(36 * time.Second) // the timeout of the fetch that runs, and the longest back-off
		read(t, client, name)
		synctest.Wait()
		secret := read(t, client, name)
		assert.False(t, secret.Stale)
		assert.Equal(t, "two", secret.Value.RevealString())
	})
}

func TestAfterALongSleepTheFirstReadIsFresh(t *testing.T) {
	for label, failing := range map[string]bool{"healthy before": false, "failing before": true} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := secretstest.New()
				store.Put(name, "one")
				client := newClient(t, store)
				read(t, client, name)
				if failing {
					time.Sleep(time.Hour)
					store.BeforeCall(failWith(errNetwork))
					require.True(t, read(t, client, name).Stale)
					store.BeforeCall(nil)
				}
				store.Put(name, "two")
				time.Sleep(7 * time.Hour)
				secret := read(t, client, name)
				assert.Equal(t, "two", secret.Value.RevealString())
				assert.False(t, secret.Stale)
			})
		})
	}
}

func TestAClockSetBackDoesNotProlongAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Int64
		store := secretstest.New()
		store.Put(name, "one")
		client := newClient(t, store, secrets.WithClock(func() time.Time {
			return time.Now().Add(-time.Duration(back.Load()))
		}))
		read(t, client, name)
		time.Sleep(30 * time.Minute)
		read(t, client, name)
		store.Put(name, "two")
		back.Store(int64(24 * time.Hour))
		assert.Equal(t, "two", read(t, client, name).Value.RevealString())
		assert.Equal(t, 2, store.Calls())
		time.Sleep(50 * time.Minute)
		read(t, client, name)
		assert.LessOrEqual(t, store.Calls(), 3)
	})
}

func TestTheLeastRecentlyUsedIsEvicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		client := newClient(t, store, secrets.WithMaxEntries(3))
		for _, id := range []string{"a", "b", "c", "d"} {
			store.Put(id, "value of "+id)
		}
		for _, id := range []string{"a", "b", "c", "a", "d"} { // b is the oldest when d comes
			read(t, client, id)
			time.Sleep(time.Second)
		}
		assert.Equal(t, 4, store.Calls())
		assert.Equal(t, 3, client.Stats().Entries)
		assert.EqualValues(t, 1, client.Stats().Evictions)
		for _, id := range []string{"a", "c", "d"} {
			read(t, client, id)
		}
		assert.Equal(t, 4, store.Calls())
		read(t, client, "b")
		assert.Equal(t, 5, store.Calls())
	})
}

func TestUnknownIDsDoNotGrowTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, secretstest.New(), secrets.WithMaxEntries(10))
		for i := range 1000 {
			_, err := client.Get(t.Context(), fmt.Sprint("no/such/", i))
			require.ErrorIs(t, err, secrets.ErrNotFound)
		}
		assert.Equal(t, 10, client.Stats().Entries)
	})
}

func TestVersionsAreReadSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		first := store.Put(name, "one")
		second := store.Put(name, "two")
		store.PutStage(name, "three", secrets.StagePending)
		client := newClient(t, store)
		for range 2 {
			assert.Equal(t, "two", read(t, client, name).Value.RevealString())
			assert.Equal(t, "two", read(t, client, name, secrets.Stage(secrets.StageCurrent)).Value.RevealString())
			assert.Equal(t, "one", read(t, client, name, secrets.Stage(secrets.StagePrevious)).Value.RevealString())
			assert.Equal(t, "three", read(t, client, name, secrets.Stage(secrets.StagePending)).Value.RevealString())
			assert.Equal(t, "one", read(t, client, name, secrets.Version(first)).Value.RevealString())
			assert.Equal(t, "two", read(t, client, name, secrets.Version(second), secrets.Stage(secrets.StageCurrent)).Value.RevealString())
		}
		assert.Equal(t, 5, store.Calls())
		_, err := client.Get(t.Context(), name, secrets.Version(first), secrets.Stage(secrets.StageCurrent))
		require.ErrorIs(t, err, secrets.ErrNotFound)
	})
}

func TestNoCallerCanChangeAnothersSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "value")
		client := newClient(t, store)
		one := read(t, client, name)
		clear(one.Value.Reveal())
		one.Stages()[0] = "spoilt"
		bytes, err := client.GetBytes(t.Context(), name)
		require.NoError(t, err)
		clear(bytes)
		two := read(t, client, name)
		assert.Equal(t, "value", two.Value.RevealString())
		assert.True(t, two.HasStage(secrets.StageCurrent))
	})
}

func TestCloseEndsFetchesAndReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "value")
		client := newClient(t, store)
		secret := read(t, client, name)
		store.BeforeCall(slow(time.Hour))
		start := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err := client.Get(t.Context(), "other")
			assert.ErrorIs(t, err, secrets.ErrClosed)
		}()
		synctest.Wait()
		require.NoError(t, client.Close())
		<-done
		assert.Zero(t, time.Since(start))
		_, err := client.Get(t.Context(), name)
		require.ErrorIs(t, err, secrets.ErrClosed)
		_, err = client.Refresh(t.Context(), name)
		require.ErrorIs(t, err, secrets.ErrClosed)
		assert.Zero(t, client.Stats().Entries)
		assert.Equal(t, "value", secret.Value.RevealString())
		require.NoError(t, client.Close())
	})
}

// The goals for the calls of one container in a day: at least 95 % fewer than
// without a cache at 30 reads of each secret an hour, 99.5 % at 1,000.
func TestCallsSavedInADay(t *testing.T) {
	for label, c := range map[string]struct {
		perHour int
		saved   float64
	}{"30 an hour": {30, 0.95}, "1000 an hour": {1000, 0.995}} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := secretstest.New()
				client := newClient(t, store)
				ids := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
				for _, id := range ids {
					store.Put(id, "value")
				}
				for range 24 * c.perHour {
					for _, id := range ids {
						read(t, client, id)
					}
					time.Sleep(time.Hour / time.Duration(c.perHour))
				}
				reads := 24 * c.perHour * len(ids)
				saved := 1 - float64(store.Calls())/float64(reads)
				t.Logf("%d reads, %d calls, %.2f %% saved", reads, store.Calls(), 100*saved)
				assert.GreaterOrEqual(t, saved, c.saved)
				stats := client.Stats()
				assert.EqualValues(t, reads, stats.Hits+stats.Misses)
				assert.EqualValues(t, store.Calls(), stats.Fetches)
				assert.Zero(t, stats.Failures)
			})
		})
	}
}
