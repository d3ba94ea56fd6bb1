// Package clock is the local cloud's one notion of time. It ticks with the
// machine's clock and can be moved forward, so that what AWS does in 30 days
// (a scheduled rotation, the end of a recovery window) happens in a test at
// once, in the right order and with nothing left running behind it.
package clock

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"
)

// Clock tells the time, runs timers when they are due and keeps count of the
// background work that they start. The zero value is not usable: see New.
// All methods are safe for concurrent use.
type Clock struct {
	mu      sync.Mutex
	offset  time.Duration
	timers  timerHeap
	seq     int
	alarm   *time.Timer
	running int
	idle    chan struct{} // closed when running gets to 0; nil when idle
	// moving counts the Advances that run: they fire the timers, one by one.
	moving  int
	stopped bool
}

// New returns a clock that shows start and goes on from there at the speed of
// the machine's clock. A zero start means now.
func New(start time.Time) *Clock {
	c := &Clock{}
	if !start.IsZero() {
		c.offset = time.Until(start)
	}
	return c
}

// Now returns the current time in UTC, to the microsecond.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time {
	return time.Now().Add(c.offset).UTC().Round(0).Truncate(time.Microsecond)
}

// Timer is a function that waits for its time.
type Timer struct {
	clock *Clock
	due   time.Time
	seq   int
	index int // place in the heap; -1 when it is no longer there
	run   func()
}

// Stop keeps the timer from firing. It reports whether it still had to.
func (t *Timer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	if t.index < 0 {
		return false
	}
	heap.Remove(&t.clock.timers, t.index)
	return true
}

// AfterFunc runs f, as background work, when d has passed. Timers that are due
// at the same time fire in the order in which they were made.
func (c *Clock) AfterFunc(d time.Duration, f func()) *Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.add(c.now().Add(d), f)
}

// AtFunc runs f, as background work, when the clock shows at. A time that has
// passed means at once.
func (c *Clock) AtFunc(at time.Time, f func()) *Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.add(at, f)
}

func (c *Clock) add(due time.Time, f func()) *Timer {
	c.seq++
	t := &Timer{clock: c, due: due, seq: c.seq, index: -1, run: f}
	if c.stopped {
		return t
	}
	heap.Push(&c.timers, t)
	c.setAlarm()
	return t
}

// Go runs f in a goroutine that Settle, and so Advance, waits for. f must not
// wait for this clock, or they wait for each other: use AfterFunc for what
// comes later.
func (c *Clock) Go(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.start(f)
}

// start is Go for who holds mu: a timer that leaves the heap counts as running
// in the same moment, so that Settle never misses it.
func (c *Clock) start(f func()) {
	if c.running == 0 {
		c.idle = make(chan struct{})
	}
	c.running++
	go func() {
		defer c.done()
		f()
	}()
}

func (c *Clock) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	if c.running == 0 {
		close(c.idle)
		c.idle = nil
	}
}

// Settle runs the timers that are due and waits until no background work runs
// and none is due any more. Timers for later do not count.
func (c *Clock) Settle(ctx context.Context) error {
	for c.fire() {
		if err := c.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wait waits until no background work runs.
func (c *Clock) wait(ctx context.Context) error {
	for {
		c.mu.Lock()
		idle := c.idle
		c.mu.Unlock()
		if idle == nil {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return fmt.Errorf("wait for the local cloud's background work: %w", context.Cause(ctx))
		}
	}
}

// Advance moves the clock forward by d. It stops at every timer on the way,
// runs it and waits for all the work that it started, so that things happen in
// the order in which they would happen on AWS. It returns early, with the clock
// somewhere on the way, only when ctx ends.
func (c *Clock) Advance(ctx context.Context, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("advance the clock by %s: it can only go forward", d)
	}
	c.move(1)
	defer c.move(-1)
	if err := c.wait(ctx); err != nil {
		return err
	}
	target := c.Now().Add(d)
	for c.runNext(target) {
		if err := c.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// runNext moves the clock to the first timer due at or before target and starts
// it. Without one it moves the clock to target and reports false.
func (c *Clock) runNext(target time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.timers) > 0 && !c.timers[0].due.After(target) {
		t := heap.Pop(&c.timers).(*Timer)
		c.moveTo(t.due)
		c.start(t.run)
		return true
	}
	c.moveTo(target)
	return false
}

func (c *Clock) move(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moving += n
	c.setAlarm()
}

func (c *Clock) moveTo(t time.Time) {
	if ahead := t.Sub(c.now()); ahead > 0 {
		c.offset += ahead
	}
}

// setAlarm makes the machine's clock fire the first timer when it is due with
// nobody moving this clock.
func (c *Clock) setAlarm() {
	if c.alarm != nil {
		c.alarm.Stop()
		c.alarm = nil
	}
	if c.stopped || c.moving > 0 || len(c.timers) == 0 {
		return
	}
	c.alarm = time.AfterFunc(max(0, c.timers[0].due.Sub(c.now())), func() { c.fire() })
}

// fire starts the timers that are due. It reports whether any work runs now.
func (c *Clock) fire() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.stopped && c.moving == 0 && len(c.timers) > 0 && !c.timers[0].due.After(c.now()) {
		c.start(heap.Pop(&c.timers).(*Timer).run)
	}
	c.setAlarm()
	return c.running > 0
}

// Stop drops all timers; none fires any more, nor any that is made later. Work
// that runs goes on: see Settle.
func (c *Clock) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for _, t := range c.timers {
		t.index = -1
	}
	c.timers = nil
	c.setAlarm()
}

type timerHeap []*Timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].seq < h[j].seq
	}
	return h[i].due.Before(h[j].due)
}
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *timerHeap) Push(x any) {
	t := x.(*Timer)
	t.index = len(*h)
	*h = append(*h, t)
}
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	t.index = -1
	*h = old[:len(old)-1]
	return t
}
