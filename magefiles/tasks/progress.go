package tasks

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progress tells what runs now. Every line begins with the time since the task
// was started, so that the log of a CI run shows where the minutes went.
type progress struct {
	start time.Time
	every time.Duration

	mu  sync.Mutex
	out io.Writer
}

func newProgress(out io.Writer, every time.Duration) *progress {
	return &progress{start: time.Now(), every: every, out: out}
}

// step is a piece of work that is going on.
type step struct {
	progress *progress
	name     string
	start    time.Time
	done     chan struct{}
	stopped  sync.WaitGroup

	mu     sync.Mutex
	detail string
}

// begin prints that a step begins and repeats it with the last detail at every
// heartbeat until end is called.
func (p *progress) begin(format string, args ...any) *step {
	s := &step{progress: p, name: fmt.Sprintf(format, args...), start: time.Now(), done: make(chan struct{})}
	p.printf("%s", s.name)
	s.stopped.Go(s.beat)
	return s
}

// now says what the step is at; it shows at the next heartbeat.
func (s *step) now(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detail = fmt.Sprintf(format, args...)
}

// end stops the heartbeat, prints how the step ended and hands err on.
func (s *step) end(err error) error {
	close(s.done)
	s.stopped.Wait()
	outcome := "done"
	if err != nil {
		outcome = "FAILED"
	}
	s.progress.printf("%s: %s in %s", s.name, outcome, seconds(time.Since(s.start)))
	return err
}

func (s *step) beat() {
	ticker := time.NewTicker(s.progress.every)
	defer ticker.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-ticker.C:
			s.mu.Lock()
			detail := s.detail
			s.mu.Unlock()
			if detail != "" {
				detail = ": " + detail
			}
			s.progress.printf("  … %s, %s so far%s", s.name, seconds(time.Since(s.start)), detail)
		}
	}
}

// printf writes one whole line, whoever else writes at the same time.
func (p *progress) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "[%6s] %s\n", seconds(time.Since(p.start)), fmt.Sprintf(format, args...))
}

// plain writes text as it is, apart from the lines of the progress.
func (p *progress) plain(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprint(p.out, text)
}

func seconds(d time.Duration) string {
	return d.Round(time.Second).String()
}
