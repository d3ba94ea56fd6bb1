package secrets_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/secretstest"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	primary = secretstest.Region
	replica = "us-west-2"
	third   = "eu-west-1"
)

// regionalFaults makes regions answer as told; the others answer at once.
func regionalFaults(store *secretstest.Store, faults map[string]func(context.Context, string, string) error) {
	store.BeforeCall(func(ctx context.Context, region, id string) error {
		if fault := faults[region]; fault != nil {
			return fault(ctx, region, id)
		}
		return nil
	})
}

var dark = slow(time.Hour)

func TestAColdReadFailsOver(t *testing.T) {
	for label, c := range map[string]struct {
		faults map[string]func(context.Context, string, string) error
		region string
		after  time.Duration
	}{
		"healthy":             {nil, primary, 0},
		"dark":                {map[string]func(context.Context, string, string) error{primary: dark}, replica, secrets.DefaultFailoverAfter},
		"refused":             {map[string]func(context.Context, string, string) error{primary: failWith(errNetwork)}, replica, 0},
		"throttled":           {map[string]func(context.Context, string, string) error{primary: failWith(secretstest.Throttled())}, replica, 0},
		"two dark":            {map[string]func(context.Context, string, string) error{primary: dark, replica: dark}, third, 2 * secrets.DefaultFailoverAfter},
		"slow":                {map[string]func(context.Context, string, string) error{primary: slow(600 * time.Millisecond), replica: slow(200 * time.Millisecond)}, primary, 600 * time.Millisecond},
		"denied by a replica": {map[string]func(context.Context, string, string) error{primary: slow(2 * time.Second), replica: failWith(secretstest.Denied())}, third, secrets.DefaultFailoverAfter},
	} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := secretstest.New()
				store.Put(name, "value")
				regionalFaults(store, c.faults)
				client := newClient(t, store, secrets.WithFailover(replica, third))
				for _, id := range []string{name, secretstest.ARN(name), "arn:aws:secretsmanager:" + third + ":123456789012:secret:" + name} {
					client.Invalidate(name)
					start := time.Now()
					secret := read(t, client, id)
					assert.Equal(t, c.region, secret.Region)
					assert.Contains(t, secret.ARN, ":"+c.region+":")
					assert.Equal(t, "value", secret.Value.RevealString())
					if id == name { // the breaker keeps later ones from waiting
						assert.Equal(t, c.after, time.Since(start))
					}
					assert.LessOrEqual(t, time.Since(start), c.after)
				}
			})
		})
	}
}

func TestThePrimaryDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "value")
		client := newClient(t, store, secrets.WithFailover(replica))
		regionalFaults(store, map[string]func(context.Context, string, string) error{primary: failWith(secretstest.Denied())})
		_, err := client.Get(t.Context(), name)
		require.ErrorIs(t, err, secrets.ErrDenied)
		assert.Zero(t, store.CallsTo(replica, name))

		// What a replica denies in an outage isn't definite: the value stays.
		regionalFaults(store, nil)
		time.Sleep(time.Minute)
		read(t, client, name)
		regionalFaults(store, map[string]func(context.Context, string, string) error{
			primary: failWith(errNetwork), replica: failWith(secretstest.Denied()),
		})
		time.Sleep(time.Hour)
		assert.True(t, read(t, client, name).Stale)
		time.Sleep(25 * time.Hour)
		_, err = client.Get(t.Context(), name)
		require.ErrorIs(t, err, errNetwork)
		require.NotErrorIs(t, err, secrets.ErrDenied)
		assert.ErrorContains(t, err, "failover region us-west-2")
	})
}

