package rules

import (
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func trailSingleRegion() Rule {
	return Rule{
		ID:          "trail-single-region",
		Title:       "The trail is not of all regions",
		Rationale:   "An intruder works where nobody looks. A trail of one region sees nothing of the others, replicas' regions included.",
		Remediation: "aws cloudtrail update-trail --name <trail> --is-multi-region-trail.",
		Severity:    finding.High,
		Controls:    trailControls("CloudTrail.1"),
		Estate: func(_ Context, e *facts.Estate) []Result {
			return eachRegion(e, func(trails []facts.Trail) finding.Verdict {
				return ofRecording(trails, func(t facts.Trail) bool { return t.MultiRegion })
			})
		},
	}
}
