package rules

import (
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func policyTooWide() Rule {
	return Rule{
		ID:          "policy-too-wide",
		Title:       "The resource policy lets in more than the readers",
		Rationale:   "The catalogue names who reads a secret; a policy that lets in more makes that list untrue.",
		Remediation: "Name the reader in the catalogue, or deploy the stack, which writes the policy again.",
		Severity:    finding.High,
		Controls:    accessControls(),
		Secret: func(_ Context, s *facts.Subject) finding.Verdict {
			opened, known := s.Policy.Get()
			switch {
			case !known:
				return finding.Unreadable(s.Policy.Unknown)
			case len(opened.TooWide) > 0:
				return finding.Failed("principal", list(opened.TooWide), "policy read", when(opened.Read))
			}
			return finding.Passed()
		},
	}
}
