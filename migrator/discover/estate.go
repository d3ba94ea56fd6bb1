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
	Account    string
	Region     string
	Functions  []Function  // by name
	Parameters []Parameter // by name
	Unread     []Unread    // by ARN
}

// Function is a Lambda function as its $LATEST version is.
type Function struct {
	ARN      string // without a version
	Name     string
	Role     string // ARN of its execution role
	Revision string // RevisionId, for optimistic locking
	KeyARN   string // KMS key of its environment; "": AWS's own
	Tags     map[string]string
	Settings []classify.Setting // its environment, by name
	Versions []Version          // published, oldest first
	Aliases  []Alias            // by name
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

// Parameter is an entry of the Parameter Store.
type Parameter struct {
	ARN     string
	Name    string
	Type    ParameterType
	KeyID   string // of a SecureString
	Version int64
	Value   spec.Value
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
