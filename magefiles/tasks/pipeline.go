package tasks

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

// Pipeline runs a command of the pipeline on a stack, with the Pulumi CLI of the
// machine or the pinned one. What it deploys has to be built before. The
// command's exit status is the target's.
func (w *Workspace) Pipeline(ctx context.Context, command, stack string, flags ...string) error {
	cli, err := w.install(ctx, pulumi)
	if err != nil {
		return err
	}
	return w.pipeline(ctx, append([]string{command, stack, "--pulumi", cli, "--project", w.Root}, flags...)...)
}

// PipelineChecks lists the policy checks.
func (w *Workspace) PipelineChecks(ctx context.Context, flags ...string) error {
	return w.pipeline(ctx, append([]string{"checks"}, flags...)...)
}

func (w *Workspace) pipeline(ctx context.Context, args ...string) error {
	program, err := w.compileHere(ctx, "infra", "./cmd/pipeline", "pipeline")
	if err != nil {
		return err
	}
	err = w.serve(ctx, program, args...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return &ExitError{exit.ExitCode(), fmt.Errorf("pipeline %s: %w", args[0], err)}
	}
	return err
}
