package rules

import (
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/policy"
	"github.com/aistudio/secrets/sdk/spec"
)

func valueTooOld() Rule {
	return Rule{
		ID:          "value-too-old",
		Title:       "The value is older than its kind allows",
		Rationale:   "The older a value, the more copies of it are about: in memories, backups, tickets and heads.",
		Remediation: "Rotate the secret now, and switch rotation on so that it stays young.",
		Severity:    finding.Medium,
		Controls: Controls{
			SOC2: {"CC6.1"}, ISO27001: {"A.5.17"}, HIPAA: {"164.308(a)(5)(ii)(D)"}, NIST: {"IA-5(1)"}, SecurityHub: {"SecretsManager.4"},
		},
		Secret: func(c Context, s *facts.Subject) finding.Verdict {
			kind := KindOf(s)
			limit := c.Policy.MaximumAge[kind]
			if s.Current == "" {
				return finding.Skipped("it has no value yet")
			}
			if c.Now.Sub(s.Created) <= limit {
				return finding.Passed() // no value is older than its secret
			}
			written, known := s.Written.Get()
			switch {
			case !known:
				return finding.Unreadable(s.Written.Unknown)
			case c.Now.Sub(written) <= limit:
				return finding.Passed()
			}
			return finding.Failed("written", when(written), "age", days(c.Now.Sub(written)), "allowed for "+kind, days(limit))
		},
	}
}

// KindOf returns the kind of a secret by which its age is judged: as declared,
// as tagged, or policy.Other.
func KindOf(s *facts.Subject) string {
	kinds := []string{s.Tags[spec.TagSecretType]}
	if s.Declared != nil {
		kinds = []string{string(s.Declared.Kind), kinds[0]}
	}
	for _, name := range kinds {
		if kind, err := spec.ParseKind(name); err == nil {
			return string(kind)
		}
	}
	return policy.Other
}
