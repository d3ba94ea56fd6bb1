package rules

import (
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func policyCrossAccount() Rule {
	return Rule{
		ID:          "policy-cross-account",
		Title:       "The resource policy lets another account in",
		Rationale:   "What another account may read is protected as well as that account is, and its administrators decide who reads.",
		Remediation: "Remove the statement, or accept it in the policy file with an owner and a date.",
		Severity:    finding.High,
		Controls:    accessControls(),
		Secret: func(_ Context, s *facts.Subject) finding.Verdict {
			opened, known := s.Policy.Get()
			switch {
			case !known:
				return finding.Unreadable(s.Policy.Unknown)
			case len(opened.CrossAccount) > 0:
				return finding.Failed("principal", list(opened.CrossAccount), "policy read", when(opened.Read))
			}
			return finding.Passed()
		},
	}
}
