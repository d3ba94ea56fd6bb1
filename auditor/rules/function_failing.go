package rules

import (
	"strconv"
	"strings"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func functionFailing() Rule {
	return Rule{
		ID:          "function-failing",
		Title:       "The rotation function fails",
		Rationale:   "A function whose state or last update is Failed is not invoked, or runs old code; one whose last invocations ended in errors leaves rotations undone or half done.",
		Remediation: "For a state, look at the reason in aws lambda get-function-configuration; often its key, role or subnets are gone: deploy the stack again. For errors, look at the function's log in that hour, mend the reason and rotate again: go tool mage rotate:now <secret>.",
		Severity:    finding.High,
		Controls:    failedRotationControls(),
		Estate: func(_ Context, e *facts.Estate) []Result {
			return eachFunction(e, func(used facts.UsedFunction, function facts.Function) finding.Verdict {
				errors, known := function.Errors.Get()
				switch {
				case function.Missing:
					return finding.Skipped("it doesn't exist")
				case function.Failed:
					return finding.Failed("state", function.State, "reason", orNone(function.Reason), "secrets", users(used.Users))
				case !known:
					return finding.Unreadable(function.Errors.Unknown)
				case errors.Count > 0:
					return finding.Failed("errors", strconv.Itoa(errors.Count), "in the hour from", when(errors.Hour), "secrets", users(used.Users))
				}
				return finding.Passed()
			})
		},
	}
}

// functionName returns the name in a function's ARN,
// arn:aws:lambda:region:account:function:name, with its version or alias.
func functionName(arn string) string {
	_, name, found := strings.Cut(arn, ":function:")
	if !found {
		return arn
	}
	return name
}
