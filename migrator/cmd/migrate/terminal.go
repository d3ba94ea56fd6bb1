package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/aistudio/secrets/migrator/quota"
)

// terminal is who the command talks to.
type terminal struct {
	in    io.Reader
	out   io.Writer
	err   io.Writer
	human bool                        // somebody can answer
	bar   bool                        // err shows a bar that moves
	quota func(aws.Config) aws.Config // how fast AWS is called
	sleep func(time.Duration) error   // how to wait; nil: in real time
	self  func() (string, error)      // path of this program
}

func newTerminal() terminal {
	return terminal{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		human: term.IsTerminal(int(os.Stdin.Fd())), bar: term.IsTerminal(int(os.Stderr.Fd())),
		self:  os.Executable,
		quota: func(c aws.Config) aws.Config { return quota.Apply(c, quota.AWS()) },
	}
}

// errFindings ends a command that has said what is left to look at.
var errFindings = errors.New("findings")

// agrees asks the question; everything but yes is no.
func (t terminal) agrees(question string) error {
	if !t.human {
		return errors.New("nothing was changed: there is no terminal to ask at, so say --yes (or --dry-run)")
	}
	fmt.Fprintf(t.err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(t.in).ReadString('\n')
	if err != nil && answer == "" {
		return errors.New("nothing was changed: no answer")
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was changed")
}

func (t terminal) json(v any) error {
	encoder := json.NewEncoder(t.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// table writes rows whose cells are separated by tabs.
func table(w io.Writer, rows ...string) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintln(columns, strings.TrimRight(row, "\t ")); err != nil {
			return err
		}
	}
	return columns.Flush()
}

// progress shows how far things are: a bar on a terminal, else nothing, since a
// log has no use for it.
type progress struct {
	terminal
	what string
	bar  *progressbar.ProgressBar
}

// show tells of a step. total is 0 while nobody knows.
func (p *progress) show(what string, done, total int) {
	if !p.terminal.bar {
		return
	}
	if total <= 0 {
		total = -1
	}
	if p.bar == nil || p.what != what || p.bar.GetMax() != total {
		p.end()
		p.what, p.bar = what, progressbar.NewOptions(total,
			progressbar.OptionSetWriter(p.err), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
			progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	}
	_ = p.bar.Set(done) // a bar that can't be drawn is no reason to stop
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}

// moment writes a time in UTC, to the second.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}
