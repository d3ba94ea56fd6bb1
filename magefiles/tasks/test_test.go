package tasks

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A workspace whose tests end in every way that tests can end.
var outcomes = map[string]string{
	"go.work":              "go 1.26\nuse (\n\t./good\n\t./bad\n)\n",
	"good/go.mod":          "module example.com/good\n\ngo 1.26\n",
	"good/good.go":         "package good\n",
	"good/bare/bare.go":    "package bare\n",
	"good/good_test.go":    "package good\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) {\n\tt.Log(\"chatter\")\n\tt.Run(\"sub\", func(t *testing.T) {})\n}\n\nfunc TestLater(t *testing.T) { t.Skip(\"needs a moon\") }\n",
	"bad/go.mod":           "module example.com/bad\n\ngo 1.26\n",
	"bad/wrong/w_test.go":  "package wrong\n\nimport \"testing\"\n\nfunc TestFine(t *testing.T) {}\n\nfunc TestWrong(t *testing.T) {\n\tt.Run(\"deep one\", func(t *testing.T) { t.Error(\"one isn't two\") })\n}\n",
	"bad/panics/p_test.go": "package panics\n\nimport \"testing\"\n\nfunc TestPanics(t *testing.T) { panic(\"oh no\") }\n",
	"bad/exits/e_test.go":  "package exits\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestExits(t *testing.T) { os.Exit(7) }\n",
	"bad/main/m_test.go":   "package main\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestMain(m *testing.M) { m.Run(); os.Exit(1) }\n\nfunc TestFine(t *testing.T) {}\n",
	"bad/broken/b_test.go": "package broken\n\nimport \"testing\"\n\nfunc TestB(t *testing.T) { undefined() }\n",
	"bad/broken/broken.go": "package broken\n",
	"bad/panics/doc.go":    "package panics\n",
	"bad/wrong/doc.go":     "package wrong\n",
	"bad/exits/doc.go":     "package exits\n",
	"bad/main/main.go":     "package main\n\nfunc main() {}\n",
}

var uncached = testPlan{flags: []string{"-count=1"}}

// all chooses all packages.
func all(context.Context, Module) ([]string, error) { return []string{"./..."}, nil }

// The task fails, tells all that failed and how to run it again, and shows the
// closing lines of go test.
func TestEveryWayATestCanEnd(t *testing.T) {
	t.Run("one module after the other", func(t *testing.T) {
		w, out := openTree(t, outcomes)
		require.EqualError(t, w.testEach(t.Context(), uncached, all), "tests failed in bad")
		checkEveryWay(t, out.String())
		assert.Regexp(t, `(?m)^\?   \texample.com/good/bare\t\[no test files\]$`, out.String())
	})
	t.Run("all together", func(t *testing.T) {
		w, out := openTree(t, outcomes)
		require.EqualError(t, w.testQuick(t.Context(), uncached), "tests failed in bad")
		checkEveryWay(t, out.String())
	})
}

func checkEveryWay(t *testing.T, text string) {
	t.Helper()

	assert.Regexp(t, `(?m)^ok  \texample.com/good\t[0-9.]+s$`, text)
	assert.Regexp(t, `(?m)^FAIL\texample.com/bad/wrong\t[0-9.]+s$`, text)
	assert.Regexp(t, `(?m)^FAIL\texample.com/bad/broken \[build failed\]$`, text)
	assert.NotContains(t, text, "chatter", "what passed is quiet")
	assert.Contains(t, text, "one isn't two")
	assert.Contains(t, text, "panic: oh no")
	assert.Contains(t, text, "undefined: undefined")

	assert.Regexp(t, `(?m)^ *good +1 +2 +0 +1 +[0-9]+ *$`, text)
	assert.Regexp(t, `(?m)^ *bad +4 +2 +6 +0 +[0-9]+ +FAILED$`, text)
	assert.Regexp(t, `(?m)^ *all +5 +4 +6 +1 +[0-9]+ *$`, text)
	assert.Regexp(t, `(?m)^  example.com/good TestLater: .*needs a moon$`, text)

	for _, command := range []string{
		`(cd bad && go test -run '^TestWrong$/^deep_one$' ./wrong)`,
		`(cd bad && go test -run '^TestPanics$' ./panics)`,
		`(cd bad && go test -run '^TestExits$' ./exits)`,
		`(cd bad && go test ./main)`,
		`(cd bad && go test ./broken)`,
	} {
		assert.Contains(t, text, "\n  "+command+"\n")
	}
	assert.NotContains(t, text, `'^TestWrong$'`, "its subtest says it better")
}

// The commands that the summary gives really run just what failed.
func TestTheRerunCommandWorks(t *testing.T) {
	w, _ := openTree(t, outcomes)
	rerun := testName{"example.com/bad/wrong", "TestWrong/deep_one"}.rerun(Module{Folder: "bad", Path: "example.com/bad"}, "")
	again := shell(rerun + " || true")
	again.dir = w.Root
	again.env = []string{"GOWORK="}
	printed, err := again.output(t.Context())
	require.NoError(t, err)
	assert.Contains(t, printed, "--- FAIL: TestWrong/deep_one")
	assert.NotContains(t, printed, "TestFine")
}

func TestAllPassed(t *testing.T) {
	w, out := openTree(t, outcomes)
	w.Modules = w.Modules[1:] // good
	require.NoError(t, w.testEach(t.Context(), uncached, all))
	assert.Contains(t, out.String(), "All passed.")
}

