package secrets

import (
	"context"
	"time"
)

// withRunningTimeout returns a context that is cancelled with
// context.DeadlineExceeded as its cause after the process ran for d. A process that
// is frozen (a Lambda environment between invokes, a stopped container) finds a
// usual deadline blown when it thaws, though the call had no time at all.
//
// A ticker drops the ticks that nobody took, so a freeze of any length counts
// as one tick.
func withRunningTimeout(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	const ticks = 10
	ctx, cancel := context.WithCancelCause(parent)
	go func() {
		ticker := time.NewTicker(max(d/ticks, 1))
		defer ticker.Stop()
		for range ticks {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
		cancel(context.DeadlineExceeded)
	}()
	return ctx, func() { cancel(context.Canceled) }
}
