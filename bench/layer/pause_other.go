//go:build !linux

package layer

import "time"

// pause sleeps for about the time.
func pause(d time.Duration) { time.Sleep(d) }
