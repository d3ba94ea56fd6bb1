package report

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Goals is the table of all numbers that have a goal.
func (r Report) Goals() Table {
	goals := Table{Title: "Goals", Head: []string{"", "measured", "goal", "reached"}}
	for _, section := range r.Sections {
		for _, row := range section.Rows {
			if row.Goal != nil {
				goals.Lines = append(goals.Lines, row.cells())
			}
		}
	}
	return goals
}

// numbers is the table of the section's rows.
func (s Section) numbers() Table {
	numbers := Table{Title: s.Title, Head: []string{"", "measured", "goal", "reached"}}
	for _, row := range s.Rows {
		numbers.Lines = append(numbers.Lines, row.cells())
	}
	return numbers
}

func (r Row) cells() []string {
	measured, goal, reached := r.Unit.Format(r.Value), "", ""
	if r.Missing != "" {
		measured = "not measured: " + r.Missing
	}
	if r.Goal != nil {
		goal, reached = "≤ ", "no"
		if r.Goal.Least {
			goal = "≥ "
		}
		goal += r.Unit.Format(r.Goal.Bound)
		switch {
		case r.Missing != "":
			reached = "–"
		case r.Reached():
			reached = "yes"
		}
	}
	return []string{r.What, measured, goal, reached}
}

// Terminal is the report for a terminal.
func (r Report) Terminal() string {
	var page strings.Builder
	for _, section := range r.Sections {
		page.WriteString(section.numbers().terminal())
		for _, t := range section.Tables {
			page.WriteString(t.terminal())
		}
		if section.Output != "" {
			fmt.Fprintf(&page, "\n%s", section.Output)
		}
	}
	page.WriteString(r.Goals().terminal())
	return page.String()
}

// Markdown is the report as a page.
func (r Report) Markdown() string {
	var page strings.Builder
	fmt.Fprintf(&page, "# Benchmarks\n\n"+
		"This page is written by `%s`; all its numbers are of one run. Benchmarks fail no test: "+
		"the table says which goals were reached.\n\n"+
		"- %s\n- %s, %d cores, %s/%s, %s\n",
		r.Command, r.Date.UTC().Format("2006-01-02 15:04 UTC"), r.Machine.CPU, r.Machine.Cores, r.Machine.OS, r.Machine.Arch, r.Machine.Go)
	if r.Machine.Load != "" {
		fmt.Fprintf(&page, "- load average before the run: %s\n", r.Machine.Load)
	}
	page.WriteString("- what stands for AWS is a fake in the process or the emulator in `localcloud/`\n")
	goals := r.Goals()
	fmt.Fprintf(&page, "\n## %s\n\n%s\n", goals.Title, goals.writer().RenderMarkdown())
	for _, section := range r.Sections {
		fmt.Fprintf(&page, "\n## %s\n\n%s\n\n%s\n", section.Title, strings.TrimSpace(section.About), section.numbers().writer().RenderMarkdown())
		for _, t := range section.Tables {
			fmt.Fprintf(&page, "\n%s:\n\n%s\n", t.Title, t.writer().RenderMarkdown())
		}
		if section.Output != "" {
			fmt.Fprintf(&page, "\n```\n%s\n```\n", strings.TrimSpace(section.Output))
		}
	}
	return page.String()
}

func (t Table) terminal() string { return "\n" + t.Title + "\n" + t.writer().Render() + "\n" }

func (t Table) writer() table.Writer {
	w := table.NewWriter()
	w.SetStyle(table.StyleLight)
	w.Style().Format.Header = text.FormatDefault
	w.AppendHeader(row(t.Head))
	for _, line := range t.Lines {
		w.AppendRow(row(line))
	}
	return w
}

func row(cells []string) table.Row {
	var r table.Row
	for _, cell := range cells {
		r = append(r, cell)
	}
	return r
}
