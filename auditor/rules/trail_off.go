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
		Remediation: "Make a trail that logs management events, reads and writes, in all regions, and start it: aws cloudtrail start-logging --name <trail>. One that can't deliver its files needs its bucket, and that bucket's policy.",
		Severity:    finding.Critical,
		Controls:    trailControls("CloudTrail.1"),
		Estate: func(_ Context, e *facts.Estate) []Result {
			return eachRegion(e, func(trails []facts.Trail) finding.Verdict {
				if slices.ContainsFunc(trails, recording) {
					return finding.Passed()
				}
				if why := unknownTrail(trails); why != "" {
					return finding.Unreadable(why)
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

// recording reports whether a trail is known to record the reads and the changes
// of secrets, which are management events, and to deliver what it records.
func recording(t facts.Trail) bool {
	return t.Unknown == "" && t.Logging && t.Management && t.Delivery == ""
}

// unknownTrail returns why a trail can't be judged, "" if all can.
func unknownTrail(trails []facts.Trail) string {
	for _, t := range trails {
		if t.Unknown != "" {
			return t.Unknown
		}
	}
	return ""
}

func trailState(t facts.Trail) string {
	switch {
	case !t.Logging:
		return "not logging"
	case !t.Management:
		return "doesn't log all management events, reads and writes"
	case t.Delivery != "":
		return "can't deliver its files: " + t.Delivery
	default:
		return "logging"
	}
}

// ofRecording is the verdict that one of the trails that record has a property.
func ofRecording(trails []facts.Trail, has func(facts.Trail) bool) finding.Verdict {
	if slices.ContainsFunc(trails, func(t facts.Trail) bool { return recording(t) && has(t) }) {
		return finding.Passed()
	}
	if i := slices.IndexFunc(trails, func(t facts.Trail) bool { return t.Unknown != "" && has(t) }); i >= 0 {
		return finding.Unreadable(trails[i].Unknown)
	}
	if i := slices.IndexFunc(trails, recording); i >= 0 {
		return finding.Failed("trail", trails[i].ARN)
	}
	if why := unknownTrail(trails); why != "" {
		return finding.Unreadable(why)
	}
	return finding.Skipped("no trail records")
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
		}, verdict, false})
	}
	return results
}
