// Package report holds what the benchmarks found, and renders it: as tables for
// a terminal, as the page of the bench folder, and as JSON.
//
// Each package of benchmarks has a function Run that returns a [Section]. A new
// one is added to the list in the main package.
package report

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is one run of the benchmarks.
type Report struct {
	Date     time.Time `json:"date"`
	Command  string    `json:"command"`
	Machine  Machine   `json:"machine"`
	Sections []Section `json:"sections"`
}

// Section is what one package of benchmarks found.
type Section struct {
	Title string `json:"title"`
	// About says what was measured and how, in Markdown.
	About string `json:"about"`
	// Rows are the numbers, those with a goal among them.
	Rows []Row `json:"rows"`
	// Tables have more detail.
	Tables []Table `json:"tables,omitempty"`
	// Output is text of another tool, as it is.
	Output string `json:"output,omitempty"`
}

// Row is one number.
type Row struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  Unit    `json:"unit"`
	Goal  *Goal   `json:"goal,omitempty"`
	// Missing says why there is no number; then Value is 0 and means nothing.
	Missing string `json:"missing,omitempty"`
}

// Goal is what a number should be.
type Goal struct {
	Bound float64 `json:"bound"`
	// Least says that the number should be the bound or more, else the bound or
	// less.
	Least bool `json:"least"`
}

// AtMost is a goal that larger numbers miss.
func AtMost(bound float64) *Goal { return &Goal{Bound: bound} }

// AtLeast is a goal that smaller numbers miss.
func AtLeast(bound float64) *Goal { return &Goal{Bound: bound, Least: true} }

// Reached tells whether the row has a number that is as good as its goal, or no
// goal.
func (r Row) Reached() bool {
	switch {
	case r.Goal == nil:
		return true
	case r.Missing != "":
		return false
	case r.Goal.Least:
		return r.Value >= r.Goal.Bound
	default:
		return r.Value <= r.Goal.Bound
	}
}

// Table has a heading and lines of as many cells.
type Table struct {
	Title string     `json:"title"`
	Head  []string   `json:"head"`
	Lines [][]string `json:"lines"`
}

// Unit is what a number counts.
type Unit string

// The units of numbers.
const (
	Nanoseconds Unit = "ns"
	Bytes       Unit = "B"
	Percent     Unit = "%"
	Times       Unit = "×"
	PerSecond   Unit = "/s"
	Count       Unit = ""
)

// Duration is the number of a duration, in Nanoseconds.
func Duration(d time.Duration) float64 { return float64(d) }

// Format writes a number of the unit with about three digits.
func (u Unit) Format(value float64) string {
	switch u {
	case Nanoseconds:
		return formatDuration(value)
	case Bytes:
		return formatBytes(value)
	case Percent:
		return fmt.Sprintf("%.2f %%", value)
	case Times:
		return fmt.Sprintf("%.1f×", value)
	case PerSecond:
		return fmt.Sprintf("%.0f/s", value)
	default:
		return fmt.Sprintf("%.6g%s", value, u)
	}
}

func formatDuration(ns float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}} {
		if ns >= unit.size {
			return threeDigits(ns/unit.size) + " " + unit.name
		}
	}
	return threeDigits(ns) + " ns"
}

func formatBytes(n float64) string {
	switch {
	case n >= 1e6:
		return threeDigits(n/1e6) + " MB"
	case n >= 1e3:
		return threeDigits(n/1e3) + " kB"
	default:
		return threeDigits(n) + " B"
	}
}

func threeDigits(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", x), ".0")
	default:
		return strings.TrimSuffix(fmt.Sprintf("%.2f", x), ".00")
	}
}

// Quantile returns the value below which the share q of the values is, from 0
// to 1, or 0 if there is none. It sorts the values.
func Quantile[T cmp.Ordered](values []T, q float64) T {
	if len(values) == 0 {
		var zero T
		return zero
	}
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}

// Machine is where the benchmarks ran.
type Machine struct {
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"`
	OS    string `json:"os"`
	Arch  string `json:"arch"`
	Go    string `json:"go"`
	// Load is the load average of the last minute before the run; empty where
	// the system doesn't tell. On an idle machine it is well below 1.
	Load string `json:"load,omitempty"`
}

// ThisMachine describes the machine that the program runs on.
func ThisMachine() Machine {
	m := Machine{CPU: "unknown CPU", Cores: runtime.NumCPU(), OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version()}
	if info, err := os.Open("/proc/cpuinfo"); err == nil {
		defer info.Close()
		for lines := bufio.NewScanner(info); lines.Scan(); {
			if name, model, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(model)
				break
			}
		}
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load, _, _ = strings.Cut(string(load), " ")
	}
	return m
}

// JSON is the report for programs.
func (r Report) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the results as JSON: %w", err)
	}
	return append(text, '\n'), nil
}
