// Command recovery moves a stack's secrets to their replicas' region and back,
// and drills that. See "recovery --help" and docs/disaster-recovery.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/aistudio/secrets/operations/recovery"
)

// The exit codes.
const (
	exitDone    = 0
	exitFailed  = 1 // something failed, or isn't as it should be
	exitRefused = 2 // wrong usage, or it can't be done as things are; nothing was changed
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, newTerminal(), os.Args[1:]))
}

func execute(ctx context.Context, t terminal, args []string) int {
	started := false
	command := newRoot(t, &started)
	command.SetArgs(args)
	err := command.ExecuteContext(ctx)
	var refused *recovery.RefusedError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errTold):
		return exitFailed
	}
	fmt.Fprintln(t.err, "recovery:", err)
	if !started || errors.As(err, &refused) {
		return exitRefused
	}
	return exitFailed
}
