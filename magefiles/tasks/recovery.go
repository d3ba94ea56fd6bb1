package tasks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Recovery runs a command of bin/recovery for a stack. It may ask in the
// terminal. The command's exit status is the target's.
func (w *Workspace) Recovery(ctx context.Context, command, stack string, flags ...string) error {
	return w.operate(ctx, "recovery", append([]string{command, "--stack", w.stackFile(stack)}, flags...), command)
}

// operate builds a program of the operations and runs it.
func (w *Workspace) operate(ctx context.Context, name string, args []string, what string) error {
	program, err := w.compileHere(ctx, "operations", "./cmd/"+name, name)
	if err != nil {
		return err
	}
	err = w.interact(ctx, program, args)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return &ExitError{exit.ExitCode(), fmt.Errorf("%s %s: %w", name, what, err)}
	}
	return err
}

// interact runs a program that may ask in the terminal, at the root.
func (w *Workspace) interact(ctx context.Context, program string, args []string) error {
	return command{dir: w.Root, name: program, args: args, stdout: os.Stdout, stderr: os.Stderr, patient: true, asks: true}.run(ctx)
}
