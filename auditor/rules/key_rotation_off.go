package rules

import (
	"maps"
	"slices"
	"strings"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func keyRotationOff() Rule {
	return Rule{
		ID:          "key-rotation-off",
		Title:       "The key's own rotation is off",
		Rationale:   "KMS makes new key material every year and keeps the old for decryption: it costs nothing and limits what one leaked key opens.",
		Remediation: "Deploy the stack, which switches it on, or: aws kms enable-key-rotation --key-id <key>.",
		Severity:    finding.High,
		Controls:    keyControls([]string{"SC-12", "SC-12(2)"}, []string{"KMS.4"}),
		Estate: func(_ Context, e *facts.Estate) []Result {
			return eachKey(e, func(used facts.UsedKey, key facts.Key) finding.Verdict {
				rotates, known := key.Rotates.Get()
				switch {
				case !key.CustomerManaged:
					return finding.Skipped("AWS manages this key and rotates it")
				case key.Primary != "" && slices.ContainsFunc(e.Keys, func(other facts.UsedKey) bool { return other.Facts.Value.ARN == key.Primary }):
					// Replicas share their primary's rotation (KMS developer guide,
					// "Rotate AWS KMS keys").
					return finding.Skipped("its primary key has the same rotation, and is judged")
				case !key.Usable:
					return finding.Skipped("the key can't be used: a finding of its own")
				case !known:
					return finding.Unreadable(key.Rotates.Unknown)
				case !rotates:
					return finding.Failed("rotation", "off", "secrets", users(used.Users))
				}
				return finding.Passed()
			})
		},
	}
}

// unlisted are the verdicts about what the secrets use that weren't listed.
func unlisted(e *facts.Estate, resourceType, service, resource, noun string) []Result {
	var results []Result
	for _, region := range slices.Sorted(maps.Keys(e.Unlisted)) {
		results = append(results, Result{finding.Resource{
			ARN:  "arn:aws:" + service + ":" + region + ":" + e.Account + ":" + resource + "/*",
			Name: noun + " of the secrets of " + region + " that weren't listed", Type: resourceType, Region: region,
		}, finding.Unreadable("the listing ended early: " + e.Unlisted[region]), true})
	}
	return results
}

// eachKey judges the keys whose facts are known.
func eachKey(e *facts.Estate, judge func(facts.UsedKey, facts.Key) finding.Verdict) []Result {
	results := unlisted(e, "AWS::KMS::Key", "kms", "key", "keys")
	for _, used := range e.Keys {
		key, known := used.Facts.Get()
		resource := finding.Resource{ARN: key.ARN, Name: used.ID, Type: "AWS::KMS::Key", Region: used.Region}
		if resource.ARN == "" {
			resource.ARN = used.ID
		}
		verdict := finding.Unreadable(used.Facts.Unknown)
		if known {
			verdict = judge(used, key)
		}
		// An id or an alias could be any key's.
		results = append(results, Result{resource, verdict, !known && !strings.Contains(used.ID, ":key/")})
	}
	return results
}
