package plan

import (
	"github.com/aistudio/secrets/sdk/spec"
)

// Version is the version of the plan's format.
const Version = 1

// Plan is what a migration is to do. It holds no values: where one is needed, it
// is read again from its place and compared by its digest.
type Plan struct {
	Version      int    `yaml:"version"` // Version
	Stack        string `yaml:"stack"`
	Organization string `yaml:"organization"`
	Environment  string `yaml:"environment"`
	Account      string `yaml:"account"`
	Region       string `yaml:"region"`
	KMSKey       string `yaml:"kmsKey"` // ARN, id or alias that encrypts the new secrets
	Mode         Mode   `yaml:"mode"`

	Secrets  []Secret  `yaml:"secrets"`  // by name
	Services []Service `yaml:"services"` // in the order in which they are switched
	Grants   []Grant   `yaml:"grants"`   // by role
	Skipped  []Skipped `yaml:"skipped"`  // by place
	Blocked  []Block   `yaml:"blocked"`  // what must be settled before; by subject
}

// Mode says what becomes of the old value in a service that is switched.
type Mode string

// The modes.
const (
	DualRead Mode = "dual-read" // it stays beside the reference until the cleanup
	Final    Mode = "final"     // it goes when the reference comes
)

// Secret is a secret that the migration makes, or fills if it is there without
// a value.
type Secret struct {
	Name        string            `yaml:"name"` // of spec.Name
	Kind        spec.Kind         `yaml:"kind"`
	Description string            `yaml:"description"`
	Tags        map[string]string `yaml:"tags"`           // all that spec requires
	Values      []Value           `yaml:"values"`         // one without a field, or one for each key of a JSON object
	Skip        string            `yaml:"skip,omitempty"` // the reason not to migrate it, given by a person
}

// Value is a value of a secret and the places where it is now. All of them hold
// the same.
type Value struct {
	Field    string  `yaml:"field,omitempty"`    // key of the secret's JSON object; "": the secret is the value, byte for byte
	Constant string  `yaml:"constant,omitempty"` // for a field that is no secret and is nowhere: the engine of a database
	Digest   string  `yaml:"digest,omitempty"`   // by the migration's key
	Places   []Place `yaml:"places,omitempty"`   // the first is where it is read
}

// Place is one place of the estate that holds a value.
type Place struct {
	In        spec.ScanPlace `yaml:"in"`                  // lambda, ecs or ssm
	ID        string         `yaml:"id"`                  // name of the function or the parameter, ARN of the task definition's revision
	Container string         `yaml:"container,omitempty"` // of a task definition
	Variable  string         `yaml:"variable,omitempty"`  // "" for a parameter
}

// Service is one thing that is switched to the new secrets.
type Service struct {
	ID             string      `yaml:"id"` // lambda/<function>, ecs/<cluster>/<service>, rule/<rule>/<target> or schedule/<group>/<name>
	Kind           ServiceKind `yaml:"kind"`
	ARN            string      `yaml:"arn"`
	Cluster        string      `yaml:"cluster,omitempty"`        // ARN, of ECS services
	TaskDefinition string      `yaml:"taskDefinition,omitempty"` // ARN of the revision that it runs now
	Role           string      `yaml:"role"`                     // ARN of the role that is to read the secrets
	Owner          string      `yaml:"owner,omitempty"`
	Wave           int         `yaml:"wave"` // 1 or more; a wave starts when the one before is healthy
	How            How         `yaml:"how"`
	Aliases        []string    `yaml:"aliases,omitempty"` // of a function, which move to a new version
	Digest         string      `yaml:"digest"`            // of its configuration, so that a change is noticed
	Variables      []Variable  `yaml:"variables"`
	Skip           string      `yaml:"skip,omitempty"` // the reason not to switch it, given by a person
}

// ServiceKind is what a service is.
type ServiceKind string

// The kinds of services.
const (
	LambdaFunction ServiceKind = "lambda"
	ECSService     ServiceKind = "ecs"
	RuleTask       ServiceKind = "rule"     // a task that an EventBridge rule starts
	ScheduledTask  ServiceKind = "schedule" // a task that EventBridge Scheduler starts
)

// How says how a service gets at its secrets.
type How string

// The ways to a secret.
const (
	// ByReference leaves it to the service: the variable <name>_SECRET_ID holds a
	// spec.Reference, which package dualread follows. The only way for Lambda.
	ByReference How = "reference"
	// ByInjection leaves it to ECS: the variable moves from a container's
	// environment to its secrets, with the same name, so the program needn't
	// change. The old value is in the old revision. Usual for ECS.
	ByInjection How = "injection"
)

// Variable is a variable of a service whose value moves into a secret.
type Variable struct {
	Container string `yaml:"container,omitempty"`
	Name      string `yaml:"name"`
	Secret    string `yaml:"secret"`              // name
	Field     string `yaml:"field,omitempty"`     // of the secret's JSON object
	Parameter string `yaml:"parameter,omitempty"` // it doesn't hold the value but names this parameter, which does
}

// Grant is the right to read secrets that a role lacks. The apply adds it as an
// inline policy of the name; somebody else has to where the role belongs to a
// tool.
type Grant struct {
	Role       string   `yaml:"role"` // ARN
	PolicyName string   `yaml:"policyName"`
	Secrets    []string `yaml:"secrets"` // names
	Policy     string   `yaml:"policy"`  // IAM policy document, JSON
	ManagedBy  string   `yaml:"managedBy,omitempty"`
}

// Skipped is a setting that stays where it is.
type Skipped struct {
	Place  Place  `yaml:"place"`
	Reason string `yaml:"reason"`
}

// Block is something that a person must settle before what it concerns is
// applied. The rest of the plan isn't held up.
type Block struct {
	Code    string `yaml:"code"`            // as "name-collision", stable
	Subject string `yaml:"subject"`         // name of a secret, ID of a service, ARN of a role
	Problem string `yaml:"problem"`         // a sentence
	Remedy  string `yaml:"remedy"`          // what to do, a sentence
	Patch   string `yaml:"patch,omitempty"` // what to change in the tool that owns the resource, or the policy to add
}
