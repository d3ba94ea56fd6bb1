package scorecard

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// WriteJSON writes the scorecard as JSON.
func (s *Scorecard) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(s)
}

// Shown returns the value with its unit; "unknown" without one.
func (m Metric) Shown() string { return shown(m.Value, m.Unit) }

func shown(value *float64, unit string) string {
	if value == nil {
		return "unknown"
	}
	digits, v := 1, *value
	if unit == "%" { // what isn't all of it must not look like it
		v = math.Floor(v*10+1e-9) / 10
	}
	if v == math.Trunc(v) || v >= 1000 {
		digits = 0
	}
	return fmt.Sprintf("%.*f %s", digits, v, unit)
}

// Change says how the value moved since the last scorecard that has one.
func (m Metric) Change() string {
	for i := len(m.Trend) - 1; i >= 0 && m.Value != nil; i-- {
		before := m.Trend[i].Value
		if before == nil {
			continue
		}
		d := *m.Value - *before
		when := m.Trend[i].Time.Format("2006-01-02")
		if math.Abs(d) < 0.05 {
			return "as on " + when
		}
		return fmt.Sprintf("%+.1f since %s", d, when)
	}
	return "–"
}

// Words returns the state as people read it.
func (s Status) Words() string {
	switch s {
	case Met:
		return "✓ met"
	case Missed:
		return "✗ missed"
	}
	return "? unknown"
}

// Summary is the scorecard in a sentence.
func (s *Scorecard) Summary() string {
	where := ""
	if s.LocalCloud {
		where = " (on the local cloud, an emulator of AWS)"
	}
	return fmt.Sprintf("%s%s: %d of %d success metrics are met, %d missed, %d unknown.", s.Environment, where, s.Counts[Met], len(s.Metrics), s.Counts[Missed], s.Counts[Unknown])
}

// about tells what a metric's value is made of.
func (m Metric) about() []string {
	var parts []string
	for _, part := range []string{m.Reason, m.Detail, m.Source} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// WriteText writes the scorecard for a terminal.
func (s *Scorecard) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", s.Summary())
	columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "METRIC\tTARGET\tNOW\tSTATUS\tTREND")
	for _, m := range s.Metrics {
		fmt.Fprintf(columns, "%s\t%s\t%s\t%s\t%s\n", m.Name, m.Target, m.Shown(), m.Status.Words(), m.Change())
	}
	if err := columns.Flush(); err != nil {
		return err
	}
	for _, m := range s.Metrics {
		fmt.Fprintf(&b, "\n%s\n", m.Name)
		for _, part := range m.about() {
			fmt.Fprintf(&b, "  %s\n", part)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteMarkdown writes the scorecard as a page.
func (s *Scorecard) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Scorecard of %s\n\n%s Measured at %s UTC.\n\n", s.Environment, s.Summary(), s.Time.Format("2006-01-02 15:04"))
	b.WriteString("| metric | target | now | status | trend | source |\n|---|---|---:|---|---|---|\n")
	for _, m := range s.Metrics {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", m.Name, m.Target, m.Shown(), m.Status.Words(), m.Change(),
			strings.NewReplacer("|", `\|`, "\n", " ").Replace(strings.Join(m.about(), "; ")))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

//go:embed page.html
var pageText string

// WriteHTML writes the scorecard as one page that needs nothing else.
func (s *Scorecard) WriteHTML(w io.Writer) error {
	page, err := template.New("scorecard").Funcs(template.FuncMap{"about": Metric.about, "line": Metric.line}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("read the scorecard's page: %w", err)
	}
	return page.Execute(w, s)
}

// The size of a trend's drawing.
const (
	lineWidth  = 120.0
	lineHeight = 28.0
)

// line returns the points of a trend's drawing, of its earlier values and now;
// "" for fewer than two.
func (m Metric) line() string {
	values := make([]*float64, 0, len(m.Trend)+1)
	for _, p := range m.Trend {
		values = append(values, p.Value)
	}
	values = append(values, m.Value)
	low, high, n := math.Inf(1), math.Inf(-1), 0
	for _, v := range values {
		if v != nil {
			low, high, n = min(low, *v), max(high, *v), n+1
		}
	}
	if n < 2 {
		return ""
	}
	var points []string
	for i, v := range values {
		if v == nil {
			continue
		}
		y := lineHeight / 2
		if high > low {
			y = lineHeight - 2 - (*v-low)/(high-low)*(lineHeight-4)
		}
		points = append(points, fmt.Sprintf("%.1f,%.1f", 2+float64(i)/float64(len(values)-1)*(lineWidth-4), y))
	}
	return strings.Join(points, " ")
}

// TrendWords tells the trend to who can't see its drawing.
func (m Metric) TrendWords() string {
	var words []string
	for _, p := range m.Trend {
		words = append(words, p.Time.Format("2006-01-02")+" "+shown(p.Value, m.Unit))
	}
	return strings.Join(append(words, "now "+m.Shown()), ", ")
}
