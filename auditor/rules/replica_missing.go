package rules

import (
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func replicaMissing() Rule {
	return Rule{
		ID:          "replica-missing",
		Title:       "The secret has no replica",
		Rationale:   "If the region fails, nothing in the other region can read this secret, and the service can't move there.",
		Remediation: "Deploy the stack, which replicates its secrets, or: aws secretsmanager replicate-secret-to-regions --secret-id <name> --add-replica-regions Region=<region>,KmsKeyId=<key there>.",
		Severity:    finding.High,
		Controls:    replicaControls(),
		Secret: func(_ Context, s *facts.Subject) finding.Verdict {
			region, skipped := replicaWanted(s)
			if region == "" {
				return skipped
			}
			replicas, known := s.Replicas.Get()
			if !known {
				return finding.Unreadable(s.Replicas.Unknown)
			}
			if _, ok := replicas[region]; !ok {
				return finding.Failed("wanted in", region)
			}
			return finding.Passed()
		},
	}
}

// replicaWanted returns the region in which the stack wants a replica, or why
// it wants none.
func replicaWanted(s *facts.Subject) (region string, skipped finding.Verdict) {
	switch {
	case s.Catalogue == nil:
		return "", finding.Skipped("there is no catalogue that says whether it needs a replica")
	case s.Catalogue.ReplicaRegion == "" || s.Catalogue.ReplicaRegion == s.Region:
		return "", finding.Skipped("the stack wants no replicas")
	case s.Declared == nil:
		return "", finding.Skipped("it is not in the catalogue")
	}
	return s.Catalogue.ReplicaRegion, finding.Verdict{}
}
