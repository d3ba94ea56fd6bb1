package tasks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
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
	testTimeout = "30m"
)

// testPlan says what a test task runs.
type testPlan struct {
	alone bool // also build and vet each module with GOWORK=off
	flags []string
	env   []string
	tags  string
}

// choice is the packages of a module that are to be tested; none: the module is
// left out.
type choice func(ctx context.Context, module Module) ([]string, error)

// Test runs everything: it checks that all is formatted and that each module
// builds alone, then runs all its tests, those with the real Pulumi engine too.
// What they need is built or installed before. It ends with a table, whatever
// failed.
func (w *Workspace) Test(ctx context.Context) error {
	if err := w.lintFormat(); err != nil {
		return err
	}
	if err := w.installBrowser(ctx); err != nil {
		return err
	}
	engine, err := w.prepareEngine(ctx)
	if err != nil {
		return err
	}
	plan := testPlan{alone: true, flags: []string{"-count=1"}, env: engine, tags: engineTag}
	return w.testEach(ctx, plan, func(ctx context.Context, module Module) ([]string, error) {
		return w.packages(ctx, module)
	})
}

// TestUnit runs the quick tests: those that -short leaves in, of the packages
// that don't link the Pulumi AWS provider's SDK.
func (w *Workspace) TestUnit(ctx context.Context) error {
	return w.testQuick(ctx, testPlan{flags: []string{
		"-short",
		// The tests of magefiles read files of other modules, and others compile
		// programs: the cache of test results doesn't know of either.
		"-count=1",
		// Many tests wait, for databases, processes and pauses.
		"-p", strconv.Itoa(2 * runtime.NumCPU()),
	}})
}

// TestEngine runs the tests that need the real Pulumi engine, and no others of
// other packages.
func (w *Workspace) TestEngine(ctx context.Context) error {
	engine, err := w.prepareEngine(ctx)
	if err != nil {
		return err
	}
	return w.testEach(ctx, testPlan{flags: []string{"-count=1"}, env: engine, tags: engineTag}, w.enginePackages)
}

// TestRace runs the tests of the packages that test:unit runs under the race
// detector. It needs a C compiler.
func (w *Workspace) TestRace(ctx context.Context) error {
	return w.testQuick(ctx, testPlan{flags: []string{"-race", "-count=1"}, env: []string{"CGO_ENABLED=1"}})
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

// testEach tests one module after the other.
func (w *Workspace) testEach(ctx context.Context, plan testPlan, choose choice) error {
	start := time.Now()
	var results []moduleResult
	for _, module := range w.Modules {
		if ctx.Err() != nil {
			break
		}
		begin := time.Now()
		packages, err := choose(ctx, module)
		if err != nil {
			return err
		}
		if len(packages) == 0 {
			continue
		}
		var alone error
		if plan.alone {
			if alone = w.buildAlone(ctx, module); alone != nil {
				w.progress.plain(alone.Error() + "\n")
			}
		}
		result := w.goTest(ctx, []Module{module}, plan, packages)[0]
		result.alone, result.elapsed = alone, time.Since(begin)
		results = append(results, result)
	}
	return w.conclude(ctx, plan, results, time.Since(start))
}

// testQuick tests the quick packages of all modules by one go test: it reads the
// modules once, and no processor waits for the last test of a module.
func (w *Workspace) testQuick(ctx context.Context, plan testPlan) error {
	start := time.Now()
	packages, err := w.quickPackages(ctx)
	if err != nil {
		return err
	}
	var results []moduleResult
	if len(packages) > 0 {
		for _, result := range w.goTest(ctx, w.Modules, plan, packages) {
			if result.run.packages > 0 || result.failed() {
				results = append(results, result)
			}
		}
	}
	return w.conclude(ctx, plan, results, time.Since(start))
}

// conclude prints the table and returns what a test task ends with.
func (w *Workspace) conclude(ctx context.Context, plan testPlan, results []moduleResult, elapsed time.Duration) error {
	w.progress.plain("\n" + summary(results, plan.tags, elapsed))
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

// goTest runs the tests of packages of the modules by one go test, and returns
// a result for each module, whose time is that of its tests alone.
func (w *Workspace) goTest(ctx context.Context, modules []Module, plan testPlan, packages []string) []moduleResult {
	name, folder := "all modules", "."
	if len(modules) == 1 {
		name, folder = modules[0].Folder, modules[0].Folder
	}
	step := w.progress.begin("%s: test %d packages", name, len(packages))
	step.now("compiling")
	runs := newModuleRuns(modules, w.progress.plain, func(what string) { step.now("%s", what) })
	stdout := &lines{each: runs.line}
	var messages strings.Builder

	args := append([]string{"test", "-json", "-timeout", testTimeout}, plan.flags...)
	if plan.tags != "" {
		args = append(args, "-tags", plan.tags)
	}
	c := w.goCommand(folder, append(args, packages...)...)
	c.env = append(c.env, plan.env...)
	c.stdout, c.stderr = stdout, &messages
	err := c.run(ctx)
	stdout.flush()
	_ = step.end(err)

	var broken error // what is no failed test
	if err != nil && (!runs.anyFailed() || ctx.Err() != nil) {
		broken = withOutput(fmt.Errorf("test %s: %w", name, err), messages.String())
		w.progress.plain(broken.Error() + "\n")
	}
	results := make([]moduleResult, 0, len(modules))
	for i, module := range modules {
		results = append(results, moduleResult{module: module, run: runs.runs[i], broken: broken, elapsed: runs.runs[i].elapsed})
	}
	return results
}

// packages lists the packages of a module.
func (w *Workspace) packages(ctx context.Context, module Module, flags ...string) ([]string, error) {
	listed, err := w.goCommand(module.Folder, append(append([]string{"list"}, flags...), "./...")...).output(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the packages of %s: %w", module.Folder, err)
	}
	return strings.Fields(listed), nil
}

// quickPackages lists the packages of all modules that have tests and whose
// tests don't link the slow dependency.
func (w *Workspace) quickPackages(ctx context.Context) ([]string, error) {
	const format = `{{if .ForTest}}{{else}}{{.ImportPath}} {{join .Deps " "}}{{end}}`
	args := []string{"list", "-test", "-f", format}
	for _, module := range w.Modules {
		args = append(args, "./"+module.Folder+"/...")
	}
	listed, err := w.goCommand(".", args...).output(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the packages: %w", err)
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
