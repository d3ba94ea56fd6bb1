package rules

import (
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func rotationDisabled() Rule {
	return Rule{
		ID:          "rotation-disabled",
		Title:       "Rotation is not enabled",
		Rationale:   "A secret that is never changed is open for ever to whoever got hold of it once.",
		Remediation: "Give the secret a schedule in the catalogue of its stack and deploy it, or switch rotation on: aws secretsmanager rotate-secret --secret-id <name> --rotation-lambda-arn <function> --rotation-rules AutomaticallyAfterDays=30.",
		Severity:    finding.High,
		Controls:    rotationControls("SecretsManager.1"),
		Secret: func(c Context, s *facts.Subject) finding.Verdict {
			switch {
			case s.Rotation.Enabled:
				return finding.Passed()
			case s.OwningService != "":
				return managedByAWS(s) // and nobody else can switch its rotation on
			case c.Now.Sub(s.Created) < c.Policy.RotationGrace:
				return finding.Skipped("created less than " + days(c.Policy.RotationGrace) + " ago: rotation is switched on after the first value")
			}
			v := finding.Failed("created", date(s.Created), "last rotated", when(s.Rotation.Last))
			if s.Declared != nil && s.Declared.RotationDisabled != "" {
				v.Evidence = append(v.Evidence, finding.Evidence{Name: "the catalogue's reason", Value: s.Declared.RotationDisabled})
			}
			return v
		},
	}
}
