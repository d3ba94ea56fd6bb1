package rules

import (
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
			if !unusedSince(c, last) {
				return finding.Passed()
			}
			return finding.Failed("last read", date(last), "created", date(s.Created))
		},
	}
}

// unusedSince compares days, as AWS does: a read of any hour of the day counts.
func unusedSince(c Context, read time.Time) bool {
	return read.IsZero() || c.Now.Sub(read.Truncate(24*time.Hour)) > c.Policy.UnusedAfter+24*time.Hour
}
