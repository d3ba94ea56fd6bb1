package report

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/aistudio/secrets/auditor/audit"
	"github.com/aistudio/secrets/auditor/controls"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/state"
)

// Schema is the JSON Schema of report.json.
//
//go:embed schema.json
var Schema []byte

// SchemaID is what report.json says that it follows.
const SchemaID = "https://github.com/aistudio/secrets/auditor/report/schema.json"

// jsonReport is report.json up to its findings, which are streamed.
type jsonReport struct {
	Schema      string               `json:"$schema"`
	Run         string               `json:"run"`
	Time        time.Time            `json:"time"`
	Account     string               `json:"account"`
	Environment string               `json:"environment"`
	Complete    bool                 `json:"complete"`
	Regions     []audit.Region       `json:"regions"`
	Summary     jsonSummary          `json:"summary"`
	Rules       []jsonRule           `json:"rules"`
	Owners      []*audit.Owner       `json:"owners"`
	Frameworks  []controls.Framework `json:"frameworks"`
	Trend       []state.Point        `json:"trend"`
}

type jsonSummary struct {
	Secrets            int                      `json:"secrets"`
	Findings           map[finding.Severity]int `json:"findings"`
	New                int                      `json:"new"`
	Resolved           int                      `json:"resolved"`
	Unverified         int                      `json:"unverified"`
	Unknown            int                      `json:"unknown"`
	Suppressed         int                      `json:"suppressed"`
	RotationCompliance float64                  `json:"rotationCompliance"`
	OldestValueDays    int                      `json:"oldestValueDays"`
	Coverage           float64                  `json:"coverage"`
}

type jsonRule struct {
	RuleEntry
	Counts  map[finding.Status]int `json:"counts"`
	Unknown []*audit.Reason        `json:"unknown,omitempty"`
}

func summarize(r *audit.Result) jsonSummary {
	return jsonSummary{
		Secrets: r.Secrets, Findings: r.BySeverity(), New: r.NewFindings(), Resolved: r.Resolved, Unverified: r.Carried,
		Unknown: r.Count(finding.Unknown), Suppressed: r.Count(finding.Suppressed),
		RotationCompliance: r.RotationCompliance(), OldestValueDays: r.OldestDays, Coverage: r.Coverage(),
	}
}

func writeJSON(w io.Writer, r *audit.Result, frameworks []controls.Framework) error {
	head := jsonReport{
		Schema: SchemaID, Run: r.Run, Time: r.Time, Account: r.Account, Environment: r.Environment, Complete: r.Complete(),
		Regions: r.Regions, Summary: summarize(r), Owners: r.Owners, Frameworks: frameworks, Trend: r.Trend,
	}
	for _, rule := range r.Rules {
		head.Rules = append(head.Rules, jsonRule{
			RuleEntry{rule.ID, rule.Title, rule.Rationale, rule.Remediation, rule.Severity, rule.Controls}, rule.Counts, rule.Unknowns,
		})
	}
	text, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	// The object stays open for its last member. The buffer keeps its first
	// error for Flush.
	fmt.Fprintf(out, "%s,\n  \"findings\": [", text[:len(text)-2])
	separator := "\n    "
	for f, err := range r.Findings() {
		if err != nil {
			return err
		}
		line, err := json.Marshal(f)
		if err != nil {
			return err
		}
		fmt.Fprint(out, separator)
		fmt.Fprintf(out, "%s", line)
		separator = ",\n    "
	}
	fmt.Fprint(out, "\n  ]\n}\n")
	return out.Flush()
}
