package plan

import (
	"github.com/aistudio/secrets/sdk/spec"
)

// Version is the version of the plan's format.
const Version = 1

// Plan is what a migration is to do. It holds no values: where one is needed, it
// is read again from its place and compared by its digest.
type Plan struct {
	Version      int    `yaml:"version" json:"version"` // Version
	Stack        string `yaml:"stack" json:"stack"`
	Organization string `yaml:"organization" json:"organization"`
	Environment  string `yaml:"environment" json:"environment"`
	Account      string `yaml:"account" json:"account"`
	Region       string `yaml:"region" json:"region"`
	KMSKey       string `yaml:"kmsKey" json:"kmsKey"` // ARN, id or alias that encrypts the new secrets
	Mode         Mode   `yaml:"mode" json:"mode"`

	Secrets  []Secret  `yaml:"secrets" json:"secrets"`   // by name
	Services []Service `yaml:"services" json:"services"` // in the order in which they are switched
	Grants   []Grant   `yaml:"grants" json:"grants"`     // by role
	Skipped  []Skipped `yaml:"skipped" json:"skipped"`   // by place
	Blocked  []Block   `yaml:"blocked" json:"blocked"`   // what must be settled before; by subject
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
	Name        string            `yaml:"name" json:"name"` // of spec.Name
	Kind        spec.Kind         `yaml:"kind" json:"kind"`
	Description string            `yaml:"description" json:"description"`
	Tags        map[string]string `yaml:"tags" json:"tags"`                     // all that spec requires
	Rotation    string            `yaml:"rotation" json:"rotation"`             // when and how it can be rotated later, for people
	Values      []Value           `yaml:"values" json:"values"`                 // one without a field, or one for each key of a JSON object
	Skip        string            `yaml:"skip,omitempty" json:"skip,omitempty"` // the reason not to migrate it, given by a person
}

// Value is a value of a secret and the places where it is now. All of them hold
// the same. A place that no service's variable stands for keeps it: the host of a
// login is copied into the secret, and its variable stays.
type Value struct {
	Field    string  `yaml:"field,omitempty" json:"field,omitempty"`       // key of the secret's JSON object; "": the secret is the value, byte for byte
	Constant string  `yaml:"constant,omitempty" json:"constant,omitempty"` // for a field that is no secret and is nowhere: the engine of a database
	Digest   string  `yaml:"digest,omitempty" json:"digest,omitempty"`     // by the migration's key
	Places   []Place `yaml:"places,omitempty" json:"places,omitempty"`     // the first is where it is read
}

// Place is one place of the estate that holds a value.
type Place struct {
	In        spec.ScanPlace `yaml:"in" json:"in"`                                   // lambda, ecs or ssm
	ID        string         `yaml:"id" json:"id"`                                   // name of the function or the parameter, ARN of the task definition's revision
	Container string         `yaml:"container,omitempty" json:"container,omitempty"` // of a task definition
	Variable  string         `yaml:"variable,omitempty" json:"variable,omitempty"`   // "" for a parameter
}

// Service is one thing that is switched to the new secrets.
type Service struct {
	ID             string      `yaml:"id" json:"id"` // lambda/<function>, ecs/<cluster>/<service>, rule/[<bus>/]<rule>/<target> or schedule/<group>/<name>
	Kind           ServiceKind `yaml:"kind" json:"kind"`
	Name           string      `yaml:"name" json:"name"` // the third segment of its secrets' names and their tag Service
	ARN            string      `yaml:"arn" json:"arn"`
	Cluster        string      `yaml:"cluster,omitempty" json:"cluster,omitempty"`               // ARN, of ECS services
	TaskDefinition string      `yaml:"taskDefinition,omitempty" json:"taskDefinition,omitempty"` // ARN of the revision that it runs now
	Role           string      `yaml:"role" json:"role"`                                         // ARN of the role that is to read the secrets
	Owner          string      `yaml:"owner" json:"owner"`
	ManagedBy      string      `yaml:"managedBy,omitempty" json:"managedBy,omitempty"` // the tool that owns it, which must make the change; "": nobody
	Wave           int         `yaml:"wave" json:"wave"`                               // 1 or more; a wave starts when the one before is healthy
	How            How         `yaml:"how" json:"how"`
	Aliases        []string    `yaml:"aliases,omitempty" json:"aliases,omitempty"` // of a function, which move to a new version
	Digest         string      `yaml:"digest" json:"digest"`                       // of its configuration, so that a change is noticed
	Variables      []Variable  `yaml:"variables" json:"variables"`
	Skip           string      `yaml:"skip,omitempty" json:"skip,omitempty"` // the reason not to switch it, given by a person
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
	Container string `yaml:"container,omitempty" json:"container,omitempty"`
	Name      string `yaml:"name" json:"name"`
	Secret    string `yaml:"secret" json:"secret"`                           // name
	Field     string `yaml:"field,omitempty" json:"field,omitempty"`         // of the secret's JSON object
	Parameter string `yaml:"parameter,omitempty" json:"parameter,omitempty"` // it doesn't hold the value but names this parameter, which does
}

// Grant is the right to read secrets that a role lacks. The apply adds it as an
// inline policy of the name; somebody else has to where the role belongs to a
// tool.
type Grant struct {
	Role       string   `yaml:"role" json:"role"` // ARN
	PolicyName string   `yaml:"policyName" json:"policyName"`
	Secrets    []string `yaml:"secrets" json:"secrets"` // names
	Policy     string   `yaml:"policy" json:"policy"`   // IAM policy document, JSON
	ManagedBy  string   `yaml:"managedBy,omitempty" json:"managedBy,omitempty"`
}

// Skipped is a setting that stays where it is.
type Skipped struct {
	Place  Place  `yaml:"place" json:"place"`
	Reason string `yaml:"reason" json:"reason"`
}

// Block is something that a person must settle before what it concerns is
// applied. The rest of the plan isn't held up.
type Block struct {
	Code    string `yaml:"code" json:"code"`                       // as "name-collision", stable
	Subject string `yaml:"subject" json:"subject"`                 // name of a secret, ID of a service, ARN of a role
	Problem string `yaml:"problem" json:"problem"`                 // a sentence
	Remedy  string `yaml:"remedy" json:"remedy"`                   // what to do, a sentence
	Patch   string `yaml:"patch,omitempty" json:"patch,omitempty"` // what to change in the tool that owns the resource, or the policy to add
}
