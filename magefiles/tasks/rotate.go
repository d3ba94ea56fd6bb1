package tasks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Rotate operates the rotation of a secret: command is one of bin/rotate's. It
// may ask in the terminal. The command's exit status is the target's.
func (w *Workspace) Rotate(ctx context.Context, command, secret string, flags ...string) error {
	program, err := w.compileHere(ctx, "rotators", "./cmd/rotate", "rotate")
	if err != nil {
		return err
	}
	return w.rotate(ctx, program, append([]string{command, secret}, flags...))
}

func (w *Workspace) rotate(ctx context.Context, program string, args []string) error {
	c := command{dir: w.Root, name: program, args: args, stdout: os.Stdout, stderr: os.Stderr, patient: true, asks: true}
	err := c.run(ctx)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return &ExitError{exit.ExitCode(), fmt.Errorf("rotate %s: %w", args[0], err)}
	}
	return err
}
