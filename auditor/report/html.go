package report

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aistudio/secrets/auditor/audit"
	"github.com/aistudio/secrets/auditor/controls"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/rules"
)

//go:embed templates
var templates embed.FS

// How much of a long list a page shows: the rest is in the files beside it.
const (
	maxFindings = 100 // a rule
	maxOwners   = 100
	maxAccepted = 200
	maxResolved = 200
)

// page is what both pages have.
type page struct {
	Environment, Account, Run, Date, When string
	Style                                 template.CSS
	Warnings                              []string
	Cards                                 []card
}

type card struct{ Class, Number, Label, Note string }

type htmlReport struct {
	page
	Verdict, VerdictClass    string
	Regions                  []audit.Region
	Secrets, RuleCount       int
	Severities               []finding.Severity
	Trend                    trend
	Rules                    []htmlRule
	Frameworks               []htmlFramework
	Owners                   []htmlOwner
	MoreOwners, MoreAccepted int
	Unknowns                 []htmlUnknown
	Accepted                 []htmlAccepted
	Resolved                 []htmlResolved
	MoreResolved             int
	Demands                  []demand
}

type htmlRule struct {
	ID, Title, Rationale, Remediation string
	Severity                          finding.Severity
	Count, New, More                  int
	Controls                          []string
	Findings                          []htmlFinding
}

type htmlFinding struct {
	Where, Region, Owner, Since string
	New                         bool
	Evidence                    []finding.Evidence
}

type htmlFramework struct {
	Name, Page, Label                  string
	Pass, Fail, Unknown, NotApplicable int
	Bars                               []rect
}

type htmlOwner struct {
	Name             string
	Secrets, Unknown int
	Counts           []labelled
}

type labelled struct {
	Label string
	Count int
}

type htmlUnknown struct {
	Rule, Reason, Where string
	Count               int
}

type htmlAccepted struct{ Title, Where, Reason, Owner, Expires string }

type htmlResolved struct {
	Severity            finding.Severity
	Title, Where, Since string
}

func newPage(r *audit.Result) (page, error) {
	style, err := templates.ReadFile("templates/style.css")
	if err != nil {
		return page{}, err
	}
	p := page{
		Environment: r.Environment, Account: r.Account, Run: r.Run,
		Date: r.Time.Format(time.DateOnly), When: r.Time.Format("2 January 2006, 15:04 UTC"),
		Style: template.CSS(style), //nolint:gosec // a file of this package
	}
	for _, region := range r.Regions {
		if region.Incomplete != "" {
			p.Warnings = append(p.Warnings, fmt.Sprintf("The list of secrets of %s is incomplete: %s. What is missing is unknown, not absent.", region.Name, region.Incomplete))
		}
	}
	return p, nil
}

func writeHTML(w io.Writer, r *audit.Result, frameworks []controls.Framework) error {
	base, err := newPage(r)
	if err != nil {
		return err
	}
	h := htmlReport{
		page: base, Regions: r.Regions, Secrets: r.Secrets, RuleCount: len(r.Rules),
		Severities: finding.Severities(), Trend: newTrend(r.Trend), Demands: demands(r.Policy()),
	}
	h.verdict(r)
	h.cards(r)
	if r.Carried > 0 {
		h.Warnings = append(h.Warnings, fmt.Sprintf("%d findings of the last run could not be checked again. They count as open.", r.Carried))
	}
	if err := h.rules(r); err != nil {
		return err
	}
	for _, f := range frameworks {
		h.Frameworks = append(h.Frameworks, frameworkRow(f))
	}
	h.owners(r)
	if err := h.resolved(r); err != nil {
		return err
	}
	parsed, err := template.ParseFS(templates, "templates/report.html")
	if err != nil {
		return err
	}
	return parsed.Execute(w, h)
}

func (h *htmlReport) verdict(r *audit.Result) {
	counts := r.BySeverity()
	var parts []string
	for _, severity := range finding.Severities() {
		if n := counts[severity]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, severity))
		}
	}
	unknown, accepted := r.Count(finding.Unknown), r.Count(finding.Suppressed)
	switch {
	case len(parts) > 0:
		h.VerdictClass = "bad"
		h.Verdict = "Open findings: " + strings.Join(parts, ", ") + ". " + newness(r)
	case unknown > 0 || !r.Complete():
		h.VerdictClass = "open"
		h.Verdict = "No rule found anything, but " + counted(unknown, "check", "checks") + " could not be made."
	case accepted > 0:
		h.VerdictClass = "open"
		h.Verdict = "No finding is open, but " + counted(accepted, "exception is", "exceptions are") + " accepted for a time."
	default:
		h.Verdict = "All checks that apply have passed."
	}
}

func newness(r *audit.Result) string {
	if len(r.Trend) < 2 {
		return "This is the first run."
	}
	return counted(r.NewFindings(), "is", "are") + " new since the last run, " + counted(r.Resolved, "was", "were") + " resolved."
}

