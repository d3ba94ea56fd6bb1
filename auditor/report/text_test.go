package report

import (
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/state"
)

// TestNoFormulas: a name that somebody typed stays text in a spreadsheet.
func TestNoFormulas(t *testing.T) {
	for _, cell := range []string{"=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "＝1", "＠SUM(A1)"} {
		assert.Equal(t, "'"+cell, harmless(cell))
	}
	for _, cell := range []string{"", "a=b", "acme/prod/app/key", "ä"} {
		assert.Equal(t, cell, harmless(cell))
	}
}

// TestCellsStayCells: every cell is quoted, whatever is in it.
func TestCellsStayCells(t *testing.T) {
	write := func(cells []string) string {
		var text strings.Builder
		writeRow(&text, cells)
		return text.String()
	}
	require.Equal(t, "\"a;=b\",\"\"\n", write([]string{"a;=b", ""}))
	rapid.Check(t, func(t *rapid.T) {
		cells := rapid.SliceOfN(rapid.String(), 2, 5).Draw(t, "cells")
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "\r", "") // encoding/csv makes \n of \r\n
		}
		got, err := csv.NewReader(strings.NewReader(write(cells))).ReadAll()
		if err != nil || len(got) != 1 || !slices.Equal(got[0], cells) {
			t.Fatalf("%q are %q: %v", cells, got, err)
		}
	})
}

// TestAReportIsWhole: what ends in an error leaves the file as it was.
func TestAReportIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	_, err := writeFile(path, func(w io.Writer) error { _, err := io.WriteString(w, "whole"); return err })
	require.NoError(t, err)
	_, err = writeFile(path, func(w io.Writer) error { _, err := io.WriteString(w, "ha"); return errors.Join(err, io.ErrShortWrite) })
	require.ErrorIs(t, err, io.ErrShortWrite)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "whole", string(text))
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		n := rapid.IntRange(3, 40).Draw(t, "n")
		short := limit(text, n)
		if len(short) > n || !utf8.ValidString(short) || len(text) <= n && short != text {
			t.Fatalf("%q cut to %d is %q", text, n, short)
		}
	})
}

func TestPerCentNeverRoundsUpToAll(t *testing.T) {
	for p, want := range map[float64]string{100: "100 %", 99.99: "99.9 %", 50: "50 %", 33.333: "33.3 %", 0: "0 %"} {
		assert.Equal(t, want, perCent(p))
	}
}

// TestTrendStaysInItsDrawing: whatever the numbers, bars and dots lie within the
// axes.
func TestTrendStaysInItsDrawing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var points []state.Point
		for i := range rapid.IntRange(2, 100).Draw(t, "runs") {
			points = append(points, state.Point{
				Time: time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC), RotationCompliance: rapid.Float64Range(0, 100).Draw(t, "compliance"),
				Findings: map[finding.Severity]int{finding.High: rapid.IntRange(0, 200_000).Draw(t, "high"), finding.Low: rapid.IntRange(0, 9).Draw(t, "low")},
			})
		}
		drawn := newTrend(points)
		if len(drawn.Rows) > maxShown || len(drawn.Dots) != len(drawn.Rows) {
			t.Fatalf("%d rows, %d dots", len(drawn.Rows), len(drawn.Dots))
		}
		for _, bar := range drawn.Bars {
			if strings.HasPrefix(bar.Y, "-") || strings.HasPrefix(bar.X, "-") || strings.HasPrefix(bar.Height, "-") {
				t.Fatalf("a bar is outside: %+v", bar)
			}
		}
	})
	require.False(t, newTrend(nil).Enough)
	require.Equal(t, []int{4, 4, 10, 40, 60, 1000}, []int{niceMost(1), niceMost(3), niceMost(9), niceMost(29), niceMost(41), niceMost(801)})
}
