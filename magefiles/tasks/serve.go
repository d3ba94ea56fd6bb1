package tasks

import (
	"context"
	"fmt"
	"os"
)

// Demo builds the Lambda functions and runs the demo, which ends by itself.
func (w *Workspace) Demo(ctx context.Context, args ...string) error {
	if err := w.BuildLambdas(ctx); err != nil {
		return err
	}
	demo, err := w.compileHere(ctx, "demo", ".", "demo")
	if err != nil {
		return err
	}
	return w.serve(ctx, demo, args...)
}

// LocalStart runs the local cloud until it is interrupted.
func (w *Workspace) LocalStart(ctx context.Context, args ...string) error {
	localcloud, err := w.compileHere(ctx, "localcloud", "./cmd/localcloud", "localcloud")
	if err != nil {
		return err
	}
	return w.serve(ctx, localcloud, args...)
}

// serve runs a program of ours in front of the user. After a Ctrl-C it has the
// time that it needs to clean up.
func (w *Workspace) serve(ctx context.Context, program string, args ...string) error {
	c := command{
		dir:     w.Root,
		name:    program,
		args:    args,
		stdout:  os.Stdout,
		stderr:  os.Stderr,
		patient: true,
	}
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("run %w", err)
	}
	return nil
}
