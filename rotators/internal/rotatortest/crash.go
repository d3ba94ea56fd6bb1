package rotatortest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stride is from one point to be killed at to the next: all, or a few in a short
// run.
func stride() int {
	if testing.Short() {
		return 9
	}
	return 1
}

// KillEverywhere seeds and rotates with the rotator killed at each point in
// turn, in a short run at some, and tried again. settled is told of all values
// that have to work in the end.
func (e *Estate) KillEverywhere(k *Killer, settled func(when string, values ...string), works func(value string) bool) {
	var seeded []string // values of all seeds
	seeds := 1
	for ; ; seeds += stride() {
		e.ARN = e.CreateSecret(fmt.Sprintf("aistudio/dev/orders/seeded-%d", seeds), "")
		k.Arm(seeds)
		err := e.Seed()
		died := k.Died()
		if died {
			require.ErrorIs(e, err, ErrDead)
			err = e.Seed()
		}
		when := fmt.Sprintf("seed killed at point %d", seeds)
		require.NoError(e, err, when)
		value, _ := e.Staged("AWSCURRENT")
		require.True(e, works(value), when)
		seeded = append(seeded, value)
		settled(when, seeded...)
		if !died {
			break
		}
	}
	point := e.KillRotations(k, seeded[:len(seeded)-1], settled, works)
	e.Logf("a seed has %d points to be killed at, and a rotation %d; in a short run at most", seeds-1, point-1)
	require.Greater(e, seeds, 6, "too few points to die at")
}

// KillRotations rotates the secret with the rotator killed at each point in
// turn, in a short run at some, and tried again by Secrets Manager. settled is
// told of all values that have to work in the end, others among them. It returns
// the first point that it tried at which nothing dies any more.
func (e *Estate) KillRotations(k *Killer, others []string, settled func(when string, values ...string), works func(value string) bool) int {
	e.Helper()
	e.RotateNow()
	point := 1
	for ; ; point += stride() {
		_, before := e.Staged("AWSCURRENT")
		k.Arm(point)
		e.RotateNow()
		died := k.Died()
		if died {
			current, _ := e.Staged("AWSCURRENT")
			require.True(e, works(current), "killed at point %d", point)
			require.NoError(e, e.Cloud.Advance(e.Context(), 90*time.Second))
			require.NoError(e, e.Cloud.Settle(e.Context()))
		}
		current, after := e.Staged("AWSCURRENT")
		require.NotEqual(e, before, after, "killed at point %d: nothing was rotated", point)
		previous, id := e.Staged("AWSPREVIOUS")
		require.Equal(e, before, id, "killed at point %d", point)
		settled(fmt.Sprintf("killed at point %d", point), append([]string{current, previous}, others...)...)
		if !died {
			break
		}
		require.False(e, strings.Contains(e.Logs.String(), current), "a value is in the log")
	}
	require.Greater(e, point, 30, "too few points to die at")
	require.NotEmpty(e, e.Logs.String())
	require.False(e, strings.Contains(e.Logs.String(), "canary"), "a credential is in a log or an error")
	return point
}
