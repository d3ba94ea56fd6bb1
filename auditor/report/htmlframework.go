package report

import (
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"

	"github.com/aistudio/secrets/auditor/audit"
	"github.com/aistudio/secrets/auditor/controls"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/rules"
)

type htmlControls struct {
	page
	Name     string
	AWS      bool // the framework is AWS's own
	Controls []htmlControl
}

type htmlControl struct {
	ID, Anchor, About                              string
	Status                                         finding.Status
	StatusText                                     string
	Pass, Fail, Unknown, Suppressed, NotApplicable int
	Checks                                         []htmlCheck
}

type htmlCheck struct {
	Rule, Title         string
	Pass, Fail, Unknown int
	Evidence            []string
}

const maxEvidence = 5 // a check; the rest is in the report

func writeFramework(w io.Writer, r *audit.Result, f controls.Framework) error {
	base, err := newPage(r)
	if err != nil {
		return err
	}
	h := htmlControls{page: base, Name: string(f.Name), AWS: f.Name == rules.SecurityHub}
	for _, status := range []finding.Status{finding.Pass, finding.Fail, finding.Unknown, finding.NotApplicable} {
		class := map[finding.Status]string{finding.Fail: "critical"}[status]
		if f.Counts[status] == 0 {
			class = "zero"
		}
		h.Cards = append(h.Cards, card{class, strconv.Itoa(f.Counts[status]), statusText(status), ""})
	}
	checks, err := newChecks(r)
	if err != nil {
		return err
	}
	for _, c := range f.Controls {
		row := htmlControl{
			ID: c.ID, Anchor: anchor(c.ID), About: c.About, Status: c.Status, StatusText: statusText(c.Status),
			Pass: c.Counts[finding.Pass], Fail: c.Counts[finding.Fail], Unknown: c.Counts[finding.Unknown],
			Suppressed: c.Counts[finding.Suppressed], NotApplicable: c.Counts[finding.NotApplicable],
		}
		for _, rule := range c.Rules {
			row.Checks = append(row.Checks, checks[rule])
		}
		h.Controls = append(h.Controls, row)
	}
	parsed, err := template.ParseFS(templates, "templates/framework.html")
	if err != nil {
		return err
	}
	return parsed.Execute(w, h)
}

func newChecks(r *audit.Result) (map[string]htmlCheck, error) {
	checks := map[string]htmlCheck{}
	for _, rule := range r.Rules {
		check := htmlCheck{
			Rule: rule.ID, Title: rule.Title, Pass: rule.Counts[finding.Pass], Fail: rule.Counts[finding.Fail], Unknown: rule.Counts[finding.Unknown],
		}
		for f, err := range rule.Findings() {
			if err != nil {
				return nil, err
			}
			if f.Status != finding.Fail {
				continue
			}
			if len(check.Evidence) == maxEvidence {
				check.Evidence = append(check.Evidence, fmt.Sprintf("and %d more", check.Fail-maxEvidence))
				break
			}
			check.Evidence = append(check.Evidence, f.Resource.Name+" ("+f.Summary()+")")
		}
		for _, reason := range rule.Unknowns {
			check.Evidence = append(check.Evidence, fmt.Sprintf("unknown: %s (%d)", reason.Text, reason.Count))
		}
		if n := rule.Counts[finding.Suppressed]; n > 0 {
			check.Evidence = append(check.Evidence, counted(n, "finding is", "findings are")+" accepted for a time: see the report's exceptions")
		}
		if len(check.Evidence) == 0 {
			check.Evidence = []string{examined(rule.Counts)}
		}
		checks[rule.ID] = check
	}
	return checks, nil
}

func examined(counts map[finding.Status]int) string {
	n := counts[finding.Pass]
	switch n {
	case 0:
		return "nothing that it applies to"
	case 1:
		return "1 examined"
	default:
		return fmt.Sprintf("%d examined", n)
	}
}

func statusText(s finding.Status) string { return strings.ReplaceAll(string(s), "-", " ") }

// anchor makes an id of HTML out of a control's.
func anchor(id string) string {
	return "c-" + strings.NewReplacer("(", "-", ")", "", ".", "-", " ", "-").Replace(id)
}
