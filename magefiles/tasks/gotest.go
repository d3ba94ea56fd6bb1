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

// testRun reads the events of one `go test -json` and keeps what is worth
// telling: the closing line of each package, all that failed with what it
// printed, and what was skipped.
type testRun struct {
	show func(text string)         // shows text at once
	now  func(what string)         // hears what goes on
	open map[string]*packageOutput // packages that have not ended
	done int                       // packages that have

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

func newTestRun(show func(string), now func(what string)) *testRun {
	return &testRun{show: show, now: now, open: map[string]*packageOutput{}}
}

// line takes one line of the output of go test. What is no event (go test
// prints some errors plainly) is shown as it is.
func (r *testRun) line(line string) {
	var event testEvent
	if err := json.Unmarshal([]byte(line), &event); err != nil {
		r.show(line + "\n")
		return
	}
	switch {
	case event.Action == "build-output":
		r.show(event.Output)
	case event.Package == "":
	case event.Test == "":
		r.packageEvent(event)
	default:
		r.testEvent(event)
	}
}

func (r *testRun) packageEvent(event testEvent) {
	p := r.of(event.Package)
	switch event.Action {
	case "start":
		r.goesOn("running " + event.Package)
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
		r.done++
		if len(r.open) == 0 {
			r.goesOn("compiling")
		}
	}
}

func (r *testRun) goesOn(what string) {
	if r.done > 0 {
		what = fmt.Sprintf("%d done, %s", r.done, what)
	}
	r.now(what)
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
		r.goesOn("running " + event.Package + " " + event.Test)
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
