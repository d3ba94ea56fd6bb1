package lambda

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	// initLimit is AWS's for the Init phase of a function on demand.
	initLimit = 10 * time.Second
	// shutdownLimit is AWS's for the Shutdown phase with external extensions,
	// of which the runtime gets runtimeShutdownLimit.
	shutdownLimit        = 2 * time.Second
	runtimeShutdownLimit = 300 * time.Millisecond
)

type shutdownReason string

const (
	reasonSpindown shutdownReason = "spindown"
	reasonTimeout  shutdownReason = "timeout"
	reasonFailure  shutdownReason = "failure"
)

// participant is the runtime or an extension: whoever asks for the next event.
type participant struct {
	name    string
	events  map[string]bool // extensions: INVOKE, SHUTDOWN
	waiting bool            // it asked and has no event yet
	next    chan event
}

// event is what a participant gets: headers and a body.
type event struct {
	header map[string]string
	body   []byte
}

func newParticipant(name string) *participant {
	return &participant{name: name, events: map[string]bool{}, next: make(chan event, 1)}
}

// failure is what ends an environment, in the form of a function error.
type failure struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

func (f *failure) Error() string { return f.Message }

func (f failure) payload(requestID string) []byte {
	f.Message = fmt.Sprintf("RequestId: %s Error: %s", requestID, f.Message)
	b, _ := json.Marshal(f) // two strings
	return b
}

// answer is what the runtime replied to an invocation, or to Init.
type answer struct {
	payload []byte
	failed  bool
}

// environment is one execution environment: the processes of the runtime and
// of the external extensions, and the API that they talk to.
type environment struct {
	x           *Executor
	fn          Function
	credentials Credentials
	stream      string
	dir         string
	listener    net.Listener
	server      *http.Server
	out         *output

	mu         sync.Mutex
	changed    chan struct{} // closed and replaced at every change below
	runtime    *participant
	extensions map[string]*participant // by identifier
	processes  []*process
	current    *Invocation
	answer     *answer
	initError  *answer
	failure    *failure
	initTime   time.Duration // 0 once it has been reported
	ready      bool          // Init is over
	ending     bool
	killed     bool
}

// newEnvironment starts an environment. It always returns one that takes an
// invocation, if only to answer that Init failed; the error is for what is
// wrong outside of the function.
func (x *Executor) newEnvironment(ctx context.Context, fn Function) (*environment, error) {
	credentials, err := x.cfg.Credentials(ctx, fn)
	if err != nil {
		return nil, err
	}
	id := make([]byte, 16)
	rand.Read(id)
	e := &environment{
		x: x, fn: fn, credentials: credentials,
		stream:     fmt.Sprintf("%s/[%s]%s", x.cfg.Now().Format("2006/01/02"), fn.Version, hex.EncodeToString(id)),
		changed:    make(chan struct{}),
		runtime:    newParticipant("runtime"),
		extensions: map[string]*participant{},
	}
	if e.dir, err = x.environmentDir(fn); err != nil {
		return nil, err
	}
	if e.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for the runtime of %s: %w", fn.Name, err), os.RemoveAll(e.dir))
	}
	if e.out, err = newOutput(func(lines []string) { x.cfg.Log(fn, e.stream, lines) }); err != nil {
		return nil, errors.Join(err, e.listener.Close(), os.RemoveAll(e.dir))
	}
	e.server = &http.Server{Handler: e.routes()}   //nolint:gosec // no timeouts: a frozen process may take any time
	go func() { _ = e.server.Serve(e.listener) }() // ends with the environment
	if err := x.add(e); err != nil {
		e.shutdown(reasonFailure)
		return nil, err
	}
	e.init()
	return e, nil
}

// init is the Init phase: external extensions register, then the runtime
// starts, then all ask for the first event.
func (e *environment) init() {
	start := time.Now()
	deadline := start.Add(max(initLimit, e.fn.Timeout))
	external, err := externalExtensions(e.fn.Layers)
	for _, path := range external {
		if err == nil {
			err = e.start(path, true)
		}
	}
	if err == nil {
		err = e.await(deadline, func() bool { return len(e.extensions) >= len(external) })
	}
	if err == nil {
		var bootstrap string
		if bootstrap, err = entrypoint(e.fn); err == nil {
			err = e.start(bootstrap, false)
		}
	}
	if err == nil {
		err = e.await(deadline, func() bool { return e.initError != nil || e.allWaiting() })
	}
	e.change(func() {
		var f *failure
		switch {
		case e.failure != nil || err == nil:
		case errors.Is(err, errDeadline):
			e.failure = e.timeoutFailure()
		case errors.As(err, &f):
			e.failure = f
		default:
			e.failure = &failure{"Runtime.Unknown", err.Error()}
		}
		e.ready = true
		e.initTime = time.Since(start)
	})
	for _, x := range e.extensionList() {
		e.log("EXTENSION\tName: " + x.name + "\tState: Ready\tEvents: [" + eventNames(x) + "]")
	}
	e.freeze()
}

// timedOut is the error type of an invocation that took too long.
const timedOut = "Sandbox.Timedout"

func (e *environment) timeoutFailure() *failure {
	return &failure{timedOut, fmt.Sprintf("Task timed out after %.2f seconds", e.fn.Timeout.Seconds())}
}

// usable tells whether the environment can take another invocation, with
// credentials that last until its timeout.
func (e *environment) usable(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	expires := e.credentials.Expiration
	return e.failure == nil && e.initError == nil && !e.killed && (expires.IsZero() || now.Add(e.fn.Timeout).Before(expires))
}

