package run

import (
	"os"
	"runtime/debug"
)

// LimitMemory keeps the process small, whatever it audits. What an audit holds is
// about as much for 100,000 secrets as for 1,000, but Go's collector lets garbage
// grow to as much again, and a long run meets its worst moment more surely than a
// short one. Half of what is resident then is the program itself.
//
// The limit is a soft one: an estate with hundreds of thousands of findings may go
// beyond it, and pays with the processor's time, of which the runtime spends no
// more than half on it. Whoever sets GOMEMLIMIT knows better.
func LimitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softLimit)
	}
}

const softLimit = 16 << 20 // bytes
