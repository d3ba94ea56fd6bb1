package story

import (
	"context"
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

// Chapter tells what begins, and what is to be seen in it.
func (t *Teller) Chapter(title, what string) {
	t.Print(fmt.Sprintf("\n%s\n%s\n\n", title, what))
}

// Step is a part of a chapter: what it does, and in what it results, in words.
type Step struct {
	Name string
	Do   func(context.Context) (string, error)
}

// Steps tells of steps and carries them out, up to the first that fails. What a
// step returns is told with its end.
func (t *Teller) Steps(ctx context.Context, steps ...Step) error {
	for _, s := range steps {
		if err := t.carryOut(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (t *Teller) carryOut(ctx context.Context, s Step) error {
	began := time.Now()
	t.Say("%s …", s.Name)
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
	result, err := s.Do(ctx)
	close(done)
	beat.Wait()
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
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
