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

// caching-java#154: a forced refresh slept for seconds.
func TestReport1CachingJava154RefreshIsImmediateAndRateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		client := newClient(t, store)
		read(t, client, name)
		start := time.Now()
		for range 100 {
			store.Put(name, "two")
			secret, err := client.Refresh(t.Context(), name)
			require.NoError(t, err)
			assert.Equal(t, "two", secret.Value.RevealString())
		}
		assert.Zero(t, time.Since(start))
		assert.Equal(t, 2, store.Calls())

		store.Put(name, "three")
		time.Sleep(secrets.DefaultMinRefresh)
		secret, err := client.Refresh(t.Context(), name)
		require.NoError(t, err)
		assert.Equal(t, "three", secret.Value.RevealString())
		assert.Equal(t, "three", read(t, client, name).Value.RevealString())
		assert.EqualValues(t, 2, client.Stats().Refreshes)
	})
}

// powertools-lambda-python#5482: a forced fetch returned old data. Here it must
// not join a fetch that began before the secret changed, nor be overwritten by
// it.
func TestReport4PowertoolsPython5482RefreshOvertakesAnOlderFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		client := newClient(t, store)
		read(t, client, name)
		time.Sleep(55 * time.Minute)
		gate := newGate(store)
		read(t, client, name) // starts a background refresh, which reads "one" and is slow to answer
		gate.hold()
		store.Put(name, "two")
		secret, err := client.Refresh(t.Context(), name)
		require.NoError(t, err)
		assert.Equal(t, "two", secret.Value.RevealString())
		gate.release()
		synctest.Wait()
		assert.Equal(t, "two", read(t, client, name).Value.RevealString())
		assert.Equal(t, 3, store.Calls())
	})
}

// gate delays the first answer until it is released; those after pass.
type gate struct {
	entered, released chan struct{}
	once              sync.Once
}

func newGate(store *secretstest.Store) *gate {
	g := &gate{entered: make(chan struct{}), released: make(chan struct{})}
	store.AfterCall(func(context.Context, string, string) error {
		first := false
		g.once.Do(func() { first = true })
		if first {
			close(g.entered)
			<-g.released
		}
		return nil
	})
	return g
}

func (g *gate) hold()    { <-g.entered }
func (g *gate) release() { close(g.released) }

func TestRefreshServesNothingStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		client := newClient(t, store)
		read(t, client, name)
		store.BeforeCall(failWith(errNetwork))
		_, err := client.Refresh(t.Context(), name)
		require.ErrorIs(t, err, errNetwork)
		assert.Equal(t, "one", read(t, client, name).Value.RevealString(), "a passing failure keeps the value")

		// A dark API isn't hammered by refreshes either.
		before := store.Calls()
		for range 600 {
			_, err := client.Refresh(t.Context(), name)
			require.ErrorIs(t, err, errNetwork)
			time.Sleep(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, store.Calls()-before, 8)

		store.BeforeCall(failWith(secretstest.Denied()))
		time.Sleep(time.Minute)
		_, err = client.Refresh(t.Context(), name)
		require.ErrorIs(t, err, secrets.ErrDenied)
		_, err = client.Get(t.Context(), name)
		require.ErrorIs(t, err, secrets.ErrDenied, "a definite failure drops the value")
	})
}

func TestDoAsksOnceForManyRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		store.BeforeCall(slow(100 * time.Millisecond))
		client := newClient(t, store)
		read(t, client, name)
		store.Put(name, "two")
		var wait sync.WaitGroup
		for range 1000 {
			wait.Go(func() {
				assert.NoError(t, client.Do(t.Context(), name, func(_ context.Context, secret secrets.Secret) error {
					if secret.Value.RevealString() == "one" {
						return secrets.Refused(errors.New("password authentication failed"))
					}
					return nil
				}))
			})
		}
		wait.Wait()
		assert.Equal(t, 2, store.Calls())
	})
}

func TestDoLeavesOtherErrorsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		client := newClient(t, store)
		broken := errors.New("broken pipe")
		calls := 0
		err := client.Do(t.Context(), name, func(context.Context, secrets.Secret) error {
			calls++
			return broken
		})
		require.Equal(t, broken, err)
		assert.Equal(t, 1, calls)
		assert.Equal(t, 1, store.Calls())

		err = client.Do(t.Context(), "none", func(context.Context, secrets.Secret) error {
			t.Error("called without a secret")
			return nil
		})
		require.ErrorIs(t, err, secrets.ErrNotFound)
	})
}

func TestDoTellsBothErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		client := newClient(t, store)
		read(t, client, name)
		store.BeforeCall(failWith(errNetwork))
		err := client.Do(t.Context(), name, func(context.Context, secrets.Secret) error {
			return secrets.Refused(errors.New("password authentication failed"))
		})
		require.ErrorIs(t, err, secrets.ErrRefused)
		require.ErrorIs(t, err, errNetwork)
	})
}

func TestRefusedOfNilIsNil(t *testing.T) {
	require.NoError(t, secrets.Refused(nil))
}

