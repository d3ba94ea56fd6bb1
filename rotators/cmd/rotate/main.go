// Command rotate operates the rotation of a secret by hand. See "rotate --help"
// and docs/operating-rotation.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/aistudio/secrets/rotators/operate"
)

// The exit codes.
const (
	exitDone    = 0
	exitFailed  = 1 // it was tried and failed, or couldn't be followed to its end
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
	var refused *operate.RefusedError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errTold):
		return exitFailed
	}
	fmt.Fprintln(t.err, "rotate:", err)
	if !started || errors.As(err, &refused) {
		return exitRefused
	}
	return exitFailed
}
