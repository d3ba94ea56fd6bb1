// Package finding holds what an audit says: verdicts of rules about resources.
package finding

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Severity is how bad a finding is.
type Severity string

// The severities, from the least.
const (
	Low      Severity = "low"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// Severities returns all, the worst first, which is the order of reports.
func Severities() []Severity { return []Severity{Critical, High, Medium, Low} }

// ParseSeverity returns the severity of that exact name.
func ParseSeverity(s string) (Severity, error) {
	for _, severity := range Severities() {
		if s == string(severity) {
			return severity, nil
		}
	}
	return "", fmt.Errorf("unknown severity %q: use critical, high, medium or low", s)
}

// Rank is 1 for Low to 4 for Critical, and 0 for what is none.
func (s Severity) Rank() int {
	switch s {
	case Low:
		return 1
	case Medium:
		return 2
	case High:
		return 3
	case Critical:
		return 4
	default:
		return 0
	}
}

// Status is the verdict of a rule about a resource.
type Status string

// The verdicts.
const (
	Pass          Status = "pass"
	Fail          Status = "fail"
	Unknown       Status = "unknown"        // a fact that the rule needs couldn't be read
	NotApplicable Status = "not-applicable" // the rule says nothing about this resource
	Suppressed    Status = "suppressed"     // it failed, and the policy accepts that for a time
)

// Statuses returns all, in the order in which documents list them.
func Statuses() []Status { return []Status{Pass, Fail, Unknown, NotApplicable, Suppressed} }

// Evidence is a fact on which a verdict rests. It never holds a secret value.
type Evidence struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Verdict is what a rule says of one resource.
type Verdict struct {
	Status   Status
	Evidence []Evidence
	Reason   string // of Unknown: what couldn't be read; of NotApplicable: why
}

// Passed is the verdict that all is well.
func Passed() Verdict { return Verdict{Status: Pass} }

// Failed is the verdict that something is wrong, with pairs of names and values
// as evidence.
func Failed(pairs ...string) Verdict {
	v := Verdict{Status: Fail}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Evidence = append(v.Evidence, Evidence{pairs[i], pairs[i+1]})
	}
	return v
}

// Unreadable is the verdict that nobody knows.
func Unreadable(reason string) Verdict { return Verdict{Status: Unknown, Reason: reason} }

// Skipped is the verdict that the rule isn't about this resource.
func Skipped(why string) Verdict { return Verdict{Status: NotApplicable, Reason: why} }

// Resource is what a finding is about.
type Resource struct {
	ARN    string `json:"arn"`
	Name   string `json:"name"`
	Type   string `json:"type"` // CloudFormation's name of the type, or "Other"
	Region string `json:"region"`
	Owner  string `json:"owner,omitempty"`
}

// Suppression is why a finding is accepted for a time.
type Suppression struct {
	Owner   string `json:"owner"`
	Reason  string `json:"reason"`
	Expires string `json:"expires"` // a date, the last day
}

// Finding is a verdict of the kinds Fail, Unknown or Suppressed, as reports
// show it.
type Finding struct {
	ID          string       `json:"id"` // the same in every run
	Rule        string       `json:"rule"`
	Severity    Severity     `json:"severity"`
	Status      Status       `json:"status"`
	Resource    Resource     `json:"resource"`
	Evidence    []Evidence   `json:"evidence,omitempty"`
	Reason      string       `json:"reason,omitempty"`
	FirstSeen   time.Time    `json:"firstSeen,omitzero"` // of what is open
	New         bool         `json:"new"`                // not there in the last run, or less severe
	Suppression *Suppression `json:"suppression,omitempty"`
}

// ID returns the identity of a rule's finding about a resource: the same in
// every run, different for every two.
func ID(rule string, resource Resource) string {
	sum := sha256.Sum256([]byte(rule + "\x00" + resource.ARN))
	return hex.EncodeToString(sum[:8])
}

// OneLine is a text without what breaks a line or commands a terminal: names,
// tags and events hold whatever somebody typed.
func OneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}

// Summary is the finding in one line.
func (f Finding) Summary() string {
	var parts []string
	for _, e := range f.Evidence {
		parts = append(parts, e.Name+": "+e.Value)
	}
	if f.Reason != "" {
		parts = append(parts, f.Reason)
	}
	return strings.Join(parts, "; ")
}
