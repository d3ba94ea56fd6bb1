package rules

import (
	"slices"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/sdk/spec"
)

func unmanaged() Rule {
	return Rule{
		ID:          "unmanaged",
		Title:       "The secret is not in the catalogue",
		Rationale:   "What nobody declared, nobody reviews: its readers, its key and its rotation are whatever somebody clicked.",
		Remediation: "Declare the secret in the catalogue of its stack, or retire it.",
		Severity:    finding.Medium,
		Controls:    inventoryControls(),
		Secret: func(_ Context, s *facts.Subject) finding.Verdict {
			switch {
			case s.Catalogue == nil:
				return finding.Skipped("there is no catalogue to compare with")
			case s.OwningService != "":
				return managedByAWS(s)
			case s.Declared != nil || slices.Contains(s.Catalogue.Known, s.Name) || slices.Contains(s.Catalogue.Known, s.ARN):
				return finding.Passed()
			}
			if name, err := spec.ParseName(s.Name); err == nil && name.Environment != s.Catalogue.Environment {
				return finding.Skipped("it belongs to the environment " + name.Environment)
			}
			return finding.Failed("created", date(s.Created), "tag "+spec.TagManagedBy, orNone(s.Tags[spec.TagManagedBy]))
		},
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
