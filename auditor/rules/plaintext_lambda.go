package rules

import (
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/sdk/spec"
)

func plaintextLambda() Rule {
	return Rule{
		ID:          "plaintext-lambda",
		Title:       "A secret is in a variable of a Lambda function",
		Rationale:   plaintextRationale,
		Remediation: "Move it: the migration's plan has the steps and the way back. Old versions and revisions keep the value until they are removed, so rotate the secret after the move.",
		Severity:    finding.Critical,
		Controls:    plaintextControls(),
		Estate:      plaintext(spec.ScanLambda, "AWS::Lambda::Function", "Lambda functions"),
	}
}
