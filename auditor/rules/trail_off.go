package rules

import (
	"slices"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func trailOff() Rule {
	return Rule{
		ID:          "trail-off",
		Title:       "No trail records who reads secrets",
		Rationale:   "Without a trail nobody can say who read a secret, neither to an assessor nor after a break-in.",
		Remediation: "Make a trail that logs management events, reads and writes, in all regions, and start it: aws cloudtrail start-logging --name <trail>.",
		Severity:    finding.Critical,
		Controls:    trailControls("CloudTrail.1"),
		Estate: func(_ Context, e *facts.Estate) []Result {
			return eachRegion(e, func(trails []facts.Trail) finding.Verdict {
				if slices.ContainsFunc(trails, recording) {
					return finding.Passed()
				}
				pairs := []string{"trails", "none"}
				if len(trails) > 0 {
					pairs = nil
				}
				for _, t := range trails {
					pairs = append(pairs, t.ARN, trailState(t))
				}
				return finding.Failed(pairs...)
			})
		},
	}
}

// recording reports whether a trail records the reads of secrets, which are
// management events.
func recording(t facts.Trail) bool { return t.Logging && t.Management }

func trailState(t facts.Trail) string {
	switch {
	case !t.Logging:
		return "not logging"
	case !t.Management:
		return "logs no management events of reads"
	default:
		return "logging"
	}
}

// eachRegion judges the trails that see a region.
func eachRegion(e *facts.Estate, judge func([]facts.Trail) finding.Verdict) []Result {
	var results []Result
	for _, region := range e.Regions {
		trails, known := e.Trails[region].Get()
		verdict := finding.Unreadable(e.Trails[region].Unknown)
		if known {
			verdict = judge(trails)
		}
		results = append(results, Result{finding.Resource{
			ARN: "arn:aws:cloudtrail:" + region + ":" + e.Account + ":trail/*", Name: "trails of " + region,
			Type: "AWS::CloudTrail::Trail", Region: region,
		}, verdict})
	}
	return results
}
