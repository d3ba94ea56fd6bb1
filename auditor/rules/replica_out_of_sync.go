package rules

import (
	"maps"
	"slices"
	"time"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

// replicationTime is how long a change may be under way: AWS promises no time, and
// takes seconds.
const replicationTime = 2 * time.Hour

func replicaOutOfSync() Rule {
	return Rule{
		ID:          "replica-out-of-sync",
		Title:       "A replica is out of sync",
		Rationale:   "A replica with an old value fails exactly when it is needed: after a failover every login is refused.",
		Remediation: "Look at the status in aws secretsmanager describe-secret; often the replica's key is missing or disabled. Then replicate again.",
		Severity:    finding.High,
		Controls:    replicaControls(),
		Secret: func(c Context, s *facts.Subject) finding.Verdict {
			region, skipped := replicaWanted(s)
			if region == "" && s.PrimaryRegion == "" {
				return skipped
			}
			replicas, known := s.Replicas.Get()
			if !known {
				return finding.Unreadable(s.Replicas.Unknown)
			}
			if len(replicas) == 0 {
				return finding.Skipped("it has no replica")
			}
			var pairs []string
			for _, region := range slices.Sorted(maps.Keys(replicas)) {
				if replica := replicas[region]; !replica.InSync {
					pairs = append(pairs, region, replica.Evidence)
				}
			}
			switch {
			case pairs != nil && c.Now.Sub(s.Changed) < replicationTime:
				return finding.Unreadable("it was changed less than " + days(replicationTime) + " before, and may be under way to its replicas")
			case pairs != nil:
				return finding.Failed(pairs...)
			}
			return finding.Passed()
		},
	}
}
