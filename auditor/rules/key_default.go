package rules

import (
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func keyDefault() Rule {
	return Rule{
		ID:          "key-default",
		Title:       "The secret has no key of the company's own",
		Rationale:   "AWS's key aws/secretsmanager has a policy that nobody can narrow, and can't be shared with another account or region.",
		Remediation: "Deploy the secret through the catalogue, which gives it the stack's key, or: aws secretsmanager update-secret --secret-id <name> --kms-key-id <key>. The next value is encrypted with it.",
		Severity:    finding.Medium,
		Controls: Controls{
			SOC2: {"CC6.1"}, ISO27001: {"A.8.24"}, HIPAA: {"164.312(a)(2)(iv)", "164.312(e)(2)(ii)"}, NIST: {"SC-13", "SC-28(1)"},
		},
		Secret: func(_ Context, s *facts.Subject) finding.Verdict {
			switch {
			case s.OwningService != "" && s.KeyID == "":
				return managedByAWS(s)
			case s.KeyID == "":
				return finding.Failed("key", "aws/secretsmanager")
			}
			key, known := s.Key.Get()
			switch {
			case !known:
				return finding.Unreadable(s.Key.Unknown)
			case !key.CustomerManaged:
				return finding.Failed("key", s.KeyID, "managed by", "AWS")
			}
			return finding.Passed()
		},
	}
}
