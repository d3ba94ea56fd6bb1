// Command pipeline deploys a stack as a CI system does. See "pipeline --help"
// and docs/pipeline.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/aistudio/secrets/infra/pipeline"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second Ctrl-C ends the program at once. A second SIGTERM doesn't: CI
	// systems send one to what is about to end.
	context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt) })
	code := execute(ctx, os.Stdout, os.Stderr, os.Args[1:])
	stop()
	os.Exit(code)
}

// execute runs a command line and returns the exit code.
func execute(ctx context.Context, out, errs io.Writer, args []string) int {
	root, result := newRoot(out, errs)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return result.exitCode
	}
	fmt.Fprintln(errs, "pipeline:", err)
	var failed *failedError
	if errors.As(err, &failed) {
		return pipeline.ExitFailed
	}
	return pipeline.ExitRefused // wrong usage
}

// failedError is what couldn't be done, as opposed to what shouldn't be.
type failedError struct{ err error }

func (e *failedError) Error() string { return e.err.Error() }
func (e *failedError) Unwrap() error { return e.err }
