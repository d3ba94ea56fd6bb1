package rules

import (
	"slices"
	"time"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func unused() Rule {
	return Rule{
		ID:          "unused",
		Title:       "The secret is not used",
		Rationale:   "A secret that nobody reads protects nothing and can still leak.",
		Remediation: "Ask its owner. If nothing needs it, remove it from the catalogue; it can be restored for the days of the recovery window.",
		Severity:    finding.Medium,
		Controls:    useControls(),
		Secret: func(c Context, s *facts.Subject) finding.Verdict {
			if s.OwningService != "" {
				return managedByAWS(s) // the service needs it, and removes it with what it is for
			}
			if c.Now.Sub(s.Created) < c.Policy.UnusedAfter {
				return finding.Skipped("created less than " + days(c.Policy.UnusedAfter) + " ago")
			}
			last := s.Accessed
			if unusedSince(c, last) && s.PrimaryRegion != "" {
				// Each region notes its own reads: see to the replicas' before
				// anything is called unused.
				replicas, known := s.Replicas.Get()
				if !known {
					return finding.Unreadable(s.Replicas.Unknown)
				}
				for _, replica := range replicas {
					if replica.Accessed.After(last) {
						last = replica.Accessed
					}
				}
			}
			switch {
			case unusedSince(c, last):
			case rotationRead(s, last):
				return finding.Unreadable("the last read was on the day of its last rotation, which reads it too")
			default:
				return finding.Passed()
			}
			return finding.Failed("last read", date(last), "created", date(s.Created))
		},
	}
}

// rotationRead reports whether the last read may have been the rotation function's
// own, and nobody else is known to have read since the trail was looked at.
func rotationRead(s *facts.Subject, last time.Time) bool {
	const day = 24 * time.Hour
	if s.Rotation.Function == "" || s.Rotation.Last.IsZero() || !last.Equal(s.Accessed) || !last.Truncate(day).Equal(s.Rotation.Last.Truncate(day)) {
		return false
	}
	return s.Declared == nil || !slices.ContainsFunc(s.Reads.Value, func(read facts.Access) bool {
		return read.Error == "" && read.Principal != s.Declared.Rotator
	})
}

// unusedSince compares days, as AWS does: a read of any hour of the day counts.
func unusedSince(c Context, read time.Time) bool {
	return read.IsZero() || c.Now.Sub(read.Truncate(24*time.Hour)) > c.Policy.UnusedAfter+24*time.Hour
}
