// Package rules holds what an audit demands: one file a rule, each a pure
// function from facts to a verdict.
//
// A rule never passes on what it doesn't know: a fact that couldn't be read
// makes the verdict unknown, with the reason.
package rules

import (
	"fmt"
	"strings"
	"time"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/policy"
)

// Rule is a demand and how it is checked. Exactly one of Secret, Deleted and
// Estate is set.
type Rule struct {
	ID          string
	Title       string // what is wrong when it fails
	Rationale   string // why it matters
	Remediation string // how to mend it
	Severity    finding.Severity
	Controls    Controls

	Secret  func(Context, *facts.Subject) finding.Verdict // of a secret that is in use
	Deleted func(Context, *facts.Subject) finding.Verdict // of one that is scheduled for deletion
	Estate  func(Context, *facts.Estate) []Result         // of anything else
}

// Controls are the controls that a rule is evidence for, by framework.
type Controls map[Framework][]string

// Framework is a standard that an assessor checks.
type Framework string

// The frameworks, named as their publishers name them.
const (
	SOC2        Framework = "SOC 2"
	ISO27001    Framework = "ISO/IEC 27001:2022"
	HIPAA       Framework = "HIPAA"
	NIST        Framework = "NIST SP 800-53 Rev. 5"
	SecurityHub Framework = "AWS Security Hub"
)

// Frameworks returns all, in the order of reports.
func Frameworks() []Framework { return []Framework{SOC2, ISO27001, HIPAA, NIST, SecurityHub} }

// Context is what rules need besides facts.
type Context struct {
	Policy *policy.Policy
	Now    time.Time // UTC
}

// Result is a verdict about a resource that isn't a secret.
type Result struct {
	Resource finding.Resource
	Verdict  finding.Verdict
	// Among says that the resource stands for all of a region, or for any of
	// them: while that is unknown, nothing of the region is known to be gone.
	Among bool
}

// All returns every rule, in the order of reports: by what it is about.
func All() []Rule {
	return []Rule{
		rotationDisabled(), rotationOverdue(), rotationFailed(), rotationStuck(), valueTooOld(),
		tagsMissing(), tagsWrong(), unused(), nameOutsideScheme(), unmanaged(),
		keyDefault(), keyRotationOff(), keyUnusable(),
		policyPublic(), policyCrossAccount(), policyTooWide(), accessUnexpected(), deletedStillRead(),
		replicaMissing(), replicaOutOfSync(),
		functionMissing(), functionFailing(), functionRuntime(),
		trailOff(), trailSingleRegion(), trailUnvalidated(),
		plaintextLambda(), plaintextECS(), plaintextSSM(),
		suppressionExpired(),
	}
}

// IDs returns the ids of all rules.
func IDs() []string {
	var ids []string
	for _, rule := range All() {
		ids = append(ids, rule.ID)
	}
	return ids
}

// Resource is a secret as findings name it.
func Resource(s *facts.Subject) finding.Resource {
	owner := s.Tags["Owner"]
	if owner == "" && s.Declared != nil {
		owner = s.Declared.Owner
	}
	return finding.Resource{ARN: s.ARN, Name: s.Name, Type: "AWS::SecretsManager::Secret", Region: s.Region, Owner: owner}
}

// managedByAWS is the verdict about secrets that a service of AWS owns, of
// which a company can't demand everything.
func managedByAWS(s *facts.Subject) finding.Verdict {
	return finding.Skipped("the AWS service " + s.OwningService + " manages this secret")
}

// days writes a duration for people.
func days(d time.Duration) string {
	switch n := int(d.Hours() / 24); {
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", n)
	}
}

func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

func date(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.DateOnly)
}

// list writes the first of many.
func list(items []string) string {
	const most = 5
	if len(items) > most {
		return strings.Join(items[:most], ", ") + fmt.Sprintf(" and %d more", len(items)-most)
	}
	return strings.Join(items, ", ")
}

func users(u facts.Users) string {
	text := list(u.Examples)
	if more := u.Count - len(u.Examples); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
