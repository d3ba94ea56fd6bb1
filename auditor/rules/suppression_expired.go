package rules

import (
	"fmt"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func suppressionExpired() Rule {
	return Rule{
		ID:          "suppression-expired",
		Title:       "An exception has expired",
		Rationale:   "Somebody promised to mend this by a date. The date has passed, and the findings count again.",
		Remediation: "Mend the findings, or have its owner renew the exception in the policy file, with a reason and a new date.",
		Severity:    finding.Medium,
		Controls:    governanceControls(),
		Estate: func(c Context, e *facts.Estate) []Result {
			var results []Result
			for _, s := range c.Policy.Suppressions {
				verdict := finding.Passed()
				if s.Expired(c.Now) {
					verdict = finding.Failed("expired", s.LastDay(), "reason", s.Reason, "line of the policy", fmt.Sprint(s.Line))
				}
				results = append(results, Result{finding.Resource{
					ARN: "suppression:" + s.Rule + ":" + s.Secret, Name: s.Rule + " for " + s.Secret, Type: "Other", Owner: s.Owner,
				}, verdict, false})
			}
			return results
		},
	}
}
