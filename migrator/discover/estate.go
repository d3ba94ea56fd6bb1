package discover

import (
	"cmp"
	"slices"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/sdk/spec"
)

// Estate is what one account has in one region. All lists are in order, so that
// the same estate gives the same result.
type Estate struct {
	Account         string
	Region          string
	Functions       []Function       // by name
	Services        []Service        // by ARN
	TaskDefinitions []TaskDefinition // all that are active or in use, by family and revision
	ScheduledTasks  []ScheduledTask  // by ARN and target
	Parameters      []Parameter      // by name
	Unread          []Unread         // by ARN
}

// Function is a Lambda function as its $LATEST version is.
type Function struct {
	ARN      string // without a version
	Name     string
	Role     string // ARN of its execution role
	Revision string // RevisionId, for optimistic locking
	KeyARN   string // KMS key of its environment; "": AWS's own
	Updating bool   // an update of its is under way, so AWS refuses others
	Tags     map[string]string
	Settings []classify.Setting // its environment, by name
	Versions []Version          // published, oldest first
	Aliases  []Alias            // by name; not read where no version has a variable
}

// Version is a published version of a function. It can't be changed: what it
// holds in plaintext stays until the version is deleted.
type Version struct {
	Number   string
	Settings []classify.Setting
}

// Alias names a version, and a second one while traffic shifts.
type Alias struct {
	Name    string
	Version string
	Second  string  // "": none
	Weight  float64 // share of the traffic that goes to Second
}

// Service is an ECS service.
type Service struct {
	ARN            string
	Name           string
	Cluster        string // ARN
	TaskDefinition string // ARN of the revision that its primary deployment or task set runs
	Controller     string // of its deployments: ECS, CODE_DEPLOY or EXTERNAL
	Platform       string // Fargate's platform version, as 1.4.0 or LATEST; "": it doesn't run on Fargate
	Tags           map[string]string
}

// ManagedBy is that of [Function].
func (s Service) ManagedBy() string { return managedBy(s.Tags) }

// TaskDefinition is a revision of a family that is active, or that a service
// still runs although it was deregistered. It can't be changed: what it holds in
// plaintext stays until it is deregistered and deleted.
type TaskDefinition struct {
	ARN           string
	Family        string
	Revision      int
	Active        bool   // false: deregistered, and in use
	ExecutionRole string // ARN; "": none
	TaskRole      string // ARN; "": none
	Tags          map[string]string
	Containers    []Container // in the order of the definition
}

// ManagedBy is that of [Function].
func (d TaskDefinition) ManagedBy() string { return managedBy(d.Tags) }

// Container is one of a task definition's containers.
type Container struct {
	Name             string
	Settings         []classify.Setting // its environment, by name
	Injected         []Injected         // its secrets, by name
	Arguments        []classify.Setting // flags of its command and options of its log driver: "command --token", "log splunk-token"
	EnvironmentFiles []string           // ARNs of the S3 objects with more variables, which aren't read
}

// Injected is a variable that ECS fills from a secret or a parameter.
type Injected struct {
	Name      string
	ValueFrom string // as it stands: an ARN, or the name of a parameter
}

// ScheduledTask is a target of an EventBridge rule, or a schedule of EventBridge
// Scheduler, that starts an ECS task.
type ScheduledTask struct {
	ARN            string            // of the rule or schedule
	Name           string            // of the rule, "<bus>/<rule>" on another bus than the default one, or "<group>/<schedule>"
	Target         string            // the target's id; "" for a schedule
	Cluster        string            // ARN
	TaskDefinition string            // ARN, with or without a revision: without one the newest runs
	Tags           map[string]string // of the rule, or of the schedule's group
	Overrides      []Container       // what its input puts over the containers' environment
	Universal      bool              // a schedule's target is a call to RunTask, whose input names all
}

// ManagedBy is that of [Function].
func (s ScheduledTask) ManagedBy() string { return managedBy(s.Tags) }

// Parameter is an entry of the Parameter Store.
type Parameter struct {
	ARN     string
	Name    string
	Type    ParameterType
	KeyID   string // of a SecureString
	Version int64
	Labels  map[string]int64 // versions by label; see ReadLabels
	Value   spec.Value       // of the newest version
}

// ParameterType is a parameter's type.
type ParameterType string

// The types of parameters.
const (
	String       ParameterType = "String"
	StringList   ParameterType = "StringList"
	SecureString ParameterType = "SecureString"
)

// Unread is something that couldn't be read.
type Unread struct {
	Place  spec.ScanPlace
	ARN    string // "": all of the place
	Reason string
}

// ManagedBy names the tool that owns the function: what is changed in place
// would be undone at that tool's next run. "": none that leaves a trace.
func (f Function) ManagedBy() string { return managedBy(f.Tags) }

// managedBy looks for what infrastructure tools leave in tags: CloudFormation
// (and SAM, CDK, Serverless through it) sets its own; for the others it is the
// custom.
func managedBy(tags map[string]string) string {
	switch {
	case tags["aws:cloudformation:stack-name"] != "":
		return "CloudFormation stack " + tags["aws:cloudformation:stack-name"]
	case tags["pulumi:stack"] != "" || tags["pulumi:project"] != "":
		return "Pulumi stack " + cmp.Or(tags["pulumi:stack"], tags["pulumi:project"])
	}
	for _, key := range []string{"ManagedBy", "managed-by", "managed_by", "Terraform", "terraform"} {
		switch value := tags[key]; value {
		case "":
		case "terraform", "Terraform", "opentofu", "true":
			return "Terraform"
		case "pulumi", "Pulumi":
			return "Pulumi"
		}
	}
	return ""
}

func sortSettings(settings []classify.Setting) {
	slices.SortFunc(settings, func(a, b classify.Setting) int { return cmp.Compare(a.Name, b.Name) })
}
