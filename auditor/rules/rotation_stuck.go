package rules

import (
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func rotationStuck() Rule {
	return Rule{
		ID:          "rotation-stuck",
		Title:       "A pending version is stuck",
		Rationale:   "While a version that isn't current holds AWSPENDING, Secrets Manager starts no new rotation: \"previous rotation isn't complete\".",
		Remediation: "Mend what stopped the rotation, then rotate again; or clear the label: go tool mage rotate:unstick <secret>.",
		Severity:    finding.High,
		Controls:    failedRotationControls(),
		Secret: func(c Context, s *facts.Subject) finding.Verdict {
			since, known := s.Stuck.Get()
			switch {
			case !known:
				return finding.Unreadable(s.Stuck.Unknown)
			case since.IsZero():
				// AWS takes the label away after a rotation, or leaves it on the
				// current version: both are well.
				return finding.Passed()
			case c.Now.Sub(since) < c.Policy.PendingGrace:
				return finding.Passed() // a rotation that is under way
			}
			return finding.Failed("pending version", s.Pending, "current version", s.Current, "pending since", when(since))
		},
	}
}
