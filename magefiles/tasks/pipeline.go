package tasks

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
)

// Pipeline runs a command of the pipeline, with the Pulumi CLI of the machine
// or the pinned one. What it deploys has to be built before. The command's exit
// status is the target's.
func (w *Workspace) Pipeline(ctx context.Context, command string, args ...string) error {
	cli, err := w.install(ctx, pulumi)
	if err != nil {
		return err
	}
	program, err := w.compileHere(ctx, "infra", "./cmd/pipeline", "pipeline")
	if err != nil {
		return err
	}
	err = w.serve(ctx, program, append([]string{command, "--pulumi", cli, "--project", w.Root}, args...)...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return &ExitError{exit.ExitCode(), fmt.Errorf("pipeline %s: %w", command, err)}
	}
	return err
}
