package checks

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

var noWildcardPrincipal = Check{
	ID:      "no-wildcard-principal",
	Demands: "no policy lets everybody do something, unless a condition says who",
	Why:     "IAM best practices: least privilege. \"*\" is all of AWS, the anonymous too (IAM user guide, \"AWS JSON policy elements: Principal\").",
	find: func(s stack) []Violation {
		var violations []Violation
		for _, resource := range s.resources {
			for _, problem := range wildcards(resource) {
				violations = append(violations, Violation{URN: resource.URN, Problem: problem})
			}
		}
		return violations
	},
}

// policyInputs are the inputs that hold a policy as JSON.
var policyInputs = []string{"policy", "assumeRolePolicy", "accessPolicy", "policyDocument", "resourcePolicy"}

// narrowing are the condition keys that say who the caller is or on whose behalf
// a service calls (IAM user guide, "AWS global condition context keys").
var narrowing = []string{
	"aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths", "aws:userid",
	"aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "kms:calleraccount",
}

func wildcards(resource Resource) []string {
	// Permissions on functions and layers have the principal as an input.
	if resource.text("principal") == "*" && !resource.set("organizationId") && !resource.set("principalOrgId") && !resource.set("sourceAccount") && !resource.set("sourceArn") {
		return []string{"principal is * and nothing narrows it"}
	}
	var problems []string
	for _, input := range policyInputs {
		text := resource.text(input)
		if text == "" {
			continue
		}
		var document struct {
			Statement oneOrMore[statement]
		}
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			problems = append(problems, input+" is no policy in JSON")
			continue
		}
		for i, statement := range document.Statement {
			if statement.open() {
				problems = append(problems, fmt.Sprintf("%s: statement %s lets everybody in", input, statement.name(i)))
			}
		}
	}
	return problems
}

type statement struct {
	Sid          string
	Effect       string
	Principal    principal
	NotPrincipal json.RawMessage
	Condition    map[string]map[string]any
}

func (s statement) name(i int) string {
	if s.Sid != "" {
		return s.Sid
	}
	return fmt.Sprintf("%d", i+1)
}

// open tells whether the statement allows something to everybody.
func (s statement) open() bool {
	if s.Effect != "Allow" || !(s.Principal.everybody || len(s.NotPrincipal) > 0) {
		return false
	}
	for operator, keys := range s.Condition {
		// What a request without the key passes, or what excludes, doesn't narrow.
		lower := strings.ToLower(operator)
		if strings.HasSuffix(lower, "ifexists") || strings.Contains(lower, "not") || strings.HasPrefix(lower, "forallvalues:") || lower == "null" {
			continue
		}
		for key, value := range keys {
			if slices.Contains(narrowing, strings.ToLower(key)) && !everything(value) {
				return false
			}
		}
	}
	return true
}

// everything tells whether one of the values of a condition matches all.
func everything(value any) bool {
	switch value := value.(type) {
	case string:
		return strings.Trim(value, "*") == ""
	case []any:
		return slices.ContainsFunc(value, everything)
	}
	return false
}

// principal is "*", or an object of kinds of principals.
type principal struct{ everybody bool }

// UnmarshalJSON implements json.Unmarshaler.
func (p *principal) UnmarshalJSON(text []byte) error {
	var all string
	if json.Unmarshal(text, &all) == nil {
		p.everybody = all == "*"
		return nil
	}
	var kinds map[string]oneOrMore[string]
	if err := json.Unmarshal(text, &kinds); err != nil {
		return err
	}
	p.everybody = slices.Contains(kinds["AWS"], "*")
	return nil
}

// oneOrMore is what IAM's grammar writes as one element or a list of them.
type oneOrMore[T any] []T

// UnmarshalJSON implements json.Unmarshaler.
func (l *oneOrMore[T]) UnmarshalJSON(text []byte) error {
	if strings.HasPrefix(strings.TrimSpace(string(text)), "[") {
		return json.Unmarshal(text, (*[]T)(l))
	}
	*l = make([]T, 1)
	return json.Unmarshal(text, &(*l)[0])
}

var publicAccessBlocked = Check{
	ID:      "public-access-blocked",
	Demands: "every bucket has all four blocks of public access",
	Why:     "AWS Foundational Security Best Practices, S3.8.",
	find: func(s stack) []Violation {
		var violations []Violation
		blocks := s.of("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
		for _, block := range blocks {
			for _, input := range []string{"blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"} {
				if !block.yes(input) {
					violations = append(violations, Violation{URN: block.URN, Problem: input + " isn't true"})
				}
			}
		}
		for _, bucket := range s.of(typesBucket...) {
			// By the name in the program too, since the bucket's own isn't known
			// before it is made.
			if !slices.ContainsFunc(blocks, func(block Resource) bool {
				return block.Name == bucket.Name || (bucket.ID != "" && block.text("bucket") == bucket.ID) ||
					(bucket.text("bucket") != "" && block.text("bucket") == bucket.text("bucket"))
			}) {
				violations = append(violations, Violation{URN: bucket.URN, Problem: "it has no BucketPublicAccessBlock"})
			}
		}
		return violations
	},
}
