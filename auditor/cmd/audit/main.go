// Command audit audits the secrets of an account by hand. See "audit --help".
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/aistudio/secrets/auditor/run"
)

// The exit codes, for builds.
const (
	exitClean        = 0
	exitFindings     = 1 // findings at or over the threshold
	exitCouldNotTell = 2 // the audit could not be made, or not completely
)

func main() {
	run.LimitMemory()
	os.Exit(execute(os.Args[1:]))
}

func execute(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command := newRoot()
	command.SetArgs(args)
	err := command.ExecuteContext(ctx)
	var found findingsError
	switch {
	case err == nil:
		return exitClean
	case errors.As(err, &found):
		fmt.Fprintln(os.Stderr, err)
		return exitFindings
	default:
		fmt.Fprintln(os.Stderr, "audit:", err)
		return exitCouldNotTell
	}
}
