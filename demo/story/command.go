package story

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// goesOn is how long a program that was told to stop may take.
const goesOn = 10 * time.Second

// command runs one of the project's programs as an operator does, with nothing in
// its environment but the emulator, and decodes the JSON that it prints. A status
// of 1 is no error: the program has done its work, and what it prints says what is
// left to look at.
func (w *World) command(ctx context.Context, into any, name string, args ...string) error {
	program, err := w.options.program(name)
	if err != nil {
		return err
	}
	var printed, words bytes.Buffer
	c := exec.CommandContext(ctx, program, append(args, "--json")...)
	c.Dir = w.Dir
	c.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.Dir, "TMPDIR=" + w.Dir,
		"AWS_ENDPOINT_URL=" + w.Cloud.URL(), "AWS_REGION=" + Region, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
	}
	c.Stdout, c.Stderr = &printed, &words
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = goesOn
	err = c.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("%s %s: stopped: %w", name, args[0], context.Cause(ctx))
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil
	}
	if err == nil {
		err = json.Unmarshal(printed.Bytes(), into)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(words.String()))
	}
	return nil
}
