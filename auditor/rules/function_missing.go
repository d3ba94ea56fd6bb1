package rules

import (
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func functionMissing() Rule {
	return Rule{
		ID:          "function-missing",
		Title:       "The rotation function doesn't exist",
		Rationale:   "Rotation is switched on, but there is nothing that does it: every rotation will fail.",
		Remediation: "Deploy the stack, which makes the function, or name another one with aws secretsmanager rotate-secret.",
		Severity:    finding.High,
		Controls:    failedRotationControls(),
		Estate: func(_ Context, e *facts.Estate) []Result {
			return eachFunction(e, func(used facts.UsedFunction, function facts.Function) finding.Verdict {
				if function.Missing {
					return finding.Failed("secrets", users(used.Users))
				}
				return finding.Passed()
			})
		},
	}
}

// eachFunction judges the rotation functions whose facts are known.
func eachFunction(e *facts.Estate, judge func(facts.UsedFunction, facts.Function) finding.Verdict) []Result {
	results := unlisted(e, "AWS::Lambda::Function", "lambda", "function", "functions")
	for _, used := range e.Functions {
		function, known := used.Facts.Get()
		verdict := finding.Unreadable(used.Facts.Unknown)
		if known {
			verdict = judge(used, function)
		}
		results = append(results, Result{
			finding.Resource{ARN: used.ARN, Name: functionName(used.ARN), Type: "AWS::Lambda::Function", Region: used.Region}, verdict, false,
		})
	}
	return results
}
