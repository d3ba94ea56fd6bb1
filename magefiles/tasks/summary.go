package tasks

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// moduleResult is what a test task found out about one module.
type moduleResult struct {
	module Module

	// alone is why the module doesn't build and vet with GOWORK=off; nil if it
	// does, or if the task doesn't look.
	alone error

	// run is what the tests did.
	run *testRun

	// broken is why the tests could not be run to their end, apart from tests
	// that failed.
	broken error

	// elapsed is the time of all, with the compiler; of the tests alone where
	// they ran together with other modules'.
	elapsed time.Duration
}

func (m moduleResult) failed() bool {
	return m.alone != nil || m.broken != nil || len(m.run.failed) > 0
}

// summary returns the table that a test task ends with, the skipped tests with
// their reasons, and how to run again what failed. elapsed is the time of all.
func summary(results []moduleResult, tags string, elapsed time.Duration) string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "module\tpackages\tpassed\tfailed\tskipped\tseconds\t")
	var total struct{ packages, passed, failed, skipped int }
	for _, m := range results {
		run := m.run
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%.0f\t%s\n", m.module.Folder,
			run.packages, run.passed, len(run.failed), len(run.skipped), m.elapsed.Seconds(), m.remark())
		total.packages += run.packages
		total.passed += run.passed
		total.failed += len(run.failed)
		total.skipped += len(run.skipped)
	}
	fmt.Fprintf(table, "all\t%d\t%d\t%d\t%d\t%.0f\t\n",
		total.packages, total.passed, total.failed, total.skipped, elapsed.Seconds())
	_ = table.Flush() // to a strings.Builder, which takes all

	text.WriteString(skips(results))
	text.WriteString(nextSteps(results, tags))
	return text.String()
}

func (m moduleResult) remark() string {
	switch {
	case m.alone != nil:
		return "  does not build alone"
	case m.broken != nil:
		return "  tests did not run to their end"
	case len(m.run.failed) > 0:
		return "  FAILED"
	}
	return ""
}

func skips(results []moduleResult) string {
	var text strings.Builder
	for _, m := range results {
		for _, skipped := range m.run.skipped {
			if text.Len() == 0 {
				text.WriteString("\nSkipped:\n")
			}
			fmt.Fprintf(&text, "  %s %s: %s\n", skipped.Package, skipped.Test, skipped.reason)
		}
	}
	return text.String()
}

func nextSteps(results []moduleResult, tags string) string {
	var text strings.Builder
	for _, m := range results {
		if m.alone != nil {
			fmt.Fprintf(&text, "  (cd %s && GOWORK=off go vet ./...)\n", m.module.Folder)
		}
		if m.broken != nil {
			fmt.Fprintf(&text, "  (cd %s && go test ./...)\n", m.module.Folder)
		}
		for _, test := range roots(m.run.failed) {
			fmt.Fprintf(&text, "  %s\n", test.rerun(m.module, tags))
		}
	}
	if text.Len() == 0 {
		return "\nAll passed. Next: go tool mage demo shows it at work, go tool mage lint reads the code.\n"
	}
	return "\nRun again what failed:\n" + text.String()
}
