// Package audit measures the audit of estates of several sizes, with the command
// that people run, against the emulator.
package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/aistudio/secrets/bench/report"
)

const about = `
The command ` + "`audit run`" + ` as a process of its own, on estates in one region without a fault, in the emulator. The
*first run* reads each secret's resource policy, which no other run does again unless it changed. Numbers are those of the
*second run*, as it is made every day. Its *own time* is the processor's: the rest of the time it waits for the emulator,
which has the same machine. AWS's quotas, which the audit keeps and which make large first runs take days at its defaults,
are lifted.
`

const mostMemory = 1.2 // of the smallest estate's

// Run returns the benchmark for estates of these numbers of secrets, in
// ascending order.
func Run(sizes []int) func(ctx context.Context, root string, progress func(string)) (report.Section, error) {
	return func(ctx context.Context, root string, progress func(string)) (_ report.Section, err error) {
		section := report.Section{Title: "The audit", About: about}
		table := report.Table{Title: "Runs", Head: []string{"secrets", "first run", "calls", "memory", "second run", "own time", "calls", "memory"}}
		dir, err := os.MkdirTemp("", "bench-audit-")
		if err != nil {
			return section, fmt.Errorf("benchmark the audit: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		progress("compile")
		program := filepath.Join(dir, "audit")
		compile := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/audit")
		compile.Dir = filepath.Join(root, "auditor")
		if out, err := compile.CombinedOutput(); err != nil {
			return section, fmt.Errorf("compile the audit: %w\n%s", err, out)
		}
		smallest := 0.0
		for _, n := range sizes {
			first, second, err := measure(ctx, program, filepath.Join(dir, strconv.Itoa(n)), n, progress)
			if err != nil {
				return section, fmt.Errorf("audit %d secrets: %w", n, err)
			}
			section.Rows = append(section.Rows, rows(n, second, smallest)...)
			table.Lines = append(table.Lines, line(n, first, second))
			if smallest == 0 {
				smallest = float64(second.memory)
			}
		}
		section.Tables = []report.Table{table}
		return section, nil
	}
}

// rows compares a run with the goals. smallest is the memory of the smallest
// estate's run; 0: this is it.
func rows(n int, m measured, smallest float64) []report.Row {
	of := "audit of " + grouped(n) + " secrets: "
	duration := report.Row{What: of + "time", Value: report.Duration(m.took), Unit: report.Nanoseconds}
	if n == 10_000 {
		duration.Goal = report.AtMost(10e9)
	}
	memory := report.Row{What: of + "most memory resident", Value: float64(m.memory), Unit: report.Bytes}
	if m.memory == 0 {
		memory.Missing = "it is measured on Linux only"
	}
	if smallest > 0 {
		memory.Goal = report.AtMost(mostMemory * smallest)
	}
	return []report.Row{
		duration,
		{What: of + "calls to AWS", Value: float64(m.calls), Goal: report.AtMost(float64(n/100 + 50))},
		memory,
	}
}

func line(n int, first, second measured) []string {
	duration, bytes := report.Nanoseconds.Format, report.Bytes.Format
	return []string{
		grouped(n), duration(report.Duration(first.took)), grouped(first.calls), bytes(float64(first.memory)),
		duration(report.Duration(second.took)), duration(report.Duration(second.cpu)), grouped(second.calls), bytes(float64(second.memory)),
	}
}

// grouped writes a number with commas between its thousands.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
