package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/blang/semver"
)

// Grace is how long a cancelled update may take to finish what it has begun,
// before it is killed: as long as AWS takes to make the slowest of the
// resources.
const Grace = 15 * time.Minute

// oldest is the oldest Pulumi CLI whose previews can ignore protection.
var oldest = semver.MustParse("3.274.0")

// Command runs the Pulumi CLI for the Automation API (it is an
// auto.PulumiCommand). It differs from Pulumi's own in three ways.
//
// A cancelled context interrupts the CLI and then waits: Pulumi finishes the
// calls that it has begun, saves the state and releases the lock. Pulumi's own
// kills it after ten seconds, which leaves a lock and pending operations behind.
//
// The CLI runs in a process group of its own, so that Ctrl-C in a terminal
// reaches it once and not twice, which would kill it too.
//
// Previews show what would happen to protected resources in place of failing at
// them, so that a gate can say all of it. Updates keep the protection.
//
// It is safe for concurrent use.
type Command struct {
	program string
	version semver.Version
	grace   time.Duration
}

// NewCommand finds a CLI by its name or path, and runs it once to learn its
// version. A cancelled update is killed after the grace.
func NewCommand(ctx context.Context, cli string, grace time.Duration) (*Command, error) {
	program, err := exec.LookPath(cli)
	if err != nil {
		return nil, fmt.Errorf("find the Pulumi CLI: %w; install it, or build the pinned one with `go tool mage tools:install` and put bin/ on PATH", err)
	}
	if program, err = filepath.Abs(program); err != nil {
		return nil, fmt.Errorf("find the Pulumi CLI: %w", err)
	}
	c := &Command{program: program, grace: grace}
	printed, _, _, err := c.Run(ctx, "", nil, nil, nil, []string{"PULUMI_SKIP_UPDATE_CHECK=true"}, "version")
	if err != nil {
		return nil, fmt.Errorf("ask %s for its version: %w", program, err)
	}
	if c.version, err = semver.ParseTolerant(strings.TrimSpace(printed)); err != nil {
		return nil, fmt.Errorf("ask %s for its version: %w", program, err)
	}
	if c.version.LT(oldest) || c.version.Major != oldest.Major {
		return nil, fmt.Errorf("the Pulumi CLI %s is version %s, and the pipeline needs %s or a later 3: install a newer one, or build the pinned one with `go tool mage tools:install` and put bin/ on PATH", program, c.version, oldest)
	}
	return c, nil
}

// Version returns the version of the CLI.
func (c *Command) Version() semver.Version { return c.version }

// Run runs the CLI and returns what it wrote, its exit code, and a
// *CommandError if that isn't 0.
func (c *Command) Run(ctx context.Context, workdir string, stdin io.Reader, stdouts, stderrs []io.Writer, env []string, args ...string) (stdout, stderr string, code int, err error) {
	args = append([]string{"--non-interactive"}, args...)
	if slices.Contains(args, "preview") || (slices.Contains(args, "destroy") && slices.Contains(args, "--preview-only")) {
		args = append(args, "--ignore-protect")
	}
	var out, errs bytes.Buffer
	command := exec.CommandContext(context.WithoutCancel(ctx), c.program, args...)
	command.Dir = workdir
	command.Env = slices.Concat(os.Environ(), env, []string{
		"PULUMI_AUTOMATION_API=true",
		"PATH=" + filepath.Dir(c.program) + string(os.PathListSeparator) + os.Getenv("PATH"),
	})
	command.Stdin = stdin
	command.Stdout = io.MultiWriter(append(slices.Clone(stdouts), &out)...)
	command.Stderr = io.MultiWriter(append(slices.Clone(stderrs), &errs)...)
	command.SysProcAttr = ownGroup()
	command.WaitDelay = leftBehind

	if err = ctx.Err(); err == nil {
		err = command.Start()
	}
	if err == nil {
		stop := c.interrupt(ctx, command.Process)
		err = command.Wait()
		stop()
	}
	code = command.ProcessState.ExitCode() // -1 if it never ran
	if err != nil {
		err = &CommandError{Code: code, Message: complaint(errs.String(), out.String()), err: err}
	}
	return out.String(), errs.String(), code, err
}

// leftBehind is how long to wait for the output of what the CLI started, once it
// has ended itself.
const leftBehind = 10 * time.Second

// interrupt stops a process in order once the context ends, and kills it if it
// is still there when the grace is over. The returned function ends that.
func (c *Command) interrupt(ctx context.Context, process *os.Process) (stop func()) {
	ended := make(chan struct{})
	release := context.AfterFunc(ctx, func() {
		// An error means that the process has ended by itself.
		_ = process.Signal(os.Interrupt)
		timer := time.NewTimer(c.grace)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			_ = process.Kill()
		}
	})
	return func() {
		close(ended)
		release()
	}
}

// CommandError is that the Pulumi CLI failed.
type CommandError struct {
	// Code is the exit code of the CLI, -1 if it was killed or never ran.
	Code int
	// Message is what the CLI said about it. It holds no inputs and no outputs
	// of resources.
	Message string

	err error
}

// Error implements error.
func (e *CommandError) Error() string {
	if e.Message == "" {
		return e.err.Error()
	}
	return e.Message
}

// Unwrap returns the error of the process.
func (e *CommandError) Unwrap() error { return e.err }

// complaint picks what the CLI wrote about its failure, a paragraph, out of its
// output, whose other lines hold inputs and outputs of resources.
func complaint(stderr, stdout string) string {
	for _, text := range []string{stderr, stdout} {
		at := strings.LastIndex(text, "error: ")
		if at < 0 {
			continue
		}
		paragraph, _, _ := strings.Cut(text[at+len("error: "):], "\n\n")
		return strings.TrimSpace(paragraph)
	}
	return ""
}

// message returns what is to be told of an error of the Automation API, whose
// own text repeats all that the CLI printed, outputs included.
func message(err error) string {
	var command *CommandError
	if errors.As(err, &command) {
		return command.Error()
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}
