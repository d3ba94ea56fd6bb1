package tasks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Migrate runs a command of bin/migrate, such as "plan dev" or "phase run prod".
// It may ask in the terminal. The command's exit status is the target's.
func (w *Workspace) Migrate(ctx context.Context, args ...string) error {
	program, err := w.compileHere(ctx, "migrator", "./cmd/migrate", "migrate")
	if err != nil {
		return err
	}
	c := command{dir: w.Root, name: program, args: args, stdout: os.Stdout, stderr: os.Stderr, patient: true, asks: true}
	err = c.run(ctx)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return &ExitError{exit.ExitCode(), fmt.Errorf("migrate %s: %w", args[0], err)}
	}
	return err
}