// invoke is the Invoke phase. The environment is frozen before and after.
func (e *environment) invoke(inv Invocation) Result {
	if inv.TraceID == "" {
		inv.TraceID = newTraceID(time.Now())
	}
	start := time.Now()
	deadline := start.Add(e.fn.Timeout)
	e.out.startTail()
	e.log(fmt.Sprintf("START RequestId: %s Version: %s", inv.RequestID, e.fn.Version))

	e.thaw()
	e.change(func() {
		e.answer, e.current = e.initError, &inv
		if e.failure == nil && e.initError == nil {
			e.deliverInvoke(inv, deadline)
		}
	})
	err := e.await(deadline, func() bool { return e.answer != nil && (e.initError != nil || e.allWaiting()) })
	duration := time.Since(start)
	e.freeze()
	e.out.drain()

	result, status := e.conclude(inv, err)
	e.log("END RequestId: " + inv.RequestID)
	e.log(e.report(inv, duration, status))
	result.Tail = e.out.tail()
	return result
}

// conclude turns what happened into the caller's result and the words that the
// REPORT line has for it.
func (e *environment) conclude(inv Invocation, err error) (result Result, status string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if errors.Is(err, errDeadline) && e.failure == nil {
		e.failure = e.timeoutFailure()
	}
	e.current = nil
	if e.failure != nil {
		status = "\tStatus: error\tError Type: " + e.failure.Type
		if e.failure.Type == timedOut {
			status = "\tStatus: timeout"
		}
	}
	switch {
	case e.answer != nil && e.answer.failed:
		return Result{Payload: e.answer.payload, FunctionError: "Unhandled"}, status
	case e.answer != nil:
		return Result{Payload: e.answer.payload}, status
	default:
		return Result{Payload: e.failure.payload(inv.RequestID), FunctionError: "Unhandled"}, status
	}
}

func (e *environment) report(inv Invocation, d time.Duration, status string) string {
	ms := float64(d.Microseconds()) / 1000
	line := fmt.Sprintf("REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB",
		inv.RequestID, ms, int(ms)+1, e.fn.Memory, e.peakMemory())
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.initTime > 0 {
		line += fmt.Sprintf("\tInit Duration: %.2f ms", float64(e.initTime.Microseconds())/1000)
		e.initTime = 0
	}
	return line + status
}

func (e *environment) log(line string) { e.out.write(line) }

// errDeadline is await's error when the time is up.
var errDeadline = errors.New("the deadline has passed")

// await waits until done, which is called with the lock held, or the deadline
// passes or the environment fails; a failure is returned as the error.
func (e *environment) await(deadline time.Time, done func() bool) error {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for {
		e.mu.Lock()
		ok, failed, changed := done(), e.failure, e.changed
		e.mu.Unlock()
		if ok {
			return nil
		}
		if failed != nil {
			return failed
		}
		select {
		case <-changed:
		case <-timer.C:
			return errDeadline
		}
	}
}

// change changes the environment's state under its lock and wakes await.
func (e *environment) change(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
	close(e.changed)
	e.changed = make(chan struct{})
}

// allWaiting tells whether the runtime and all extensions have asked for the
// next event. The lock is held.
func (e *environment) allWaiting() bool {
	for _, x := range e.extensions {
		if !x.waiting {
			return false
		}
	}
	return e.runtime.waiting
}

// shutdown is the Shutdown phase and what comes after it: no process is left,
// and no file.
func (e *environment) shutdown(reason shutdownReason) {
	var done bool
	e.change(func() { done, e.ending = e.ending, true })
	if done {
		return
	}
	deadline := time.Now().Add(shutdownLimit)
	e.stopRuntime(reason)
	e.stopExtensions(reason, deadline)
	e.kill()
	e.out.close()
	_ = e.server.Close()
	_ = os.RemoveAll(e.dir)
	e.x.remove(e)
}

// stopRuntime ends the runtime: politely if there are external extensions and
// nothing has failed.
func (e *environment) stopRuntime(reason shutdownReason) {
	var runtimes []*process
	external := false
	for _, p := range e.processList() {
		if p.extension {
			external = true
		} else {
			runtimes = append(runtimes, p)
		}
	}
	for _, p := range runtimes {
		if external && reason == reasonSpindown {
			p.terminate()
			p.thaw()
			p.waitUntil(time.Now().Add(runtimeShutdownLimit))
		}
		p.kill()
	}
}

func (e *environment) stopExtensions(reason shutdownReason, deadline time.Time) {
	told := map[string]bool{}
	e.change(func() {
		for _, x := range e.extensions {
			if x.events["SHUTDOWN"] {
				told[x.name] = true
				x.deliver(shutdownEvent(reason, deadline))
			}
		}
	})
	e.thaw()
	for _, p := range e.processList() {
		if p.extension && told[p.name] {
			p.waitUntil(deadline)
		}
		p.kill()
	}
}

// kill kills all processes, the runtime first so that its end is what gets
// reported, and returns when they are gone.
func (e *environment) kill() {
	e.mu.Lock()
	e.killed = true
	e.mu.Unlock()
	for _, p := range slices.Backward(e.processList()) {
		p.kill()
	}
}

// reason is why an environment that can't be used any more is shut down.
func (e *environment) reason() shutdownReason {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.failure != nil && e.failure.Type == timedOut:
		return reasonTimeout
	case e.failure != nil || e.initError != nil || e.killed:
		return reasonFailure
	default:
		return reasonSpindown
	}
}

func (e *environment) freeze() {
	for _, p := range e.processList() {
		p.freeze()
	}
}

func (e *environment) thaw() {
	for _, p := range e.processList() {
		p.thaw()
	}
}

func (e *environment) peakMemory() int {
	total := 0
	for _, p := range e.processList() {
		total += p.peakMemory()
	}
	return total
}

func (e *environment) processList() []*process {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]*process(nil), e.processes...)
}
