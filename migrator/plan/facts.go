package plan

import "time"

// Facts are what AWS has besides the estate, as far as a plan depends on it.
// The zero Facts say that nobody asked.
type Facts struct {
	Known   bool                // AWS was asked
	KeyARN  string              // of the KMS key behind the plan's alias; "": there is none that can be used
	KeyWhy  string              // why it can't be used, if there is one
	Secrets map[string]Existing // by name: those that have a name of the plan, or that the estate refers to
	Roles   map[string]Role     // by ARN: those that are to read secrets
}

// Existing is a secret that there is.
type Existing struct {
	ARN       string
	Deleted   time.Time // when it was scheduled for deletion; zero: it isn't
	ManagedBy string    // its tag
	HasValue  bool
	Digest    string            // of its current value; "": it has none, or it couldn't be read
	Fields    map[string]string // digests of its texts and numbers by their keys, if the value is a JSON object
	Unread    string            // why its value couldn't be read; "": it could, or there is none
}

// Role is a role that is to read secrets.
type Role struct {
	Missing   bool     // there is no such role
	ManagedBy string   // the tool that owns it; "": none that leaves a trace
	Readable  []string // names of the secrets of the plan that it may read and decrypt already
	Unread    string   // why that isn't known; "": it is
	Inline    int      // characters of its inline policies without white space, as IAM counts them; 0: they weren't listed
}
