package story

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Teller writes what happens for people to read: a line when a step begins, one
// when it ends, with how long it took, and a sign of life every few seconds.
type Teller struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

// NewTeller returns a teller that writes to out.
func NewTeller(out io.Writer) *Teller { return &Teller{out: out, start: time.Now()} }

const heartbeat = 10 * time.Second

// Step tells of a step and carries it out. What the step returns is told with
// its end.
func (t *Teller) Step(name string, do func() (string, error)) error {
	began := time.Now()
	t.Say("%s …", name)
	done := make(chan struct{})
	var beat sync.WaitGroup
	beat.Go(func() {
		ticker := time.NewTicker(heartbeat)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				t.Detail("still at it")
			case <-done:
				return
			}
		}
	})
	result, err := do()
	close(done)
	beat.Wait()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	t.Say("    %s (%.1f s)", result, time.Since(began).Seconds())
	return nil
}

// Say writes a line with the seconds since the beginning.
func (t *Teller) Say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "%6.1f  %s\n", time.Since(t.start).Seconds(), fmt.Sprintf(format, args...))
}

// Detail writes a line that belongs to the step that runs.
func (t *Teller) Detail(line string) { t.Say("    %s", line) }

// Print writes text as it is.
func (t *Teller) Print(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprint(t.out, text)
}
