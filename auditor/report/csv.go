package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aistudio/secrets/auditor/audit"
	"github.com/aistudio/secrets/auditor/controls"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/rules"
)

func writeCSV(w io.Writer, r *audit.Result, _ []controls.Framework) error {
	out := bufio.NewWriter(w) // keeps its first error for Flush
	header := []string{"severity", "status", "new", "rule", "title", "resource", "arn", "region", "owner", "evidence", "first seen", "remediation", "accepted by", "accepted until"}
	for _, framework := range rules.Frameworks() {
		header = append(header, string(framework))
	}
	writeRow(out, header)
	for _, rule := range r.Rules {
		for f, err := range rule.Findings() {
			if err != nil {
				return err
			}
			writeRow(out, row(rule, f))
		}
	}
	return out.Flush()
}

// writeRow quotes every cell: a spreadsheet may take another character than the
// comma for the end of one.
func writeRow(out io.Writer, cells []string) {
	quoted := make([]string, len(cells))
	for i, cell := range cells {
		quoted[i] = `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
	}
	fmt.Fprintln(out, strings.Join(quoted, ","))
}

func row(rule *audit.RuleResult, f finding.Finding) []string {
	isNew, since, by, until := "", "", "", ""
	if f.New {
		isNew = "new"
	}
	if !f.FirstSeen.IsZero() {
		since = f.FirstSeen.Format(time.RFC3339)
	}
	if f.Suppression != nil {
		by, until = f.Suppression.Owner, f.Suppression.Expires
	}
	cells := []string{
		string(f.Severity), string(f.Status), isNew, rule.ID, rule.Title, f.Resource.Name, f.Resource.ARN, f.Resource.Region,
		f.Resource.Owner, f.Summary(), since, rule.Remediation, by, until,
	}
	for _, framework := range rules.Frameworks() {
		cells = append(cells, strings.Join(rule.Controls[framework], " "))
	}
	for i := range cells {
		cells[i] = harmless(cells[i])
	}
	return cells
}

// harmless keeps a spreadsheet from taking a cell for a formula (OWASP, "CSV
// injection"): names and tags are whatever somebody typed.
//
// Some take full-width forms for the same characters.
func harmless(cell string) string {
	if first, _ := utf8.DecodeRuneInString(cell); cell != "" && strings.ContainsRune("=+-@＝＋－＠\t\r\n", first) {
		return "'" + cell
	}
	return cell
}
