// Command scorecard measures ADR-006's success metrics for a stack. See
// "scorecard --help" and docs/scorecard.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The exit codes, for builds.
const (
	exitMet     = 0 // every metric is met
	exitMissed  = 1 // one is missed
	exitUnknown = 2 // one is unknown and none missed, or the scorecard couldn't be made
)

var (
	errMissed  = errors.New("metrics are missed")
	errUnknown = errors.New("metrics are unknown")
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Stdout, os.Stderr, os.Args[1:]))
}

func execute(ctx context.Context, stdout, stderr io.Writer, args []string) int {
	command := newRoot()
	command.SetOut(stdout)
	command.SetErr(stderr)
	command.SetArgs(args)
	err := command.ExecuteContext(ctx)
	if err == nil {
		return exitMet
	}
	fmt.Fprintln(stderr, "scorecard:", err)
	if errors.Is(err, errMissed) {
		return exitMissed
	}
	return exitUnknown
}
