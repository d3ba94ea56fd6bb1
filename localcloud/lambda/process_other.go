//go:build !linux

package lambda

import (
	"errors"
	"time"
)

// Lambda binaries are Linux binaries: elsewhere there is nothing to run.
var errNotLinux = errors.New("the emulator runs Lambda functions on Linux only")

type mountKind int

const mountNone mountKind = 0

type process struct {
	name      string
	extension bool
}

func (x *Executor) probeMount() mountKind { return mountNone }

func (e *environment) start(path string, extension bool) error { return errNotLinux }

func (p *process) freeze()             {}
func (p *process) thaw()               {}
func (p *process) terminate()          {}
func (p *process) kill()               {}
func (p *process) waitUntil(time.Time) {}
func (p *process) peakMemory() int     { return 0 }
