package run

import (
	"github.com/aistudio/secrets/auditor/finding"
)

// Summary is an Outcome in a few figures, as JSON for programs.
type Summary struct {
	Run                string                   `json:"run"`
	Environment        string                   `json:"environment"`
	Report             string                   `json:"report"`   // where report.html is: its path, or its key in the bucket
	Complete           bool                     `json:"complete"` // every region was listed to its end
	Secrets            int                      `json:"secrets"`
	Findings           map[finding.Severity]int `json:"findings"`
	New                int                      `json:"new"` // or worse
	Resolved           int                      `json:"resolved"`
	Unknown            int                      `json:"unknown"`
	RotationCompliance float64                  `json:"rotationCompliance"`   // per cent
	Coverage           float64                  `json:"coverage"`             // per cent of the checks that could be made
	Calls              map[string]int           `json:"calls"`                // to AWS, by "service:Operation"
	Superseded         bool                     `json:"superseded,omitempty"` // another run alerted
}

// Summary returns the figures. report is where report.html is.
func (o *Outcome) Summary(report string) Summary {
	return Summary{
		Run: o.Run, Environment: o.Environment, Report: report, Complete: o.Complete(), Secrets: o.Secrets,
		Findings: o.BySeverity(), New: o.NewFindings(), Resolved: o.Resolved, Unknown: o.Count(finding.Unknown),
		RotationCompliance: o.RotationCompliance(), Coverage: o.Coverage(), Calls: o.Calls, Superseded: o.Superseded,
	}
}
