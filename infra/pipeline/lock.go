package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lock is what the backend says of who works on the stack.
type lock struct {
	// text is what it said.
	text string
	// host and pid are those of the process that made the lock; empty with
	// Pulumi Cloud, which doesn't say.
	host string
	pid  int
}

// conflicts are how the backends begin to tell of a lock: Pulumi's own, and
// Pulumi Cloud (as in auto.IsConcurrentUpdateError, which knows only errors of
// the Automation API's own calls).
var conflicts = []string{"the stack is currently locked by", "[409] Conflict: Another update is currently in progress."}

// holder is how Pulumi's own backends (S3, file and so on) tell of a lock.
var holder = regexp.MustCompile(`created by .*@(\S+) \(pid (\d+)\) at `)

// lockOf returns the lock that an operation met, or nil if that isn't why it
// failed.
func lockOf(err error) *lock {
	var command *CommandError
	if !errors.As(err, &command) || !slices.ContainsFunc(conflicts, func(text string) bool { return strings.Contains(command.Message, text) }) {
		return nil
	}
	l := &lock{text: command.Message}
	if found := holder.FindStringSubmatch(l.text); found != nil {
		l.host = found[1]
		l.pid, _ = strconv.Atoi(found[2])
	}
	return l
}

// held tells whether the process that made the lock is known to run.
func (l lock) held() bool {
	host, err := os.Hostname()
	return err == nil && l.host == host && l.pid > 0 && running(l.pid)
}

// waitTurn decides what to do about a lock. It returns whether to try again; if
// not, the outcome is that of the run and the report says why.
func (p *Pipeline) waitTurn(ctx context.Context, report *Report, met lock) (outcome Outcome, again bool) {
	switch {
	case p.options.CancelStaleLock && met.held():
		report.refuse(GateLock, "", "the lock isn't stale, the process that made it is running: "+met.text)
		report.next("wait for it, or stop it with Ctrl-C or SIGTERM, which releases the lock")
		return Refused, false
	case p.options.CancelStaleLock && !p.cancelled:
		if err := p.stack.Cancel(ctx); err != nil {
			report.fail("", "cancel the stale lock: "+message(err))
			return Failed, false
		}
		p.cancelled = true
		report.warn("the lock was cancelled by --cancel-stale-lock: " + met.text)
		p.log("cancelled the lock of the stack, as --cancel-stale-lock says")
		return "", true
	case p.options.Now().Sub(report.Started) < p.options.LockTimeout:
		p.log("somebody else works on the stack, waiting: %s", met.text)
		timer := time.NewTimer(lockPoll)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return Cancelled, false
		case <-timer.C:
			return "", true
		}
	}
	report.refuse(GateLock, "", "somebody else works on the stack: "+met.text)
	report.next("wait for the other run, or give this one time to wait with --lock-timeout")
	report.next(fmt.Sprintf("if no such run is there any more, it was killed and the lock is stale: pipeline %s %s --cancel-stale-lock", report.Command, report.Stack))
	return Refused, false
}

// lockPoll is how often to look whether a lock is gone.
const lockPoll = 5 * time.Second