func TestInvalidateFindsASecretByAnyOfItsIDs(t *testing.T) {
	arn := secretstest.ARN(name)
	replica := "arn:aws:secretsmanager:eu-west-1" + arn[len("arn:aws:secretsmanager:"+secretstest.Region):]
	partial := arn[:len(arn)-7]
	for label, id := range map[string]string{"name": name, "ARN": arn, "partial ARN": partial, "replica's ARN": replica} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := secretstest.New()
				store.Put(name, "one")
				store.Put(name+"2", "other")
				client := newClient(t, store)
				ids := []string{name, arn, partial}
				for _, id := range ids {
					read(t, client, id)
				}
				read(t, client, name, secrets.Stage(secrets.StageCurrent), secrets.Version(read(t, client, name).VersionID))
				read(t, client, name+"2")
				store.Put(name, "two")
				client.Invalidate(id)
				assert.Equal(t, 1, client.Stats().Entries, "the other secret stays")
				for _, id := range ids {
					assert.Equal(t, "two", read(t, client, id).Value.RevealString())
				}
			})
		})
	}
}

func TestInvalidateDuringAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		client := newClient(t, store)
		gate := newGate(store)
		go func() { _, _ = client.Get(t.Context(), name) }()
		gate.hold()
		store.Put(name, "two")
		client.Invalidate(name)
		gate.release()
		synctest.Wait()
		assert.Equal(t, "two", read(t, client, name).Value.RevealString())
	})
}

func TestANewVersionExpiresWhatOtherIDsAndLabelsHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "zero")
		first := store.Put(name, "one")
		client := newClient(t, store)
		arn := secretstest.ARN(name)
		read(t, client, arn)
		read(t, client, name)
		read(t, client, name, secrets.Version(first))
		require.Equal(t, "zero", read(t, client, name, secrets.Stage(secrets.StagePrevious)).Value.RevealString())

		store.Put(name, "two")
		_, err := client.Refresh(t.Context(), arn)
		require.NoError(t, err)
		calls := store.Calls()
		assert.Equal(t, "two", read(t, client, name).Value.RevealString())
		assert.Equal(t, "one", read(t, client, name, secrets.Stage(secrets.StagePrevious)).Value.RevealString())
		assert.Equal(t, 2, store.Calls()-calls)
		read(t, client, name, secrets.Version(first))
		read(t, client, arn)
		assert.Equal(t, 2, store.Calls()-calls)
	})
}

func TestRefreshOfAVersionOrALabel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "zero")
		first := store.Put(name, "one")
		client := newClient(t, store)
		previous, pending := secrets.Stage(secrets.StagePrevious), secrets.Stage(secrets.StagePending)
		refresh := func(which ...secrets.Selector) string {
			secret, err := client.Refresh(t.Context(), name, which...)
			require.NoError(t, err)
			return secret.Value.RevealString()
		}
		require.Equal(t, "one", read(t, client, name).Value.RevealString())
		require.Equal(t, "zero", read(t, client, name, previous).Value.RevealString())
		_, err := client.Refresh(t.Context(), name, pending)
		require.ErrorIs(t, err, secrets.ErrNotFound)

		store.PutStage(name, "next", secrets.StagePending)
		time.Sleep(secrets.DefaultMinRefresh)
		assert.Equal(t, "next", refresh(pending))
		calls := store.Calls()
		assert.Equal(t, "next", read(t, client, name, pending).Value.RevealString(), "the cache has it")
		assert.Equal(t, "one", read(t, client, name).Value.RevealString())
		assert.Equal(t, calls, store.Calls(), "the current version isn't touched")

		// Each label has its own limit, and AWSCURRENT is the same as none.
		store.Put(name, "two")
		assert.Equal(t, "two", refresh(secrets.Stage(secrets.StageCurrent)))
		assert.Equal(t, "two", refresh())
		assert.Equal(t, "one", refresh(previous))
		assert.Equal(t, "one", refresh(previous))
		assert.Equal(t, "one", refresh(secrets.Version(first)))
		assert.Equal(t, 3, store.Calls()-calls)
	})
}

// A label that was read tells which version is current, or isn't.
func TestARefreshedLabelExpiresAnotherCurrentVersion(t *testing.T) {
	for label, which := range map[string]secrets.Selector{
		"the version is the previous one": secrets.Stage(secrets.StagePrevious),
		"another version is current":      secrets.Stage("BLUE"),
	} {
		t.Run(label, func(t *testing.T) {
			store := secretstest.New()
			store.Put(name, "one")
			client := newClient(t, store)
			require.Equal(t, "one", read(t, client, name).Value.RevealString())
			second := store.Put(name, "two")
			store.Label(name, "BLUE", second)
			_, err := client.Refresh(t.Context(), name, which)
			require.NoError(t, err)
			assert.Equal(t, "two", read(t, client, name).Value.RevealString())
		})
	}
}

func TestNewerTakesTheCachedVersionIfItIsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		client := newClient(t, store)
		used := read(t, client, name)
		store.Put(name, "two")
		time.Sleep(time.Hour)
		read(t, client, name)
		calls := store.Calls()
		newer, err := client.Newer(t.Context(), name, used)
		require.NoError(t, err)
		assert.Equal(t, "two", newer.Value.RevealString())
		assert.Equal(t, calls, store.Calls())
	})
}
