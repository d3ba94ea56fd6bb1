package report_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/bench/report"
)

func TestGoals(t *testing.T) {
	for _, row := range []struct {
		value   float64
		goal    *report.Goal
		missing string
		reached bool
	}{
		{value: 60, goal: report.AtMost(60), reached: true},
		{value: 61, goal: report.AtMost(60)},
		{value: 95, goal: report.AtLeast(95), reached: true},
		{value: 94, goal: report.AtLeast(95)},
		{goal: report.AtMost(60), missing: "no reason"},
		{value: 7, reached: true},
	} {
		assert.Equal(t, row.reached, report.Row{Value: row.value, Goal: row.goal, Missing: row.missing}.Reached(), "%+v", row)
	}
}

func TestFormats(t *testing.T) {
	for want, got := range map[string]string{
		"54.5 ns": report.Nanoseconds.Format(54.54), "100 µs": report.Nanoseconds.Format(report.Duration(100 * time.Microsecond)),
		"1.25 ms": report.Nanoseconds.Format(1.25e6), "2 s": report.Nanoseconds.Format(2e9),
		"988 B": report.Bytes.Format(988), "23.3 MB": report.Bytes.Format(23.3e6), "96.07 %": report.Percent.Format(96.069),
		"6.0×": report.Times.Format(6), "26832/s": report.PerSecond.Format(26832), "50": report.Count.Format(50),
	} {
		assert.Equal(t, want, got)
	}
}

func TestQuantiles(t *testing.T) {
	values := []int{5, 1, 4, 2, 3}
	assert.Equal(t, 1, report.Quantile(values, 0))
	assert.Equal(t, 3, report.Quantile(values, 0.5))
	assert.Equal(t, 5, report.Quantile(values, 1))
	assert.Zero(t, report.Quantile([]int(nil), 0.5))
}

func TestThePageTellsWhatWasNotReached(t *testing.T) {
	r := report.Report{
		Date: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Command: "go tool mage bench",
		Machine: report.Machine{CPU: "a CPU", Cores: 2, OS: "linux", Arch: "arm64", Go: "go1.26", Load: "0.10"},
		Sections: []report.Section{{
			Title: "Section", About: "What it is.", Output: "as it is",
			Rows: []report.Row{
				{What: "slow", Value: 2e6, Unit: report.Nanoseconds, Goal: report.AtMost(1e6)},
				{What: "other", Unit: report.Times, Goal: report.AtLeast(6), Missing: "it isn't there"},
				{What: "plain", Value: 3},
			},
			Tables: []report.Table{{Title: "More", Head: []string{"", "a"}, Lines: [][]string{{"x", "1"}}}},
		}},
	}
	page := r.Markdown()
	for _, line := range []string{
		"a CPU, 2 cores, linux/arm64, go1.26", "2030-01-02 03:04 UTC", "load average before the run: 0.10",
		"| slow | 2 ms | ≤ 1 ms | no |", "| other | not measured: it isn't there | ≥ 6.0× | – |", "| plain | 3 |", "| x | 1 |", "as it is",
	} {
		assert.Contains(t, page, line)
	}
	assert.Len(t, r.Goals().Lines, 2)
	assert.Contains(t, r.Terminal(), "it isn't there")

	text, err := r.JSON()
	require.NoError(t, err)
	var back report.Report
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, r, back)
}
