package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/infra/pipeline"
)

// result is how a command ended.
type result struct{ exitCode int }

// setting are the flags of all commands that work on a stack.
type setting struct {
	out, errs io.Writer
	result    *result

	project   string
	artifacts string
	commit    string
	cli       string
	grace     time.Duration
	asJSON    bool
	summary   string
}

func newRoot(out, errs io.Writer) (*cobra.Command, *result) {
	s := &setting{out: out, errs: errs, result: &result{}}
	root := &cobra.Command{
		Use:   "pipeline",
		Short: "Deploy a stack through previews, policy checks, approvals and promotion",
		Long: `Deploy a stack through previews, policy checks, approvals and promotion.

The stacks are dev, staging and prod, in this order. Credentials of AWS and of
Pulumi's backend are those of the environment. The log goes to standard error,
the result to standard output. No output has a value of an input: only names of
properties.

Ctrl-C or SIGTERM stops an update: what has begun is finished, the rest is left.

Exit status: 0 done, or there is nothing to do; 1 failed or cancelled; 2 a
preview or a look for drift found changes; 3 refused, nothing was touched.
docs/pipeline.md has more.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(out)
	root.SetErr(errs)
	f := root.PersistentFlags()
	f.StringVarP(&s.project, "project", "C", ".", "folder of Pulumi.yaml")
	f.StringVar(&s.artifacts, "artifacts", "dist", "folder of the Lambda archives and their SHA256SUMS; a relative path starts at the project's folder")
	f.StringVar(&s.commit, "commit", "", "full hash of the commit that is deployed; git tells it by default")
	f.StringVar(&s.cli, "pulumi", "pulumi", "the Pulumi CLI, a name on PATH or a path")
	f.DurationVar(&s.grace, "grace", pipeline.Grace, "how long a cancelled update may take to finish what it has begun, before it is killed")
	f.BoolVar(&s.asJSON, "json", false, "write the report as JSON")
	f.StringVar(&s.summary, "summary", "", "also write the report as Markdown to this file, for a pull request")
	root.AddCommand(newPreview(s), newUp(s), newPromote(s), newDestroy(s), newDrift(s), newRecover(s), newChecks(s))
	return root, s.result
}

// run runs an operation on a stack and tells how it ended.
func (s *setting) run(command *cobra.Command, stack string, u update, operation func(context.Context, *pipeline.Pipeline) pipeline.Report) error {
	ctx := command.Context()
	p, err := s.open(ctx, stack, u)
	if err != nil {
		outcome := pipeline.Refused
		var failed *failedError
		if errors.As(err, &failed) {
			outcome = pipeline.Failed
		}
		return s.tell(pipeline.NotBegun(command.Name(), stack, outcome, err))
	}
	return s.tell(operation(ctx, p))
}

// tell writes the report of a run, and keeps its exit code.
func (s *setting) tell(report pipeline.Report) error {
	s.result.exitCode = report.ExitCode
	if s.summary != "" {
		if err := s.summarize(report); err != nil {
			return &failedError{err}
		}
	}
	write := report.WriteText
	if s.asJSON {
		write = func(w io.Writer) error { return writeJSON(w, report) }
	}
	if err := write(s.out); err != nil {
		return &failedError{fmt.Errorf("write the report: %w", err)}
	}
	return nil
}

func (s *setting) summarize(report pipeline.Report) error {
	file, err := os.Create(s.summary)
	if err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	if err := report.WriteMarkdown(file); err != nil {
		_ = file.Close()
		return fmt.Errorf("write the summary: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	return nil
}

// log writes a line for people.
func (s *setting) log(line string) {
	fmt.Fprintf(s.errs, "%s %s\n", time.Now().UTC().Format(time.TimeOnly), line)
}

// folder returns a path that starts at the project's folder unless it is
// absolute.
func (s *setting) folder(path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.project, path)
	}
	return filepath.Abs(path)
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}
