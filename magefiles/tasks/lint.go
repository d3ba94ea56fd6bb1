package tasks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aistudio/secrets/magefiles/architecture"
)

// Lint reads the code of all modules: gofmt, the rules of the architecture,
// go vet and golangci-lint. It goes through all of them before it fails.
func (w *Workspace) Lint(ctx context.Context) error {
	golangci, err := w.install(ctx, golangciLint)
	if err != nil {
		return err
	}
	failures := []error{w.lintFormat(), w.lintArchitecture()}
	for _, module := range w.Modules {
		packages, err := w.packages(ctx, module)
		if err != nil {
			return err
		}
		if len(packages) == 0 {
			continue
		}
		vet := w.goCommand(module.Folder, "vet", "-v", "-tags", engineTag, "./...")
		failures = append(failures, w.compile(ctx, vet, "%s: go vet", module.Folder))

		lint := w.goCommand(module.Folder, "run", "--allow-serial-runners", "--config", w.path(".golangci.yml"), "./...")
		lint.name = golangci
		failures = append(failures, w.report(ctx, lint, module.Folder+": golangci-lint"))
	}
	return joinFailures("lint", failures)
}

// Vulnerabilities looks for known vulnerabilities that the code can reach.
func (w *Workspace) Vulnerabilities(ctx context.Context) error {
	program, err := w.install(ctx, govulncheck)
	if err != nil {
		return err
	}
	var failures []error
	for _, module := range w.Modules {
		packages, err := w.packages(ctx, module)
		if err != nil {
			return err
		}
		if len(packages) == 0 {
			continue
		}
		check := w.goCommand(module.Folder, "./...").alone()
		check.name = program
		err = w.report(ctx, check, module.Folder+": govulncheck")
		if err != nil && databaseUnreachable(err) {
			return fmt.Errorf("the code was NOT checked for vulnerabilities: the Go vulnerability database can't be reached from here; "+
				"run lint:vuln on a machine that reaches it, or set GOVULNDB to a copy (see govulncheck -h): %w", err)
		}
		failures = append(failures, err)
	}
	return joinFailures("lint:vuln", failures)
}

// databaseUnreachable tells the errors of govulncheck that say nothing about
// the code.
func databaseUnreachable(err error) bool {
	message := err.Error()
	return strings.Contains(message, "fetching vulnerabilities") ||
		strings.Contains(message, "could not load vulnerability database") ||
		strings.Contains(message, "no such host") ||
		strings.Contains(message, "dial tcp")
}

// Format rewrites all Go files as gofmt and the import order of .golangci.yml
// want them.
func (w *Workspace) Format(ctx context.Context) error {
	golangci, err := w.install(ctx, golangciLint)
	if err != nil {
		return err
	}
	for _, module := range w.Modules {
		fmtCommand := w.goCommand(module.Folder, "fmt", "--config", w.path(".golangci.yml"), "./...")
		fmtCommand.name = golangci
		if err := w.report(ctx, fmtCommand, module.Folder+": format"); err != nil {
			return err
		}
	}
	return nil
}

// report runs a command as a step, shows what it prints when it fails, and
// returns that in the error.
func (w *Workspace) report(ctx context.Context, c command, name string) error {
	step := w.progress.begin("%s", name)
	var printed bytes.Buffer
	c.stdout, c.stderr = &printed, &printed
	err := c.run(ctx)
	if err != nil {
		err = withOutput(err, printed.String())
	}
	return step.end(err)
}

func joinFailures(task string, failures []error) error {
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("%s found:\n%w", task, err)
	}
	return nil
}

// lintArchitecture applies the rules of package architecture.
func (w *Workspace) lintArchitecture() error {
	step := w.progress.begin("who may import whom, and the other rules of the house")
	violations, err := architecture.Check(os.DirFS(w.Root))
	if err != nil {
		return step.end(err)
	}
	failures := make([]error, 0, len(violations))
	for _, violation := range violations {
		failures = append(failures, errors.New(violation.String()))
	}
	return step.end(errors.Join(failures...))
}

// lintFormat finds the Go files that gofmt would change.
func (w *Workspace) lintFormat() error {
	step := w.progress.begin("gofmt")
	var unformatted []string
	for _, module := range w.Modules {
		err := filepath.WalkDir(w.path(module.Folder), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(name) != ".go" {
				return err
			}
			formatted, err := isFormatted(name)
			if err == nil && !formatted {
				unformatted = append(unformatted, name)
			}
			return err
		})
		if err != nil {
			return step.end(fmt.Errorf("gofmt: %w", err))
		}
	}
	if len(unformatted) > 0 {
		return step.end(fmt.Errorf("not formatted (go tool mage fmt does it):\n%s", strings.Join(unformatted, "\n")))
	}
	return step.end(nil)
}

func isFormatted(name string) (bool, error) {
	source, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	formatted, err := format.Source(source)
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	return bytes.Equal(source, formatted), nil
}
