package tasks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// engineTag is the build tag of the tests that run the real Pulumi engine.
	engineTag = "engine"

	// PulumiVariable is the environment variable that tells those tests the
	// absolute path of the pulumi CLI.
	PulumiVariable = "PULUMI_CLI"

	// slowDependency marks the packages that test:unit leaves out: their
	// compilation takes minutes.
	slowDependency = "github.com/pulumi/pulumi-aws/"

	// testTimeout ends the tests of a package that hang.
	testTimeout = "20m"
)

// testPlan says what a test task runs in each module.
type testPlan struct {
	alone  bool // also build and vet each module with GOWORK=off
	flags  []string
	env    []string
	tags   string
	choose func(ctx context.Context, module Module) ([]string, error) // packages; none: the module is left out
}

// Test runs everything: it checks that all is formatted and that each module
// builds alone, then runs all its tests, those with the real Pulumi engine too.
// What they need is built or installed before. It ends with a table, whatever
// failed.
func (w *Workspace) Test(ctx context.Context) error {
	if err := w.lintFormat(); err != nil {
		return err
	}
	engine, err := w.prepareEngine(ctx)
	if err != nil {
		return err
	}
	return w.test(ctx, testPlan{
		alone: true,
		flags: []string{"-count=1"},
		env:   engine,
		tags:  engineTag,
		choose: func(ctx context.Context, module Module) ([]string, error) {
			return w.packages(ctx, module)
		},
	})
}

// TestUnit runs the quick tests: those that -short leaves in, of the packages
// that don't link the Pulumi AWS provider's SDK.
func (w *Workspace) TestUnit(ctx context.Context) error {
	return w.test(ctx, testPlan{
		// The tests of magefiles read files of other modules, which the cache
		// of test results doesn't know of.
		flags: []string{"-short", "-count=1"},
		choose: func(ctx context.Context, module Module) ([]string, error) {
			return w.quickPackages(ctx, module)
		},
	})
}

// TestEngine runs the tests that need the real Pulumi engine, and no others of
// other packages.
func (w *Workspace) TestEngine(ctx context.Context) error {
	engine, err := w.prepareEngine(ctx)
	if err != nil {
		return err
	}
	return w.test(ctx, testPlan{
		flags: []string{"-count=1"},
		env:   engine,
		tags:  engineTag,
		choose: func(ctx context.Context, module Module) ([]string, error) {
			return w.enginePackages(ctx, module)
		},
	})
}

// TestRace runs the tests of the packages that test:unit runs under the race
// detector. It needs a C compiler.
func (w *Workspace) TestRace(ctx context.Context) error {
	return w.test(ctx, testPlan{
		flags: []string{"-race", "-count=1"},
		env:   []string{"CGO_ENABLED=1"},
		choose: func(ctx context.Context, module Module) ([]string, error) {
			return w.quickPackages(ctx, module)
		},
	})
}

// prepareEngine provides what the tests need: the database servers' programs,
// the artifacts of Build, and the pulumi CLI, whose place is in the environment
// that it returns.
func (w *Workspace) prepareEngine(ctx context.Context) ([]string, error) {
	if err := w.installDatabases(ctx); err != nil {
		return nil, err
	}
	if err := w.Build(ctx); err != nil {
		return nil, err
	}
	cli, err := w.install(ctx, pulumi)
	if err != nil {
		return nil, err
	}
	return []string{
		PulumiVariable + "=" + cli,
		"PATH=" + filepath.Dir(cli) + string(os.PathListSeparator) + os.Getenv("PATH"),
	}, nil
}

func (w *Workspace) test(ctx context.Context, plan testPlan) error {
	var results []moduleResult
	for _, module := range w.Modules {
		if ctx.Err() != nil {
			break
		}
		result, err := w.testModule(ctx, module, plan)
		if err != nil {
			return err
		}
		if result != nil {
			results = append(results, *result)
		}
	}
	w.progress.plain("\n" + summary(results, plan.tags))
	if ctx.Err() != nil {
		return fmt.Errorf("tests stopped: %w", context.Cause(ctx))
	}

	var failed []string
	for _, result := range results {
		if result.failed() {
			failed = append(failed, result.module.Folder)
		}
	}
	switch {
	case len(failed) > 0:
		return fmt.Errorf("tests failed in %s", strings.Join(failed, ", "))
	case len(results) == 0:
		return errors.New("no module has a test of this kind")
	}
	return nil
}

