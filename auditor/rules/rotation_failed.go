package rules

import (
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func rotationFailed() Rule {
	return Rule{
		ID:          "rotation-failed",
		Title:       "The last rotation failed",
		Rationale:   "A rotation that fails leaves the old value in use, and often a half-changed system.",
		Remediation: "Look at the rotation function's log at that time, mend the reason, then rotate again: go tool mage rotate:now <secret>.",
		Severity:    finding.High,
		Controls:    failedRotationControls(),
		Secret: func(_ Context, s *facts.Subject) finding.Verdict {
			if !s.Rotation.Enabled {
				return finding.Skipped("rotation is not enabled")
			}
			failure, known := s.Failure.Get()
			switch {
			case !known:
				return finding.Unreadable(s.Failure.Unknown)
			case failure == nil || s.Rotation.Last.After(failure.Time):
				return finding.Passed()
			}
			return finding.Failed("failed", when(failure.Time), "event", failure.Event, "last rotated", when(s.Rotation.Last))
		},
	}
}
