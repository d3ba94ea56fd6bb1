package cost

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteJSON writes the estimate as JSON.
func (e *Estimate) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(e)
}

// grid is a table before it is written for a terminal or a page.
type grid struct {
	title string
	head  []string
	rows  [][]string
	right int // columns from here on are numbers
}

func (e *Estimate) grids() []grid {
	lines := grid{title: "What it costs in a month", head: []string{"service", "item", "quantity", "USD"}, right: 2}
	for _, l := range e.Lines {
		lines.rows = append(lines.rows, []string{l.Group, l.Item, quantity(l.Quantity), usd(l.USD)})
	}
	lines.rows = append(lines.rows, []string{"total", "", "", usd(e.USD)})
	ways := grid{title: "What the cache saves", head: []string{"reads of secrets", "calls a month", "avoided", "USD"}, right: 1}
	for _, way := range e.Ways {
		ways.rows = append(ways.rows, []string{way.Name, quantity(way.Calls), fmt.Sprintf("%.2f %%", way.Avoided), usd(way.USD)})
	}
	adr := grid{title: "Beside ADR-006", head: []string{"item", "ADR-006", "this estimate", "why it differs"}, right: 1}
	for _, p := range e.ADR {
		adr.rows = append(adr.rows, []string{p.Item, p.ADR, "$" + usd(p.USD), p.Reason})
	}
	assumed := grid{title: "Assumptions", head: []string{"name", "value", "meaning"}, right: 3}
	for _, a := range Assumptions() {
		assumed.rows = append(assumed.rows, []string{a.Name, quantity(e.Assumptions[a.Name]), a.Meaning})
	}
	return []grid{lines, ways, adr, assumed}
}

func (e *Estimate) summary() []string {
	where := "without replicas"
	if e.DRRegion != "" {
		where = "replicated to " + e.DRRegion
	}
	lines := []string{
		fmt.Sprintf("%s: %d secrets in %s, %s: about $%s a month.", e.Environment, e.Secrets, e.Region, where, usd(e.USD)),
		fmt.Sprintf("Services read secrets %s times a month; the cache makes that $%s instead of $%s.", quantity(e.Reads), usd(e.Ways[len(e.Ways)-1].USD), usd(e.Ways[0].USD)),
		fmt.Sprintf("Prices of %s as of %s: list prices, without tax and discounts. What is free for an account isn't subtracted.", e.PricesOf, e.AsOf),
	}
	for _, region := range []string{e.Region, e.DRRegion} {
		if region != "" && region != e.PricesOf {
			lines = append(lines, fmt.Sprintf("What is in %s is counted at these prices, too, from which some there may differ.", region))
		}
	}
	return lines
}

// WriteText writes the estimate for a terminal.
func (e *Estimate) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, line := range e.summary() {
		fmt.Fprintln(&b, line)
	}
	for _, g := range e.grids() {
		fmt.Fprintf(&b, "\n%s\n", strings.ToUpper(g.title))
		columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, row := range append([][]string{g.head}, g.rows...) {
			fmt.Fprintln(columns, strings.TrimRight("  "+strings.Join(row, "\t"), "\t "))
		}
		if err := columns.Flush(); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteMarkdown writes the estimate as a page.
func (e *Estimate) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Monthly cost of %s\n\n%s\n", e.Environment, strings.Join(e.summary(), "\n"))
	for _, g := range e.grids() {
		fmt.Fprintf(&b, "\n## %s\n\n| %s |\n|", g.title, strings.Join(g.head, " | "))
		for i := range g.head {
			if i >= g.right && !(i == len(g.head)-1 && g.title == "Beside ADR-006") {
				b.WriteString("---:|")
			} else {
				b.WriteString("---|")
			}
		}
		b.WriteByte('\n')
		for _, row := range g.rows {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func usd(x float64) string { return grouped(fmt.Sprintf("%.2f", x)) }

// quantity writes a number with as many decimals as it needs, at most two.
func quantity(x float64) string {
	text := fmt.Sprintf("%.2f", x)
	if x >= 100 {
		text = fmt.Sprintf("%.0f", x)
	}
	return grouped(strings.TrimSuffix(strings.TrimRight(pad(text), "0"), "."))
}

// pad keeps the zeros of whole numbers from being trimmed.
func pad(text string) string {
	if strings.Contains(text, ".") {
		return text
	}
	return text + "."
}

// grouped separates thousands by commas.
func grouped(text string) string {
	whole, rest, dot := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if dot {
		return whole + "." + rest
	}
	return whole
}
