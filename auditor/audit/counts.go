package audit

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/state"
)

// Findings walks through a rule's findings: what failed, what is unknown and
// what is accepted, in the order of the inventory.
func (rule *RuleResult) Findings() iter.Seq2[finding.Finding, error] { return rule.findings.all() }

// Findings walks through all findings, rule by rule.
func (r *Result) Findings() iter.Seq2[finding.Finding, error] {
	return func(yield func(finding.Finding, error) bool) {
		for _, rule := range r.Rules {
			for f, err := range rule.Findings() {
				if !yield(f, err) {
					return
				}
			}
		}
	}
}

// ResolvedFindings walks through the last run's findings that are gone.
func (r *Result) ResolvedFindings() iter.Seq2[state.Entry, error] { return r.resolved.all() }

// Gone are the findings that earlier runs resolved without being able to tell
// Security Hub, ordered by id.
func (r *Result) Gone() []state.Entry {
	return slices.SortedFunc(maps.Values(r.gone), func(a, b state.Entry) int { return cmp.Compare(a.ID, b.ID) })
}

// WasOpen reports whether a finding was open after the last run.
func (r *Result) WasOpen(id string) bool {
	_, _, open := r.opts.Previous.Peek(id)
	return open
}

// Open walks through what the next run must know: the findings that are there
// now, and those of the last run of which nobody knows.
func (r *Result) Open() iter.Seq2[state.Entry, error] {
	return func(yield func(state.Entry, error) bool) {
		for f, err := range r.Findings() {
			if err == nil && f.Status != finding.Fail {
				continue
			}
			if !yield(state.Entry{ID: f.ID, Rule: f.Rule, Severity: f.Severity, FirstSeen: f.FirstSeen, Resource: f.Resource}, err) {
				return
			}
		}
		for e, err := range r.carried.all() {
			if !yield(e, err) {
				return
			}
		}
	}
}

// Complete reports whether every region was listed to its end.
func (r *Result) Complete() bool {
	for _, region := range r.Regions {
		if region.Incomplete != "" {
			return false
		}
	}
	return true
}

// Count returns how many verdicts of a status there are.
func (r *Result) Count(status finding.Status) int {
	n := 0
	for _, rule := range r.Rules {
		n += rule.Counts[status]
	}
	return n
}

// BySeverity returns the number of findings that failed, all severities named.
func (r *Result) BySeverity() map[finding.Severity]int {
	counts := map[finding.Severity]int{}
	for _, severity := range finding.Severities() {
		counts[severity] = 0
	}
	for _, rule := range r.Rules {
		counts[rule.Severity] += rule.Counts[finding.Fail]
	}
	return counts
}

// AtOrOver returns the number of findings of at least that severity.
func (r *Result) AtOrOver(threshold finding.Severity) int {
	n := 0
	for severity, count := range r.BySeverity() {
		if severity.Rank() >= threshold.Rank() {
			n += count
		}
	}
	return n
}

// NewFindings returns the number of findings that are new or worse.
func (r *Result) NewFindings() int {
	n := 0
	for _, rule := range r.Rules {
		n += rule.New
	}
	return n
}

// RotationCompliance is the share of the secrets that must rotate and did in
// time, in per cent. Where nobody knows, they didn't. Without secrets it is 100.
func (r *Result) RotationCompliance() float64 { return percent(r.Compliant, r.Rotating) }

// Coverage is the share of the verdicts that could be given, in per cent.
func (r *Result) Coverage() float64 {
	unknown := r.Count(finding.Unknown)
	all := unknown + r.Count(finding.Pass) + r.Count(finding.Fail) + r.Count(finding.Suppressed)
	return percent(all-unknown, all)
}

func percent(part, whole int) float64 {
	if whole == 0 {
		return 100
	}
	return 100 * float64(part) / float64(whole)
}

func cmpReasons(a, b *Reason) int {
	return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text))
}

func cmpOwners(a, b *Owner) int {
	for _, severity := range finding.Severities() {
		if c := cmp.Compare(b.Findings[severity], a.Findings[severity]); c != 0 {
			return c
		}
	}
	return cmp.Compare(a.Name, b.Name)
}
