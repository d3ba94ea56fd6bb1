package layer

import (
	"syscall"
	"time"
)

// pause sleeps for about the time, or less when a signal comes. time.Sleep would
// wake up at whole milliseconds, and the requests would come in bursts.
func pause(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // the caller looks at the clock
}
