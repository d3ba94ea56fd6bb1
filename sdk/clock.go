package secrets

import "time"

// instant is a reading of the wall clock in Unix nanoseconds. The monotonic
// clock won't do: it may stand still while the machine sleeps, as a Lambda
// environment does between invokes. That the wall clock can be set back is
// noticed by comparing it with the times it showed before (see expired).
type instant int64

func (i instant) since(then instant) time.Duration { return time.Duration(i - then) }

func (i instant) add(d time.Duration) instant { return i + instant(d) }

func (i instant) before(deadline instant) bool { return i < deadline }

func (i instant) time() time.Time { return time.Unix(0, int64(i)) }

// clock reads the time.
type clock struct {
	now func() time.Time // nil: the system's wall clock
}

func (c *clock) read() instant {
	if c.now == nil {
		return wallClock()
	}
	return instant(c.now().UnixNano())
}