// testModule returns nil if the plan has nothing to do in the module.
func (w *Workspace) testModule(ctx context.Context, module Module, plan testPlan) (*moduleResult, error) {
	start := time.Now()
	packages, err := plan.choose(ctx, module)
	if err != nil {
		return nil, err
	}
	if len(packages) == 0 {
		return nil, nil
	}
	result := &moduleResult{module: module}
	defer func() { result.elapsed = time.Since(start) }()

	if plan.alone {
		if result.alone = w.buildAlone(ctx, module); result.alone != nil {
			w.progress.plain(result.alone.Error() + "\n")
		}
	}
	result.run, result.broken = w.goTest(ctx, module, plan, packages)
	if result.broken != nil {
		w.progress.plain(result.broken.Error() + "\n")
	}
	return result, nil
}

// buildAlone checks that the module builds and vets with nothing but its own
// go.mod.
func (w *Workspace) buildAlone(ctx context.Context, module Module) error {
	build := w.goCommand(module.Folder, "build", "-v", "-buildvcs=false", "./...").alone()
	if err := w.compile(ctx, build, "%s: build alone", module.Folder); err != nil {
		return err
	}
	vet := w.goCommand(module.Folder, "vet", "-v", "./...").alone()
	return w.compile(ctx, vet, "%s: vet alone", module.Folder)
}

// goTest runs the tests of the packages. The error is for what is no failed
// test; it is nil where the testRun tells of failures.
func (w *Workspace) goTest(ctx context.Context, module Module, plan testPlan, packages []string) (*testRun, error) {
	step := w.progress.begin("%s: test %d packages", module.Folder, len(packages))
	step.now("compiling")
	run := newTestRun(w.progress.plain, func(what string) { step.now("%s", what) })
	stdout := &lines{each: run.line}
	var messages strings.Builder

	args := append([]string{"test", "-json", "-timeout", testTimeout}, plan.flags...)
	if plan.tags != "" {
		args = append(args, "-tags", plan.tags)
	}
	c := w.goCommand(module.Folder, append(args, packages...)...)
	c.env = append(c.env, plan.env...)
	c.stdout, c.stderr = stdout, &messages
	err := c.run(ctx)
	stdout.flush()

	switch {
	case err != nil && len(run.failed) > 0 && ctx.Err() == nil:
		_ = step.end(err)
		return run, nil
	case err != nil:
		return run, step.end(withOutput(fmt.Errorf("test %s: %w", module.Folder, err), messages.String()))
	}
	return run, step.end(nil)
}

// packages lists the packages of a module.
func (w *Workspace) packages(ctx context.Context, module Module, flags ...string) ([]string, error) {
	listed, err := w.goCommand(module.Folder, append(append([]string{"list"}, flags...), "./...")...).output(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the packages of %s: %w", module.Folder, err)
	}
	return strings.Fields(listed), nil
}

// quickPackages lists the packages that have tests and whose tests don't link
// the slow dependency.
func (w *Workspace) quickPackages(ctx context.Context, module Module) ([]string, error) {
	const format = `{{if .ForTest}}{{else}}{{.ImportPath}} {{join .Deps " "}}{{end}}`
	listed, err := w.goCommand(module.Folder, "list", "-test", "-f", format, "./...").output(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the packages of %s: %w", module.Folder, err)
	}
	var quick []string
	for line := range strings.Lines(listed) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		// The program that go test makes of package p is listed as p.test.
		pkg, isTest := strings.CutSuffix(fields[0], ".test")
		slow := slices.ContainsFunc(fields[1:], func(dependency string) bool {
			return strings.HasPrefix(dependency, slowDependency)
		})
		if isTest && !slow {
			quick = append(quick, pkg)
		}
	}
	return quick, nil
}

// enginePackages lists the packages that have more test files with the engine's
// build tag than without.
func (w *Workspace) enginePackages(ctx context.Context, module Module) ([]string, error) {
	const format = `{{.ImportPath}}={{join .TestGoFiles ","}},{{join .XTestGoFiles ","}}`
	without, err := w.packages(ctx, module, "-f", format)
	if err != nil {
		return nil, err
	}
	with, err := w.packages(ctx, module, "-tags", engineTag, "-f", format)
	if err != nil {
		return nil, err
	}
	var engine []string
	for _, line := range with {
		if !slices.Contains(without, line) {
			pkg, _, _ := strings.Cut(line, "=")
			engine = append(engine, pkg)
		}
	}
	return engine, nil
}
