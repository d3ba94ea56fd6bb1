package rules

import (
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func functionRuntime() Rule {
	return Rule{
		ID:          "function-runtime-deprecated",
		Title:       "The rotation function has a deprecated runtime",
		Rationale:   "AWS patches a deprecated runtime no more, and one day refuses to update or to run the function that sees every new password.",
		Remediation: "Move the function to a runtime that AWS supports; this project's own run on provided.al2023.",
		Severity:    finding.Medium,
		Controls: Controls{
			SOC2: {"CC7.1"}, ISO27001: {"A.8.8"}, NIST: {"SI-2"}, SecurityHub: {"Lambda.2"},
		},
		Estate: func(c Context, e *facts.Estate) []Result {
			return eachFunction(e, func(used facts.UsedFunction, function facts.Function) finding.Verdict {
				since, listed := c.Policy.DeprecatedRuntimes[function.Runtime]
				switch {
				case function.Missing:
					return finding.Skipped("it doesn't exist")
				case function.Runtime == "":
					return finding.Skipped("it is a container image")
				case !listed || c.Now.Before(since):
					return finding.Passed()
				}
				v := finding.Failed("runtime", function.Runtime, "secrets", users(used.Users))
				if !since.IsZero() {
					v.Evidence = append(v.Evidence, finding.Evidence{Name: "deprecated on", Value: date(since)})
				}
				return v
			})
		},
	}
}
