package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/aistudio/secrets/operations/recovery"
)

// terminal is who the command talks to.
type terminal struct {
	in    io.Reader
	out   io.Writer
	err   io.Writer
	human bool          // somebody can answer
	poll  time.Duration // of what AWS does in the background; 0: the default
}

func newTerminal() terminal {
	return terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, human: term.IsTerminal(int(os.Stdin.Fd()))}
}

// agrees asks the question; everything but yes is no.
func (t terminal) agrees(question string) error {
	if !t.human {
		return &recovery.RefusedError{Reason: "nothing was changed: there is no terminal to ask at, so say --yes (or --dry-run)"}
	}
	fmt.Fprintf(t.err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(t.in).ReadString('\n')
	if err != nil && answer == "" {
		return &recovery.RefusedError{Reason: "nothing was changed: no answer"}
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return &recovery.RefusedError{Reason: "nothing was changed"}
}

// progress writes a line at the end of each step, and now and then in between.
func (t terminal) progress(every time.Duration) func(recovery.Progress) {
	var last time.Time
	return func(p recovery.Progress) {
		end := p.Done == p.Total
		if p.Done == 0 || !end && time.Since(last) < every {
			return
		}
		last = time.Now()
		fmt.Fprintf(t.err, "  %s: %d of %d\n", p.Step, p.Done, p.Total)
	}
}

func show(w io.Writer, p *recovery.Plan) {
	fmt.Fprintf(w, "%s of %s, %d secrets, now in %s:\n", p.Action, p.Status.Environment, len(p.Status.Secrets), p.Status.Where)
	for _, step := range p.Steps {
		fmt.Fprintln(w, "  - "+step)
	}
	for _, warning := range p.Warnings {
		fmt.Fprintln(w, "  ! "+warning)
	}
	for _, blocked := range p.Blocked {
		fmt.Fprintln(w, "  x "+blocked)
	}
}