func TestTheBreakerKeepsReadsOnTheReplicaAndAProbeBringsThemBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		client := newClient(t, store, secrets.WithFailover(replica))
		ids := make([]string, 200)
		for i := range ids {
			ids[i] = name + string(rune('A'+i%26)) + string(rune('A'+i/26))
			store.Put(ids[i], "value")
		}
		all := ids
		regionalFaults(store, map[string]func(context.Context, string, string) error{primary: dark})
		next := func() (secrets.Secret, time.Duration) {
			id := ids[0]
			ids = ids[1:]
			start := time.Now()
			secret := read(t, client, id)
			return secret, time.Since(start)
		}
		_, took := next()
		assert.Equal(t, secrets.DefaultFailoverAfter, took)
		outage := time.Now()
		for time.Since(outage) < 2*time.Minute {
			secret, took := next()
			assert.Equal(t, replica, secret.Region)
			assert.Zero(t, took)
			time.Sleep(2 * time.Second)
		}
		asked := 0
		for _, id := range all {
			asked += store.CallsTo(primary, id)
		}
		assert.InDelta(t, 5, asked, 1, "the first read and a probe every half a minute")
		regionalFaults(store, nil)
		back := time.Now()
		for {
			secret, took := next()
			assert.Zero(t, took)
			if secret.Region == primary {
				break
			}
			time.Sleep(time.Second)
		}
		assert.LessOrEqual(t, time.Since(back), 32*time.Second)
		assert.Positive(t, client.Stats().Failovers)
	})
}

func TestASlowPrimaryIsNotTakenForDark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put("first", "value")
		store.Put("second", "value")
		regionalFaults(store, map[string]func(context.Context, string, string) error{primary: slow(time.Second)})
		client := newClient(t, store, secrets.WithFailover(replica))
		assert.Equal(t, replica, read(t, client, "first").Region)
		regionalFaults(store, nil)
		time.Sleep(time.Second) // the primary's late answer
		assert.Equal(t, primary, read(t, client, "second").Region)
	})
}

func TestNoFailoverWithoutRegions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "value")
		regionalFaults(store, map[string]func(context.Context, string, string) error{primary: dark})
		client := newClient(t, store)
		start := time.Now()
		_, err := client.Get(t.Context(), name)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "no answer in 5s")
		assert.Equal(t, secrets.DefaultTimeout, time.Since(start))
		assert.Zero(t, store.CallsTo(replica, name))
	})
}

func TestARefreshInAnOutageAsksTheReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "one")
		client := newClient(t, store, secrets.WithFailover(replica))
		read(t, client, name)
		store.Put(name, "two")
		regionalFaults(store, map[string]func(context.Context, string, string) error{primary: dark})
		require.NoError(t, client.Do(t.Context(), name, func(_ context.Context, secret secrets.Secret) error {
			if secret.Value.RevealString() == "one" {
				return secrets.Refused(errors.New("password authentication failed"))
			}
			assert.Equal(t, replica, secret.Region)
			return nil
		}))
	})
}

func TestOneSlowSecretDoesNotMakeTheRegionDark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		for _, id := range []string{"slow", "quick", "later"} {
			store.Put(id, "value")
		}
		store.BeforeCall(func(ctx context.Context, region, id string) error {
			if region == primary && id == "slow" {
				return slow(3*time.Second)(ctx, region, id)
			}
			return nil
		})
		client := newClient(t, store, secrets.WithFailover(replica))
		go func() {
			time.Sleep(100 * time.Millisecond)
			_, err := client.Get(t.Context(), "quick")
			assert.NoError(t, err)
		}()
		assert.Equal(t, replica, read(t, client, "slow").Region)
		assert.Equal(t, primary, read(t, client, "later").Region)
	})
}

func TestTheEnvironmentNamesTheFirstRegion(t *testing.T) {
	t.Setenv(spec.EnvRegion, replica)
	store := secretstest.New()
	store.Put(name, "value")
	client, err := secrets.New(t.Context(), secrets.WithAPI(store.API))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	assert.Equal(t, replica, read(t, client, name).Region)

	_, err = secrets.New(t.Context(), secrets.WithAPI(store.API), secrets.WithFailover(replica))
	require.ErrorContains(t, err, replica, "a region can't stand in for itself")
}
