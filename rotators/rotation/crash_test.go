package rotation_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// killed is the end of the function's process: nothing after it runs.
type killed struct{}

// crasher kills the process at its k-th call, before or after its effect.
type crasher struct{ left int }

func (c *crasher) call(string) error {
	c.left--
	if c.left == 0 {
		panic(killed{})
	}
	return nil
}

// arm makes every call to Secrets Manager and to the system a point to die at.
func (f *fixture) arm(k int) *crasher {
	c := &crasher{left: k}
	f.manager.intercept, f.manager.after, f.system.intercept = c.call, c.call, c.call
	return c
}

func (f *fixture) disarm() { f.manager.intercept, f.manager.after, f.system.intercept = nil, nil, nil }

// survive runs a function and tells whether it was killed.
func survive(run func() error) (dead bool, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			if _, dead = reason.(killed); !dead {
				panic(reason)
			}
		}
	}()
	return false, run()
}

// attempts runs something until it isn't killed, with the k-th call of the
// first run its last. It tells whether there was such a call.
func attempts(t *testing.T, f *fixture, k int, run func(context.Context) error) bool {
	t.Helper()
	c := f.arm(k)
	dead, err := survive(func() error { return run(t.Context()) })
	f.disarm()
	if !dead {
		require.NoError(t, err)
		return c.left <= 0
	}
	require.NoError(t, run(t.Context()), "the run after the one that was killed at call %d", k)
	return true
}

func TestARotationThatIsKilledAnywhereEndsWell(t *testing.T) {
	k := 1
	for ; ; k++ {
		f := seeded(t)
		require.NoError(t, f.manager.startRotation(token(1)))
		require.NoError(t, f.rotate(t.Context(), token(1), awsSteps), "so that there is a previous value")
		require.NoError(t, f.manager.startRotation(token(2)))

		died := attempts(t, f, k, func(ctx context.Context) error {
			assert.True(t, f.system.accepts(f.manager.value("AWSCURRENT")), "killed at call %d: the current value is refused", k)
			return f.rotate(ctx, token(2), awsSteps)
		})
		assert.Equal(t, token(2), f.manager.labelled("AWSCURRENT"), "killed at call %d", k)
		assert.Equal(t, token(1), f.manager.labelled("AWSPREVIOUS"), "killed at call %d", k)
		assert.True(t, f.system.accepts(f.manager.value("AWSCURRENT")), "killed at call %d", k)
		assert.True(t, f.system.accepts(f.manager.value("AWSPREVIOUS")), "killed at call %d", k)
		assert.Equal(t, 1, len(f.system.retired), "killed at call %d", k)
		require.NoError(t, f.manager.startRotation(token(3)), "killed at call %d: the next rotation is blocked", k)
		f.noCanary(t)
		if !died {
			break
		}
	}
	t.Logf("killed at each of %d points", k-1)
	assert.Greater(t, k, 30, "too few points to die at")
}

func TestASeedThatIsKilledAnywhereEndsWell(t *testing.T) {
	k := 1
	for ; ; k++ {
		f := unseeded()
		died := attempts(t, f, k, func(ctx context.Context) error {
			result, err := f.seed(ctx)
			if err == nil {
				assert.Equal(t, f.manager.labelled("AWSCURRENT"), result.VersionID)
			}
			return err
		})
		assert.True(t, f.system.accepts(f.manager.value("AWSCURRENT")), "killed at call %d", k)
		f.noCanary(t)
		if !died {
			break
		}
	}
	t.Logf("killed at each of %d points", k-1)
	assert.Greater(t, k, 6, "too few points to die at")
}

func TestSeedIsIdempotent(t *testing.T) {
	f := seeded(t)
	value, version := f.manager.value("AWSCURRENT"), f.manager.labelled("AWSCURRENT")
	again, err := f.seed(t.Context())
	require.NoError(t, err)
	assert.False(t, again.Seeded)
	assert.Equal(t, version, again.VersionID)
	assert.Equal(t, arn, again.SecretID)
	assert.True(t, f.manager.value("AWSCURRENT") == value)

	require.NoError(t, f.manager.startRotation(token(1)))
	require.NoError(t, f.rotate(t.Context(), token(1), awsSteps))
	accepted := fmt.Sprint(f.system.accepted)
	again, err = f.seed(t.Context())
	require.NoError(t, err)
	assert.False(t, again.Seeded)
	assert.Equal(t, token(1), again.VersionID)
	assert.True(t, fmt.Sprint(f.system.accepted) == accepted, "a seed touched a secret that rotates")
}

// Two seeds at once, of which the loser changed the system last.
func TestASeedThatLosesARaceAdoptsTheWinnersValue(t *testing.T) {
	f := unseeded()
	raced := false
	f.system.intercept = func(operation string) error {
		if operation != "Verify" || raced {
			return nil
		}
		raced = true
		winner := withSecret(f.manager)
		winner.system.made = 100
		_, err := winner.seed(t.Context())
		return err
	}
	result, err := f.seed(t.Context())
	require.NoError(t, err)
	assert.False(t, result.Seeded)
	assert.True(t, raced)
	assert.True(t, f.system.accepts(f.manager.value("AWSCURRENT")), "the stored value doesn't work")
}

// The loser of a race can also die after it changed the system.
func TestASeedRepairsAValueThatDoesNotWork(t *testing.T) {
	f := seeded(t)
	f.system.accepted = []string{"the loser's"}
	result, err := f.seed(t.Context())
	require.NoError(t, err)
	assert.False(t, result.Seeded)
	assert.True(t, f.system.accepts(f.manager.value("AWSCURRENT")))
}
