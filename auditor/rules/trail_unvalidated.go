package rules

import (
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func trailUnvalidated() Rule {
	return Rule{
		ID:          "trail-without-validation",
		Title:       "The trail's files are not validated",
		Rationale:   "Digests prove to an assessor that nobody changed or removed what the trail wrote.",
		Remediation: "aws cloudtrail update-trail --name <trail> --enable-log-file-validation.",
		Severity:    finding.Medium,
		Controls:    trailControls("CloudTrail.4"),
		Estate: func(_ Context, e *facts.Estate) []Result {
			return eachRegion(e, func(trails []facts.Trail) finding.Verdict {
				return ofRecording(trails, func(t facts.Trail) bool { return t.Validation })
			})
		},
	}
}
