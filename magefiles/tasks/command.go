package tasks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// killAfter is how long a command that was told to stop may take before it is
// killed. It is under the five seconds that mage waits for its targets after a
// Ctrl-C.
const killAfter = 4 * time.Second

// command is a program to run.
type command struct {
	dir  string   // where; absolute
	env  []string // added to the environment of this process
	name string
	args []string

	stdout, stderr io.Writer // nil: discarded

	// patient leaves the command as long as it needs to stop, and lets it say
	// by its exit status whether that was a good end. Else it and all that it
	// started are killed after killAfter, and to be stopped is a failure.
	patient bool

	// asks lets the command read from the terminal: it stays in the process
	// group of mage, which alone may, so that it must bear two interrupts.
	asks bool
}

// run runs the command until it ends. When ctx ends before, the command gets an
// interrupt, as if by Ctrl-C.
//
// The command has a process group of its own: a Ctrl-C in the terminal reaches
// only mage, which ends ctx, so that the command gets one interrupt and not two
// (many programs take the second one as "stop without cleaning up").
func (c command) run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, c.name, c.args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Stdout, cmd.Stderr = c.stdout, c.stderr
	if c.asks {
		cmd.Stdin = os.Stdin
	} else {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	cmd.Cancel = func() error {
		if c.patient {
			return cmd.Process.Signal(os.Interrupt)
		}
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	}
	if !c.patient {
		cmd.WaitDelay = killAfter
	}

	err := cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil && !c.patient {
		// The group may be gone already, which is as good.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	switch {
	case c.patient && cmd.ProcessState != nil && cmd.ProcessState.Success():
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: stopped: %w", c, context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("%s: %w", c, err)
	}
	return nil
}

// output runs the command and returns what it wrote to its standard output. The
// error carries what it wrote to its standard error.
func (c command) output(ctx context.Context) (string, error) {
	var stdout, stderr bytes.Buffer
	c.stdout, c.stderr = &stdout, &stderr
	if err := c.run(ctx); err != nil {
		return "", withOutput(err, stderr.String())
	}
	return stdout.String(), nil
}

func (c command) String() string {
	return strings.Join(append([]string{c.name}, c.args...), " ")
}

// withOutput adds what a command printed to the error that it ended with.
func withOutput(err error, output string) error {
	output = strings.TrimSpace(output)
	if output == "" {
		return err
	}
	return fmt.Errorf("%w\n%s", err, output)
}

// goCommand is the go command in a module of the workspace, whatever GOWORK is
// where mage was started. Cgo is off, so that no C compiler is needed and all
// builds share one build cache.
func (w *Workspace) goCommand(folder string, args ...string) command {
	return command{
		dir:  w.path(folder),
		env:  []string{"CGO_ENABLED=0", "GOWORK="},
		name: "go",
		args: args,
	}
}

// alone makes a go command ignore go.work, so that the module has only what its
// own go.mod gives it.
func (c command) alone() command {
	c.env = append(c.env, "GOWORK=off")
	return c
}

// errParentGone is why a task ends whose mage was killed.
var errParentGone = errors.New("the mage process is gone")

// Interruptible returns a context that ends with ctx, when this process is told
// to terminate, or when its parent is gone: whoever kills "go tool mage" kills
// only the outer one of its processes, and servers must not stay behind.
func Interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithCancelCause(ctx)
	parent := os.Getppid()
	go func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if os.Getppid() != parent {
					cancel(errParentGone)
				}
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		stop()
	}
}
