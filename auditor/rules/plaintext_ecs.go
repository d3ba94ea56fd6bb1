package rules

import (
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/sdk/spec"
)

func plaintextECS() Rule {
	return Rule{
		ID:          "plaintext-ecs",
		Title:       "A secret is in a variable of an ECS task definition",
		Rationale:   plaintextRationale,
		Remediation: "Move it: the migration's plan has the steps and the way back. Old versions and revisions keep the value until they are removed, so rotate the secret after the move.",
		Severity:    finding.Critical,
		Controls:    plaintextControls("ECS.8"),
		Estate:      plaintext(spec.ScanECS, "AWS::ECS::TaskDefinition", "ECS task definitions"),
	}
}
