package tasks

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// testEvent is one line of `go test -json`, as `go doc test2json` and
// `go help buildjson` describe them.
type testEvent struct {
	Action     string
	Package    string
	ImportPath string // instead of Package in the events of a build
	Test       string // empty: the event is about the package
	Elapsed    float64
	Output     string
}

// moduleRuns hands each event of one `go test -json` to the run of the module
// that it is about.
type moduleRuns struct {
	show    func(text string) // shows text at once
	modules []Module
	runs    []*testRun // in the order of the modules
}

// newModuleRuns returns runs without events. now hears what goes on.
func newModuleRuns(modules []Module, show, now func(text string)) *moduleRuns {
	r := &moduleRuns{show: show, modules: modules}
	at := &whereabouts{now: now}
	for range modules {
		r.runs = append(r.runs, &testRun{show: show, at: at, open: map[string]*packageOutput{}})
	}
	return r
}

// line takes one line of the output of go test. What is no event (go test
// prints some errors plainly) is shown as it is.
func (r *moduleRuns) line(line string) {
	var event testEvent
	if err := json.Unmarshal([]byte(line), &event); err != nil {
		r.show(line + "\n")
		return
	}
	switch run := r.of(event.Package); {
	case event.Action == "build-output":
		r.show(event.Output)
	case run == nil:
	case event.Test == "":
		run.packageEvent(event)
	default:
		run.testEvent(event)
	}
}

// of returns the run of a package's module, which is the innermost one: a folder
// in a module may be another module. nil: it is in none.
func (r *moduleRuns) of(pkg string) *testRun {
	var found *testRun
	longest := 0
	for i, module := range r.modules {
		if (pkg == module.Path || strings.HasPrefix(pkg, module.Path+"/")) && len(module.Path) > longest {
			found, longest = r.runs[i], len(module.Path)
		}
	}
	return found
}

// anyFailed tells whether a test or a package failed.
func (r *moduleRuns) anyFailed() bool {
	return slices.ContainsFunc(r.runs, func(run *testRun) bool { return len(run.failed) > 0 })
}

// whereabouts tells how far a go test is.
type whereabouts struct {
	now        func(what string)
	open, done int // packages that have begun and not ended, and that have ended
}

func (w *whereabouts) goesOn(what string) {
	if w.done > 0 {
		what = fmt.Sprintf("%d done, %s", w.done, what)
	}
	w.now(what)
}

// testRun keeps of the events of a module's tests what is worth telling: the
// closing line of each package, all that failed with what it printed, and what
// was skipped.
type testRun struct {
	show func(text string) // shows text at once
	at   *whereabouts
	open map[string]*packageOutput // packages that have not ended

	packages int // that ran tests
	passed   int // tests and subtests
	failed   []testName
	skipped  []skippedTest
	elapsed  time.Duration // of the tests, without the compiler
}

// testName names a test, or with an empty Test a package that failed as a whole.
type testName struct {
	Package, Test string
}

type skippedTest struct {
	testName
	reason string
}

// packageOutput holds what the tests of one package have printed so far.
type packageOutput struct {
	own   strings.Builder
	order []string
	tests map[string]*testOutput
}

type testOutput struct {
	text   strings.Builder
	result string // pass, fail, skip; empty: it has not ended
}

func (r *testRun) packageEvent(event testEvent) {
	p := r.of(event.Package)
	switch event.Action {
	case "start":
		r.at.goesOn("running " + event.Package)
	case "output":
		p.own.WriteString(event.Output)
	case "pass", "skip", "fail":
		if len(p.tests) > 0 {
			r.packages++
		}
		r.elapsed += time.Duration(event.Elapsed * float64(time.Second))
		if event.Action == "fail" {
			r.packageFailed(event.Package, p)
		} else {
			r.show(closingLines(p.own.String()))
		}
		delete(r.open, event.Package)
		r.at.open, r.at.done = r.at.open-1, r.at.done+1
		if r.at.open == 0 {
			r.at.goesOn("compiling")
		}
	}
}

// packageFailed shows all that the failed tests and the package printed. A test
// without an end is one that the process died in.
func (r *testRun) packageFailed(name string, p *packageOutput) {
	failed := false
	for _, test := range p.order {
		output := p.tests[test]
		if output.result == "" {
			r.failed = append(r.failed, testName{name, test})
		}
		if output.result == "" || output.result == "fail" {
			failed = true
			r.show(output.text.String())
		}
	}
	if !failed {
		r.failed = append(r.failed, testName{Package: name})
	}
	r.show(p.own.String())
}

func (r *testRun) testEvent(event testEvent) {
	p := r.of(event.Package)
	output := p.tests[event.Test]
	if output == nil {
		output = &testOutput{}
		p.tests[event.Test] = output
		p.order = append(p.order, event.Test)
	}
	switch event.Action {
	case "run", "cont":
		r.at.goesOn("running " + event.Package + " " + event.Test)
	case "output":
		output.text.WriteString(event.Output)
	case "pass":
		output.result = event.Action
		output.text.Reset()
		r.passed++
	case "fail":
		output.result = event.Action
		r.failed = append(r.failed, testName{event.Package, event.Test})
	case "skip":
		output.result = event.Action
		r.skipped = append(r.skipped, skippedTest{
			testName: testName{event.Package, event.Test},
			reason:   skipReason(output.text.String()),
		})
		output.text.Reset()
	}
}

func (r *testRun) of(pkg string) *packageOutput {
	p := r.open[pkg]
	if p == nil {
		p = &packageOutput{tests: map[string]*testOutput{}}
		r.open[pkg] = p
		r.at.open++
	}
	return p
}

// closingLines returns the lines that `go test` without -json would end a
// package with: "ok", with the package and its seconds, or "?" where there are
// no tests.
func closingLines(output string) string {
	var kept strings.Builder
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "?   \t") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// skipReason returns what a test printed when it was skipped, without the lines
// that go test adds.
func skipReason(output string) string {
	var reasons []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		reasons = append(reasons, line)
	}
	return strings.Join(reasons, " ")
}

// rerun returns the command that runs a failed test again, for the module in
// the given folder.
func (t testName) rerun(module Module, tags string) string {
	pkg := "." + strings.TrimPrefix(t.Package, module.Path)
	args := []string{"go", "test"}
	if tags != "" {
		args = append(args, "-tags", tags)
	}
	if t.Test != "" {
		args = append(args, "-run", fmt.Sprintf("'^%s$'", strings.ReplaceAll(t.Test, "/", "$/^")))
	}
	return fmt.Sprintf("(cd %s && %s)", module.Folder, strings.Join(append(args, pkg), " "))
}

// roots returns the failed tests without those that failed only because a
// subtest of theirs did.
func roots(failed []testName) []testName {
	return slices.DeleteFunc(slices.Clone(failed), func(t testName) bool {
		return slices.ContainsFunc(failed, func(other testName) bool {
			return other.Package == t.Package && strings.HasPrefix(other.Test, t.Test+"/")
		})
	})
}
