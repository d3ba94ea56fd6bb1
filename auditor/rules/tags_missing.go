package rules

import (
	"maps"
	"slices"
	"strings"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func tagsMissing() Rule {
	return Rule{
		ID:          "tags-missing",
		Title:       "Required tags are missing",
		Rationale:   "Tags say who owns a secret and what leaks with it: without them nobody knows whom to call at night.",
		Remediation: "Declare the secret in the catalogue, which sets all tags, or: aws secretsmanager tag-resource --secret-id <name> --tags Key=Owner,Value=<team>.",
		Severity:    finding.Low,
		Controls:    tagControls(),
		Secret: func(c Context, s *facts.Subject) finding.Verdict {
			if s.OwningService != "" {
				return managedByAWS(s)
			}
			if missing := MissingTags(c, s); len(missing) > 0 {
				return finding.Failed("missing", strings.Join(missing, ", "))
			}
			return finding.Passed()
		},
	}
}

// MissingTags returns the keys that the policy requires and the secret lacks or
// leaves empty, in alphabetical order.
func MissingTags(c Context, s *facts.Subject) []string {
	var missing []string
	for _, key := range slices.Sorted(maps.Keys(c.Policy.Tags)) {
		if strings.TrimSpace(s.Tags[key]) == "" {
			missing = append(missing, key)
		}
	}
	return missing
}
