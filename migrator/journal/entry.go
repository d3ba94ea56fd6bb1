package journal

import (
	"time"

	"github.com/aistudio/secrets/migrator/plan"
)

// Format is the version of the journal's format.
const Format = 1

// Act is what a program did when it wrote an entry.
type Act string

// The acts.
const (
	Apply    Act = "apply"
	Rollback Act = "rollback"
	Cleanup  Act = "cleanup"
)

// Status is how far a subject is. Those that end in -ing are written before a
// change, the others after it.
type Status string

// The statuses.
const (
	// Of secrets.
	Writing Status = "writing" // is being made or given its value
	Written Status = "written" // has the value of the plan, which the migration wrote
	Adopted Status = "adopted" // had it before

	// Of secrets and of SSM parameters. A deleted secret is scheduled for deletion.
	Deleting Status = "deleting"
	Deleted  Status = "deleted"

	// Of services.
	Switching Status = "switching" // its configuration is being changed to the new secrets
	Switched  Status = "switched"  // it is changed, and whether that did well isn't known yet
	Healthy   Status = "healthy"   // it is changed and did well
	Returning Status = "returning" // it didn't do well and is being changed back
	Returned  Status = "returned"  // it has been changed back since it didn't do well
	Cleaning  Status = "cleaning"  // its old variables are being removed
	Cleaned   Status = "cleaned"   // nothing of the old is left in it

	// Of services by a rollback, and of what was deleted and put back.
	Restoring Status = "restoring"
	Restored  Status = "restored"

	// Of grants.
	Granting Status = "granting"
	Granted  Status = "granted"
	Revoking Status = "revoking"
	Revoked  Status = "revoked"

	// Of SSM parameters.
	Exported Status = "exported" // its encrypted copy is on the disk

	// Of what holds plaintext and can't be changed: revisions of task definitions
	// and published versions of functions.
	Removing Status = "removing"
	Removed  Status = "removed"
)

// Entry is a line of the journal. It has one subject.
type Entry struct {
	Format    int        `json:"format"`
	Time      time.Time  `json:"time"` // UTC
	Act       Act        `json:"act"`
	Secret    *Secret    `json:"secret,omitempty"`
	Grant     *Grant     `json:"grant,omitempty"`
	Service   *Service   `json:"service,omitempty"`
	Parameter *Parameter `json:"parameter,omitempty"`
	Revision  *Revision  `json:"revision,omitempty"`
}

// Secret is what is known of a secret.
type Secret struct {
	Name    string `json:"name"`
	Status  Status `json:"status"`
	ARN     string `json:"arn,omitempty"`
	Attempt int    `json:"attempt"`           // how often the migration gave it a value; 0: never
	Version string `json:"version,omitempty"` // that holds the value
	Digest  string `json:"digest"`            // of the secret's bytes
	Source  string `json:"source"`            // digest of what the plan says of its values
	Made    bool   `json:"made"`              // the migration made it; else it was there

	Time time.Time `json:"-"` // of the entry
}

// Grant is a role's inline policy.
type Grant struct {
	Role       string `json:"role"` // ARN
	PolicyName string `json:"policyName"`
	Policy     string `json:"policy"`           // document, JSON
	Before     string `json:"before,omitempty"` // the migration's own one that it takes the place of
	Status     Status `json:"status"`

	Time time.Time `json:"-"`
}

// Service is what is known of a service.
type Service struct {
	ID      string           `json:"id"`
	Kind    plan.ServiceKind `json:"kind"`
	ARN     string           `json:"arn"`
	Cluster string           `json:"cluster,omitempty"` // ARN
	Role    string           `json:"role"`              // ARN, that reads the secrets
	Wave    int              `json:"wave"`
	How     plan.How         `json:"how"`
	Mode    plan.Mode        `json:"mode"`
	Status  Status           `json:"status"`
	Attempt int              `json:"attempt"`           // how often it was switched
	Problem string           `json:"problem,omitempty"` // why it is where it is, when that is no success

	Variables []Variable `json:"variables"`
	Compare   bool       `json:"compare,omitempty"` // the migration set spec.EnvDualRead in it

	// Of ECS: the ARN of the task definition's revision before and after. Follows
	// tells that its target names the family, so that the newest revision runs.
	Old     string `json:"old,omitempty"`
	New     string `json:"new,omitempty"`
	Follows bool   `json:"follows,omitempty"`

	// Of functions: the versions that the migration published, and the aliases that
	// moved to the last one.
	Versions []string `json:"versions,omitempty"`
	Aliases  []Alias  `json:"aliases,omitempty"`

	Time     time.Time `json:"-"` // of the entry
	By       Act       `json:"-"` // of the entry
	Switched time.Time `json:"-"` // when it last became healthy by an apply; zero: it isn't switched
}

// Variable is a variable of a service that moves.
type Variable struct {
	Container string `json:"container,omitempty"`
	Name      string `json:"name"`
	Secret    string `json:"secret"`
	Field     string `json:"field,omitempty"`
	Parameter string `json:"parameter,omitempty"` // see plan.Variable
	Reference string `json:"reference"`           // what was written: a spec.Reference, or ECS's valueFrom
	Digest    string `json:"digest"`              // of the old value
	Old       string `json:"old,omitempty"`       // what stood there before, if that named a parameter
}

// Alias is an alias of a function and the version that it named before.
type Alias struct {
	Name string `json:"name"`
	Old  string `json:"old"`
}

// Parameter is an SSM parameter that was migrated.
type Parameter struct {
	Name    string    `json:"name"`
	Status  Status    `json:"status"`
	Version int64     `json:"version"`
	Export  string    `json:"export"` // name of the file in the migration's folder
	Until   time.Time `json:"until"`  // the file is kept at least until then

	Time time.Time `json:"-"`
}

// Revision is a revision of a task definition or a published version of a
// function that held plaintext.
type Revision struct {
	ARN    string `json:"arn"`
	Status Status `json:"status"`

	Time time.Time `json:"-"`
}
