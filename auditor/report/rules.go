package report

import (
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/rules"
)

// RulesMarkdown writes the catalogue of rules as Markdown.
func RulesMarkdown(w io.Writer) error {
	var out strings.Builder
	out.WriteString("# Rules\n\nWhat the auditor demands. A policy may change the severities.\n")
	for _, rule := range rules.All() {
		fmt.Fprintf(&out, "\n## %s\n\n**%s** (`%s`)\n\n%s\n\n*How to fix it.* %s\n\n", rule.Title, rule.Severity, rule.ID, rule.Rationale, rule.Remediation)
		for _, name := range controlNames(rule.Controls) {
			fmt.Fprintf(&out, "- %s\n", name)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// RuleEntry is a rule in the catalogue for programs.
type RuleEntry struct {
	ID          string           `json:"id"`
	Title       string           `json:"title"`
	Rationale   string           `json:"rationale"`
	Remediation string           `json:"remediation"`
	Severity    finding.Severity `json:"severity"` // unless the policy says another
	Controls    rules.Controls   `json:"controls"`
}

// RulesList returns the catalogue of rules.
func RulesList() []RuleEntry {
	var list []RuleEntry
	for _, rule := range rules.All() {
		list = append(list, RuleEntry{rule.ID, rule.Title, rule.Rationale, rule.Remediation, rule.Severity, rule.Controls})
	}
	return list
}

type htmlCatalogue struct {
	Style template.CSS
	Rules []htmlRule
}

// RulesHTML writes the catalogue of rules as a page.
func RulesHTML(w io.Writer) error {
	style, err := templates.ReadFile("templates/style.css")
	if err != nil {
		return err
	}
	page := htmlCatalogue{Style: template.CSS(style)} //nolint:gosec // a file of this package
	for _, severity := range finding.Severities() {
		for _, rule := range rules.All() {
			if rule.Severity == severity {
				page.Rules = append(page.Rules, htmlRule{
					ID: rule.ID, Title: rule.Title, Rationale: rule.Rationale, Remediation: rule.Remediation,
					Severity: rule.Severity, Controls: controlNames(rule.Controls),
				})
			}
		}
	}
	parsed, err := template.ParseFS(templates, "templates/rules.html")
	if err != nil {
		return err
	}
	return parsed.Execute(w, page)
}
