package rules

import (
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/sdk/spec"
)

func plaintextSSM() Rule {
	return Rule{
		ID:          "plaintext-ssm",
		Title:       "A secret is in a String parameter of SSM",
		Rationale:   plaintextRationale,
		Remediation: "Move it: the migration's plan has the steps and the way back. Old versions and revisions keep the value until they are removed, so rotate the secret after the move.",
		Severity:    finding.Critical,
		Controls:    plaintextControls(),
		Estate:      plaintext(spec.ScanSSM, "AWS::SSM::Parameter", "SSM parameters"),
	}
}
