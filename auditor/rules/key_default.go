package rules

import (
	"maps"
	"slices"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func keyDefault() Rule {
	return Rule{
		ID:          "key-default",
		Title:       "The secret, or a replica, has no key of the company's own",
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
				return finding.Failed("key", awsKey)
			}
			key, known := s.Key.Get()
			if known && !key.CustomerManaged {
				return finding.Failed("key", s.KeyID, "managed by", "AWS")
			}
			if v := replicasWithAWSKey(s); v.Status == finding.Fail || known && v.Status == finding.Unknown {
				return v
			}
			if !known {
				return finding.Unreadable(s.Key.Unknown)
			}
			return finding.Passed()
		},
	}
}

const awsKey = "aws/secretsmanager"

// replicasWithAWSKey fails if a replica has AWS's own key, which it gets when
// nobody names another one (API reference, ReplicaRegionType).
func replicasWithAWSKey(s *facts.Subject) finding.Verdict {
	if s.PrimaryRegion == "" {
		return finding.Passed() // it was never replicated
	}
	replicas, known := s.Replicas.Get()
	if !known {
		return finding.Unreadable(s.Replicas.Unknown)
	}
	var pairs []string
	for _, region := range slices.Sorted(maps.Keys(replicas)) {
		if replicas[region].AWSKey {
			pairs = append(pairs, "key in "+region, awsKey)
		}
	}
	if pairs != nil {
		return finding.Failed(pairs...)
	}
	return finding.Passed()
}
