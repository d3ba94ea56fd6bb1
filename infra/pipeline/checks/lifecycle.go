package checks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aistudio/secrets/sdk/spec"
)

var rotated = Check{
	ID:      "rotated",
	Demands: "a secret has a SecretRotation, or the catalogue gives the reason why it has none",
	Why:     "ADR-006: every secret is rotated on a schedule, and exceptions are written down.",
	find: func(s stack) []Violation {
		var violations []Violation
		rotations := s.of("aws:secretsmanager/secretRotation:SecretRotation")
		for _, secret := range s.of(typeSecret) {
			if s.policy.NotRotated[secret.text("name")] != "" {
				continue
			}
			// By the name in the program too, since the secret's ARN isn't known
			// before it is made.
			if !slices.ContainsFunc(rotations, func(rotation Resource) bool {
				return rotation.Name == secret.Name || (secret.ID != "" && rotation.text("secretId") == secret.ID)
			}) {
				violations = append(violations, Violation{URN: secret.URN, Problem: "it isn't rotated, and there is no reason given"})
			}
		}
		return violations
	},
}

var recoverable = Check{
	ID:      "recoverable",
	Demands: "a deleted secret or key can be restored for 7 days, in production for 30",
	Why:     "Nothing brings back a value whose secret or key is gone. 30 days is as long as AWS goes.",
	find: func(s stack) []Violation {
		days := 7.0
		if s.policy.Guarded {
			days = 30
		}
		var violations []Violation
		for _, resource := range s.of(typeSecret, typeKey, typeReplicaKey) {
			input := "deletionWindowInDays"
			if resource.Type == typeSecret {
				input = "recoveryWindowInDays"
			}
			// AWS's default is 30 days for all three.
			if _, given := resource.Inputs[input]; given && !resource.atLeast(input, days) {
				violations = append(violations, Violation{URN: resource.URN, Problem: fmt.Sprintf("%s is less than %.0f", input, days)})
			}
		}
		return violations
	},
}

var replicated = Check{
	ID:          "replicated",
	Demands:     "a secret has a replica in a second region",
	Why:         "ADR-006: services go on reading when a region is down.",
	OnlyGuarded: true,
	find: each([]string{typeSecret}, func(secret Resource) []string {
		if len(secret.objects("replicas")) == 0 && !unknown(secret.Inputs["replicas"]) {
			return []string{"it has no replicas"}
		}
		return nil
	}),
}

var protected = Check{
	ID:          "protected",
	Demands:     "secrets, keys and trails are protected in Pulumi",
	Why:         "Protection is in the state, so it holds for whoever deploys in whatever way.",
	OnlyGuarded: true,
	find: each([]string{typeSecret, typeKey, typeReplicaKey, typeTrail}, func(resource Resource) []string {
		if resource.Protected {
			return nil
		}
		return []string{"it isn't protected"}
	}),
}

var logsExpire = Check{
	ID:      "logs-expire",
	Demands: "a log group has a retention, and a function's log group is declared",
	Why:     "CloudWatch keeps logs for ever by default, and Lambda makes a group like that by itself where there is none.",
	find: func(s stack) []Violation {
		var violations []Violation
		groups := map[string]bool{}
		for _, group := range s.of(typeLogGroup) {
			groups[group.text("name")] = true
			if !group.atLeast("retentionInDays", 1) {
				violations = append(violations, Violation{URN: group.URN, Problem: "retentionInDays isn't set"})
			}
		}
		for _, function := range s.of(typeFunction) {
			name := function.text("name")
			logging, _ := function.Inputs["loggingConfig"].(map[string]any)
			group, elsewhere := logging["logGroup"]
			if !elsewhere && name != "" && !groups["/aws/lambda/"+name] {
				violations = append(violations, Violation{URN: function.URN, Problem: "there is no LogGroup /aws/lambda/" + name})
			}
			if text, ok := group.(string); ok && !unknown(group) && !groups[text] {
				violations = append(violations, Violation{URN: function.URN, Problem: "there is no LogGroup " + text})
			}
		}
		return violations
	},
}

var trailComplete = Check{
	ID:      "trail-complete",
	Demands: "a trail covers all regions, validates its files, and logs",
	Why:     "AWS Foundational Security Best Practices, CloudTrail.1 and CloudTrail.4.",
	find: each([]string{typeTrail}, func(trail Resource) []string {
		var problems []string
		for _, input := range []string{"isMultiRegionTrail", "enableLogFileValidation"} {
			if !trail.yes(input) {
				problems = append(problems, input+" isn't true")
			}
		}
		if trail.Inputs["enableLogging"] == false {
			problems = append(problems, "enableLogging is false")
		}
		return problems
	}),
}

var tagged = Check{
	ID:      "tagged",
	Demands: "what has tags says " + strings.Join(sharedTags, ", ") + "; a secret also " + strings.Join(secretTags, ", "),
	Why:     "Somebody has to be asked, and billed. The audit of secrets demands the same.",
	find: each(slices.Concat([]string{typeSecret, typeKey, typeReplicaKey, typeTrail, typeLogGroup, typeTable, typeTopic, typeQueue, typeFunction, typeRole, typePolicy}, typesBucket), func(resource Resource) []string {
		if unknown(resource.Inputs["tags"]) {
			return nil
		}
		tags, _ := resource.Inputs["tags"].(map[string]any)
		required := sharedTags
		if resource.Type == typeSecret {
			required = slices.Concat(sharedTags, secretTags)
		}
		var missing []string
		for _, key := range required {
			if tags[key] == nil || tags[key] == "" {
				missing = append(missing, key)
			}
		}
		if len(missing) == 0 {
			return nil
		}
		return []string{"tags are missing: " + strings.Join(missing, ", ")}
	}),
}

var (
	sharedTags = []string{spec.TagEnvironment, spec.TagService, spec.TagOwner, spec.TagManagedBy}
	secretTags = []string{spec.TagSecretType, spec.TagDataClassification}
)
