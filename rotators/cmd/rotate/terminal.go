package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/aistudio/secrets/rotators/operate"
)

// terminal is who the command talks to.
type terminal struct {
	in      io.Reader
	out     io.Writer
	err     io.Writer
	human   bool // somebody can answer
	options operate.Options
}

func newTerminal() terminal {
	return terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, human: term.IsTerminal(int(os.Stdin.Fd()))}
}

// agrees asks the question; everything but yes is no.
func (t terminal) agrees(question string) error {
	if !t.human {
		return &operate.RefusedError{Reason: "nothing was changed: there is no terminal to ask at, so say --yes (or --dry-run)"}
	}
	fmt.Fprintf(t.err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(t.in).ReadString('\n')
	if err != nil && answer == "" {
		return &operate.RefusedError{Reason: "nothing was changed: no answer"}
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return &operate.RefusedError{Reason: "nothing was changed"}
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
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

// moment writes a time in UTC, to the second.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}
