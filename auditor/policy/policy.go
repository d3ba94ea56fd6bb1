// Package policy reads what a company demands of its secrets: one YAML file
// with ages, tags, severities, suppressions and what may be mended.
//
//	maximumAge: { database: 45d, other: 90d }
//	unusedAfter: 90d
//	tags:
//	  Owner: []                       # any value
//	  Environment: [dev, staging, prod]
//	severities: { tags-missing: medium }
//	suppressions:
//	  - rule: replica-missing
//	    secret: aistudio/prod/studio/*
//	    owner: team-studio
//	    reason: the service runs in one region until March
//	    expires: 2027-03-31
//	remedy:
//	  rules: [tags-missing]
//	  tagValues: { ManagedBy: pulumi }
//
// Parse is strict and reports all mistakes at once, each with its line.
package policy

import (
	"time"

	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/sdk/spec"
)

// Policy is what is demanded. Default returns one that demands what the
// project's own secrets keep.
type Policy struct {
	MaximumAge  map[string]time.Duration // of a current value by kind; "other" for secrets of no kind
	UnusedAfter time.Duration

	RotationGrace time.Duration // after the window in which a rotation was due
	PendingGrace  time.Duration // how long a rotation may be under way

	Tags       map[string][]string // required keys; allowed values, none for any
	Severities map[string]finding.Severity
	Threshold  finding.Severity // findings from here on fail a build

	Suppressions []Suppression

	// DeprecatedRuntimes are Lambda runtimes with the day from which on AWS no
	// longer patches them.
	DeprecatedRuntimes map[string]time.Time

	PolicyReads int           // resource policies read a run at most
	ScanMaxAge  time.Duration // of the migration's scan
	Access      Access
	Remedy      Remedy
}

// Access says which reads of secrets are looked at.
type Access struct {
	Window   time.Duration // up to now
	Pages    int           // of 50 events, read from the trail a region at most
	Expected []string      // patterns of principals that may read any secret
}

// Suppression accepts a rule's findings about secrets for a time.
type Suppression struct {
	Rule    string
	Secret  string // a pattern of names or ARNs: * stands for any text
	Owner   string
	Reason  string
	Expires time.Time // the end of the last day, UTC
	Line    int
}

// Expired reports whether the suppression's time is over.
func (s Suppression) Expired(now time.Time) bool { return !now.Before(s.Expires) }

// LastDay is the last day of the suppression, as the file has it.
func (s Suppression) LastDay() string { return s.Expires.Add(-time.Second).Format(time.DateOnly) }

// Matches reports whether the suppression is about that finding.
func (s Suppression) Matches(rule string, resource finding.Resource) bool {
	return s.Rule == rule && (Match(s.Secret, resource.Name) || Match(s.Secret, resource.ARN))
}

// Remedy says what the auditor may mend by itself. The zero value is nothing.
type Remedy struct {
	Rules     []string
	TagValues map[string]string // values of missing tags; those that the catalogue knows need none
}

// Other is the kind, in MaximumAge, of secrets that have none.
const Other = "other"

const day = 24 * time.Hour

// Default returns the policy of a company that wrote none.
func Default() Policy {
	p := Policy{
		MaximumAge:         map[string]time.Duration{Other: 90 * day},
		UnusedAfter:        90 * day,
		RotationGrace:      day,
		PendingGrace:       day,
		Tags:               map[string][]string{},
		Severities:         map[string]finding.Severity{},
		Threshold:          finding.High,
		DeprecatedRuntimes: runtimes(),
		PolicyReads:        1000,
		ScanMaxAge:         2 * day,
		Access:             Access{Window: day, Pages: 10},
	}
	for _, kind := range spec.Kinds() {
		p.MaximumAge[string(kind)] = kind.MaxAge()
	}
	for _, key := range spec.RequiredTags() {
		p.Tags[key] = nil
	}
	return p
}