// A task that ran no test at all must not look like one that passed.
func TestNothingToTestIsAFailure(t *testing.T) {
	w, _ := openTree(t, outcomes)
	nothing := func(context.Context, Module) ([]string, error) { return nil, nil }
	assert.ErrorContains(t, w.testEach(t.Context(), uncached, nothing), "no module has a test of this kind")

	w, _ = openTree(t, map[string]string{"go.work": "go 1.26\nuse ./m\n", "m/go.mod": "module example.com/m\n\ngo 1.26\n", "m/m.go": "package m\n"})
	assert.ErrorContains(t, w.testQuick(t.Context(), uncached), "no module has a test of this kind")
}

// A module that builds only because of go.work is found out.
func TestAModuleMustBuildAlone(t *testing.T) {
	w, out := openTree(t, map[string]string{
		"go.work":          "go 1.26\nuse (\n\t./leaner\n\t./other\n)\n",
		"leaner/go.mod":    "module example.com/leaner\n\ngo 1.26\n",
		"leaner/leaner.go": "package leaner\n\nimport _ \"example.com/other\"\n",
		"leaner/l_test.go": "package leaner\n\nimport \"testing\"\n\nfunc TestL(t *testing.T) {}\n",
		"other/go.mod":     "module example.com/other\n\ngo 1.26\n",
		"other/other.go":   "package other\n",
	})
	w.Modules = w.Modules[:1] // leaner
	require.NoError(t, w.testEach(t.Context(), uncached, all))

	alone := uncached
	alone.alone = true
	require.EqualError(t, w.testEach(t.Context(), alone, all), "tests failed in leaner")
	assert.Regexp(t, `(?m)^ *leaner +1 +1 +0 +0 +[0-9]+ +does not build alone$`, out.String())
	assert.Contains(t, out.String(), "(cd leaner && GOWORK=off go vet ./...)")
}

// What go test says outside of its events is not lost.
func TestAnErrorThatIsNoTest(t *testing.T) {
	w, out := openTree(t, outcomes)
	require.Error(t, w.testEach(t.Context(), testPlan{flags: []string{"-timeout=nonsense"}}, all))
	assert.Contains(t, out.String(), `invalid value "nonsense"`)
	assert.Contains(t, out.String(), "tests did not run to their end")
}

func TestAStoppedRunTellsWhatItKnows(t *testing.T) {
	w, out := openTree(t, outcomes)
	ctx, cancel := context.WithCancel(t.Context())
	err := w.testEach(ctx, uncached, func(_ context.Context, module Module) ([]string, error) {
		if module.Folder == "good" {
			cancel()
		}
		return []string{"./..."}, nil
	})
	require.ErrorIs(t, err, context.Canceled)
	assert.Contains(t, out.String(), "example.com/bad/wrong")
}

// The quick packages are those with tests that don't link the slow dependency,
// directly or not, in the code or in the tests.
func TestWhichPackagesAreQuickAndWhichNeedTheEngine(t *testing.T) {
	w, _ := openTree(t, map[string]string{
		"go.work":              "go 1.26\nuse (\n\t./m\n\t./m/nested\n)\n",
		"m/go.mod":             "module example.com/m\n\ngo 1.26\n\nrequire github.com/pulumi/pulumi-aws/sdk v0.0.0\n\nreplace github.com/pulumi/pulumi-aws/sdk => ../slow\n",
		"slow/go.mod":          "module github.com/pulumi/pulumi-aws/sdk\n\ngo 1.26\n",
		"slow/slow.go":         "package sdk\n",
		"m/quick/q.go":         "package quick\n",
		"m/quick/q_test.go":    "package quick_test\n",
		"m/untested/u.go":      "package untested\n",
		"m/slow/s.go":          "package slow\n\nimport _ \"github.com/pulumi/pulumi-aws/sdk\"\n",
		"m/slow/s_test.go":     "package slow\n",
		"m/indirect/i.go":      "package indirect\n",
		"m/indirect/i_test.go": "package indirect_test\n\nimport _ \"example.com/m/slow\"\n",
		"m/engine/e.go":        "package engine\n",
		"m/engine/e_test.go":   "//go:build engine\n\npackage engine\n",
		"m/nested/go.mod":      "module example.com/m/nested\n\ngo 1.26\n",
		"m/nested/n_test.go":   "package nested\n",
	})
	module := w.Modules[0]
	require.Equal(t, "m", module.Folder)

	quick, err := w.quickPackages(t.Context())
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"example.com/m/quick", "example.com/m/nested"}, quick)

	engine, err := w.enginePackages(t.Context(), module)
	require.NoError(t, err)
	assert.Equal(t, []string{"example.com/m/engine"}, engine)

	all, err := w.packages(t.Context(), module)
	require.NoError(t, err)
	assert.NotContains(t, all, "example.com/m/nested", "a nested module is tested as itself")
	assert.Contains(t, all, "example.com/m/untested")
}

// A folder of a module may be a module of its own, whose tests are its own too.
func TestANestedModulesTestsAreItsOwn(t *testing.T) {
	quiet := func(string) {}
	runs := newModuleRuns([]Module{{Path: "example.com/m"}, {Path: "example.com/m/nested"}, {Path: "example.com/more"}}, quiet, quiet)
	for _, pkg := range []string{"m", "m/a", "m/nested", "m/nested/a", "m/nestedly", "more/a", "other"} {
		runs.line(`{"Action":"pass","Package":"example.com/` + pkg + `","Test":"TestA"}`)
	}
	passed := make([]int, 0, len(runs.runs))
	for _, run := range runs.runs {
		passed = append(passed, run.passed)
	}
	assert.Equal(t, []int{3, 2, 1}, passed)
}
