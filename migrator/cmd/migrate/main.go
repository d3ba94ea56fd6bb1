// Command migrate moves a company's secrets from environment variables and
// parameters to Secrets Manager, and back if need be. See "migrate --help" and
// docs/migrating.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// The exit codes.
const (
	exitDone     = 0
	exitFindings = 1 // it was done, and something is left to look at: findings, blocks, failed steps, not valid
	exitCouldNot = 2 // it couldn't be done: wrong usage, wrong plan, no answer from AWS
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, newTerminal(), os.Args[1:]))
}

func execute(ctx context.Context, t terminal, args []string) int {
	command := newRoot(t)
	command.SetArgs(args)
	err := command.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errFindings):
		return exitFindings
	}
	fmt.Fprintln(t.err, "migrate:", err)
	return exitCouldNot
}