func (h *htmlReport) cards(r *audit.Result) {
	counts := r.BySeverity()
	for _, severity := range finding.Severities() {
		class := string(severity)
		if counts[severity] == 0 {
			class = "zero"
		}
		h.Cards = append(h.Cards, card{class, strconv.Itoa(counts[severity]), string(severity), ""})
	}
	rotated := card{"", perCent(r.RotationCompliance()), "rotated in time", fmt.Sprintf("%d of %d secrets", r.Compliant, r.Rotating)}
	if r.Rotating == 0 {
		rotated.Number, rotated.Note = "–", "no secret must rotate yet"
	}
	h.Cards = append(h.Cards, rotated,
		card{"", perCent(r.Coverage()), "of the checks could be made", fmt.Sprintf("%d unknown", r.Count(finding.Unknown))},
		card{"", strconv.Itoa(r.OldestDays), "days is the oldest value old", ""},
		card{"", strconv.Itoa(r.Secrets), "secrets", counted(r.Count(finding.Suppressed), "exception accepted", "exceptions accepted")},
	)
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// perCent never rounds up to 100: what isn't all isn't all.
func perCent(p float64) string {
	if p < 100 && p > 99.9 {
		p = 99.9
	}
	return strings.TrimSuffix(strconv.FormatFloat(p, 'f', 1, 64), ".0") + " %"
}

func (h *htmlReport) rules(r *audit.Result) error {
	sorted := slices.Clone(r.Rules)
	slices.SortStableFunc(sorted, func(a, b *audit.RuleResult) int { return b.Severity.Rank() - a.Severity.Rank() })
	for _, rule := range sorted {
		row := htmlRule{
			ID: rule.ID, Title: rule.Title, Rationale: rule.Rationale, Remediation: rule.Remediation, Severity: rule.Severity,
			Count: rule.Counts[finding.Fail], New: rule.New, Controls: controlNames(rule.Controls),
		}
		for _, reason := range rule.Unknowns {
			h.Unknowns = append(h.Unknowns, htmlUnknown{rule.Title, reason.Text, examples(reason), reason.Count})
		}
		for f, err := range rule.Findings() {
			if err != nil {
				return err
			}
			h.finding(&row, rule, f)
		}
		if row.Count > 0 {
			row.More = row.Count - len(row.Findings)
			h.Rules = append(h.Rules, row)
		}
	}
	return nil
}

func (h *htmlReport) finding(row *htmlRule, rule *audit.RuleResult, f finding.Finding) {
	switch f.Status {
	case finding.Suppressed:
		if len(h.Accepted) == maxAccepted {
			h.MoreAccepted++
			return
		}
		h.Accepted = append(h.Accepted, htmlAccepted{rule.Title, f.Resource.Name, f.Suppression.Reason, f.Suppression.Owner, f.Suppression.Expires})
	case finding.Fail:
		if len(row.Findings) == maxFindings {
			return
		}
		row.Findings = append(row.Findings, htmlFinding{
			f.Resource.Name, f.Resource.Region, orNobody(f.Resource.Owner), f.FirstSeen.Format(time.DateOnly), f.New, f.Evidence,
		})
	}
}

func controlNames(c rules.Controls) []string {
	var names []string
	for _, framework := range rules.Frameworks() {
		if list := c[framework]; len(list) > 0 {
			names = append(names, string(framework)+" "+strings.Join(list, ", "))
		}
	}
	return names
}

func examples(reason *audit.Reason) string {
	var names []string
	for _, resource := range reason.Examples {
		names = append(names, resource.Name)
	}
	text := strings.Join(names, ", ")
	if more := reason.Count - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func frameworkRow(f controls.Framework) htmlFramework {
	row := htmlFramework{
		Name: string(f.Name), Page: "framework-" + f.Slug + ".html",
		Pass: f.Counts[finding.Pass], Fail: f.Counts[finding.Fail], Unknown: f.Counts[finding.Unknown], NotApplicable: f.Counts[finding.NotApplicable],
	}
	row.Label = fmt.Sprintf("%d pass, %d fail, %d unknown, %d not applicable", row.Pass, row.Fail, row.Unknown, row.NotApplicable)
	x := 0.0
	for _, status := range []finding.Status{finding.Pass, finding.Fail, finding.Unknown, finding.NotApplicable} {
		width := 100 * float64(f.Counts[status]) / float64(max(1, len(f.Controls)))
		if width > 0 {
			row.Bars = append(row.Bars, rect{Class: string(status), X: number(x), Width: number(width)})
		}
		x += width
	}
	return row
}

func (h *htmlReport) owners(r *audit.Result) {
	for i, owner := range r.Owners {
		if i == maxOwners {
			h.MoreOwners = len(r.Owners) - maxOwners
			return
		}
		row := htmlOwner{Name: orNobody(owner.Name), Secrets: owner.Secrets, Unknown: owner.Unknown}
		for _, severity := range finding.Severities() {
			row.Counts = append(row.Counts, labelled{string(severity), owner.Findings[severity]})
		}
		h.Owners = append(h.Owners, row)
	}
}

func (h *htmlReport) resolved(r *audit.Result) error {
	titles := map[string]string{}
	for _, rule := range r.Rules {
		titles[rule.ID] = rule.Title
	}
	for e, err := range r.ResolvedFindings() {
		if err != nil {
			return err
		}
		if len(h.Resolved) == maxResolved {
			h.MoreResolved = r.Resolved - maxResolved
			return nil
		}
		title := titles[e.Rule]
		if title == "" {
			title = e.Rule
		}
		h.Resolved = append(h.Resolved, htmlResolved{e.Severity, title, e.Resource.Name, e.FirstSeen.Format(time.DateOnly)})
	}
	return nil
}
