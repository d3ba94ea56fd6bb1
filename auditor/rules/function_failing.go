package rules

import (
	"strings"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func functionFailing() Rule {
	return Rule{
		ID:          "function-failing",
		Title:       "The rotation function can't run",
		Rationale:   "A function whose state or last update is Failed is not invoked, or runs old code: rotations fail or do what they did before.",
		Remediation: "Look at the reason in aws lambda get-function-configuration; often its key, role or subnets are gone. Then deploy the stack again.",
		Severity:    finding.High,
		Controls:    failedRotationControls(),
		Estate: func(_ Context, e *facts.Estate) []Result {
			return eachFunction(e, func(used facts.UsedFunction, function facts.Function) finding.Verdict {
				switch {
				case function.Missing:
					return finding.Skipped("it doesn't exist")
				case function.Failed:
					return finding.Failed("state", function.State, "reason", orNone(function.Reason), "secrets", users(used.Users))
				}
				return finding.Passed()
			})
		},
	}
}

// lastField returns what follows the last colon of an ARN.
func lastField(arn string) string { return arn[strings.LastIndexByte(arn, ':')+1:] }
