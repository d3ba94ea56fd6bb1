// Package checks holds the policy of what may be deployed, as code: pure
// functions from the resources of a preview to what is wrong with them.
//
// A preview doesn't know values that AWS makes up when it creates something. A
// check takes what isn't known as right; the pipeline runs the checks again on
// what an update made, when all is known.
package checks

import (
	"cmp"
	"slices"
)

// Resource is a resource as the program wants it.
type Resource struct {
	URN  string
	Type string // such as aws:kms/key:Key
	Name string // in the program
	ID   string // what the provider knows it by; empty before it is made

	// Inputs are the program's. Those that Pulumi keeps secret are masked.
	Inputs map[string]any
	// Protected is that Pulumi is told to refuse to delete it.
	Protected bool
}

// Policy is what the checks need to know of a stack.
type Policy struct {
	// Guarded is that the stack is production.
	Guarded bool
	// NotRotated are the reasons for which secrets aren't rotated, by the name
	// that they have in Secrets Manager.
	NotRotated map[string]string
	// Config is the configuration of the stack, by key.
	Config map[string]string
}

// Violation is something that may not be deployed. It holds no value.
type Violation struct {
	Check   string `json:"check"`
	URN     string `json:"urn,omitempty"`
	Problem string `json:"problem"`
}

// Check is one rule.
type Check struct {
	// ID names it in reports.
	ID string `json:"id"`
	// Demands is what has to be.
	Demands string `json:"demands"`
	// Why is the reason, with its source.
	Why string `json:"why"`
	// OnlyGuarded is that it holds in production only.
	OnlyGuarded bool `json:"onlyGuarded"`

	find func(stack) []Violation
}

// stack is what a check looks at.
type stack struct {
	policy    Policy
	resources []Resource
}

// of returns the resources of some types.
func (s stack) of(types ...string) []Resource {
	var found []Resource
	for _, resource := range s.resources {
		if slices.Contains(types, resource.Type) {
			found = append(found, resource)
		}
	}
	return found
}

// All returns the checks, in the order in which they are listed.
func All() []Check {
	return []Check{
		secretEncrypted, noSecretValue, noPlaintext,
		noWildcardPrincipal, publicAccessBlocked,
		keyRotates, encryptedAtRest,
		rotated, recoverable, replicated, protected,
		logsExpire, trailComplete, tagged,
	}
}

// Run returns what the checks find, ordered by check and resource.
func Run(policy Policy, resources []Resource) []Violation {
	var violations []Violation
	for _, check := range All() {
		if check.OnlyGuarded && !policy.Guarded {
			continue
		}
		found := check.find(stack{policy: policy, resources: resources})
		slices.SortStableFunc(found, func(a, b Violation) int { return cmp.Compare(a.URN, b.URN) })
		for _, violation := range found {
			violation.Check = check.ID
			violations = append(violations, violation)
		}
	}
	return violations
}

// each makes a finder out of what is wrong with one resource.
func each(types []string, problems func(Resource) []string) func(stack) []Violation {
	return func(s stack) []Violation {
		var violations []Violation
		for _, resource := range s.of(types...) {
			for _, problem := range problems(resource) {
				violations = append(violations, Violation{URN: resource.URN, Problem: problem})
			}
		}
		return violations
	}
}

// The types that several checks look at.
const (
	typeSecret     = "aws:secretsmanager/secret:Secret"
	typeKey        = "aws:kms/key:Key"
	typeReplicaKey = "aws:kms/replicaKey:ReplicaKey"
	typeTrail      = "aws:cloudtrail/trail:Trail"
	typeLogGroup   = "aws:cloudwatch/logGroup:LogGroup"
	typeTable      = "aws:dynamodb/table:Table"
	typeTopic      = "aws:sns/topic:Topic"
	typeQueue      = "aws:sqs/queue:Queue"
	typeFunction   = "aws:lambda/function:Function"
	typeRole       = "aws:iam/role:Role"
	typePolicy     = "aws:iam/policy:Policy"
)

// The AWS SDK of Pulumi has buckets in two versions.
var typesBucket = []string{"aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2"}
