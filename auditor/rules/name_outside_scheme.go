package rules

import (
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/sdk/spec"
)

func nameOutsideScheme() Rule {
	return Rule{
		ID:          "name-outside-scheme",
		Title:       "The name is outside the scheme",
		Rationale:   "Permissions, tags and costs follow from the name <organization>/<environment>/<service>/<secret>; another name falls outside all of them.",
		Remediation: "Make a secret of the right name through the catalogue, move its readers there, and retire this one.",
		Severity:    finding.Low,
		Controls:    inventoryControls(),
		Secret: func(_ Context, s *facts.Subject) finding.Verdict {
			if s.OwningService != "" {
				return managedByAWS(s)
			}
			name, err := spec.ParseName(s.Name)
			if err != nil {
				return finding.Failed("problem", err.Error())
			}
			if c := s.Catalogue; c != nil && name.Organization != c.Organization {
				return finding.Failed("problem", "the organization "+quote(name.Organization)+" should be "+quote(c.Organization))
			}
			return finding.Passed()
		},
	}
}
