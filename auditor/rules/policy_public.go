package rules

import (
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func policyPublic() Rule {
	return Rule{
		ID:          "policy-public",
		Title:       "The resource policy lets anybody in",
		Rationale:   "Anybody with an AWS account can read or change a secret whose policy names everybody.",
		Remediation: "Remove the statement, or deploy the stack, which writes a policy that names the readers. PutResourcePolicy with BlockPublicPolicy refuses such policies.",
		Severity:    finding.Critical,
		Controls:    accessControls(),
		Secret: func(_ Context, s *facts.Subject) finding.Verdict {
			opened, known := s.Policy.Get()
			switch {
			case !known:
				return finding.Unreadable(s.Policy.Unknown)
			case len(opened.Public) > 0:
				return finding.Failed("statement", list(opened.Public), "policy read", when(opened.Read))
			}
			return finding.Passed()
		},
	}
}
