// Package facts holds what an audit knows: plain data about secrets and what
// protects them, without a value and without a judgement.
//
// What couldn't be read is a fact of its own: see Fact.
package facts

import (
	"time"

	"github.com/aistudio/secrets/sdk/spec"
)

// Fact is something that is known, or the reason why it isn't. The zero value
// is a known zero value.
type Fact[T any] struct {
	Value   T      `json:"value"`
	Unknown string `json:"unknown,omitempty"` // why the value isn't known; empty: it is
}

// Known is a fact that was read.
func Known[T any](value T) Fact[T] { return Fact[T]{Value: value} }

// Unknown is a fact that couldn't be read, with the reason.
func Unknown[T any](reason string) Fact[T] { return Fact[T]{Unknown: reason} }

// Get returns the value, and whether it is known.
func (f Fact[T]) Get() (T, bool) { return f.Value, f.Unknown == "" }

// Secret is what ListSecrets says of a secret in its primary region.
type Secret struct {
	ARN           string            `json:"arn"`
	Name          string            `json:"name"`
	Region        string            `json:"region"`
	Created       time.Time         `json:"created"`
	Changed       time.Time         `json:"changed,omitzero"`
	Accessed      time.Time         `json:"accessed,omitzero"` // a day; zero: never
	Deleted       time.Time         `json:"deleted,omitzero"`  // zero: not scheduled for deletion
	Tags          map[string]string `json:"tags,omitempty"`
	KeyID         string            `json:"keyId,omitempty"`         // id, ARN or alias; empty: AWS's own key
	OwningService string            `json:"owningService,omitempty"` // the AWS service that manages the secret
	PrimaryRegion string            `json:"primaryRegion,omitempty"` // of a replicated secret
	Rotation      Rotation          `json:"rotation,omitzero"`
	Current       string            `json:"current,omitempty"` // version ids; empty: no version has the label
	Pending       string            `json:"pending,omitempty"`
}

// Rotation is how a secret is rotated.
type Rotation struct {
	Enabled   bool      `json:"enabled"`
	Function  string    `json:"function,omitempty"`  // ARN; empty: AWS rotates by itself
	AfterDays int       `json:"afterDays,omitempty"` // AutomaticallyAfterDays; 0: see Schedule
	Schedule  string    `json:"schedule,omitempty"`  // rate(…) or cron(…)
	Window    string    `json:"window,omitempty"`    // such as "3h"
	Last      time.Time `json:"last,omitzero"`       // zero: never
	Next      time.Time `json:"next,omitzero"`       // on or before; zero: AWS doesn't say
}

// Replica is a copy of a secret in another region.
type Replica struct {
	Region   string
	InSync   bool
	Evidence string    // why it isn't in sync
	Accessed time.Time // a day; zero: never
	AWSKey   bool      // AWS's own key encrypts it
}

// Key is a KMS key.
type Key struct {
	ARN             string
	CustomerManaged bool
	Usable          bool   // enabled
	State           string // as KMS says it: Enabled, Disabled, PendingDeletion, …
	Deletion        time.Time
	Rotates         Fact[bool] // known and true for AWS's own keys
	Primary         string     // ARN of the multi-region key that this one is a replica of; empty: it is none
}

// Function is a rotation function.
type Function struct {
	ARN     string
	Missing bool   // it doesn't exist
	Runtime string // empty: a container image
	State   string // Active, Inactive, Failed, …
	Reason  string // of State or of the last update, in AWS's words
	Failed  bool   // its last update, or its state
	Errors  Fact[FunctionErrors]
}

// FunctionErrors are the invocations that failed in the newest hour of the last
// days in which a function ran.
type FunctionErrors struct {
	Hour  time.Time // when it began; zero: it didn't run
	Count int
}

// RotationFailure is a rotation that failed, after which none succeeded.
type RotationFailure struct {
	Time  time.Time
	Event string // RotationFailed or RotationAbandoned
}

// ResourcePolicy is what a secret's resource policy opens.
type ResourcePolicy struct {
	Public       []string  // sids or numbers of the statements that let anybody in
	CrossAccount []string  // principals of other accounts
	TooWide      []string  // principals that may read and aren't readers
	Read         time.Time // zero if it opens nothing
}

// Empty reports whether the policy opens nothing that it shouldn't.
func (p ResourcePolicy) Empty() bool {
	return len(p.Public) == 0 && len(p.CrossAccount) == 0 && len(p.TooWide) == 0
}

// Access is a read of a secret, as CloudTrail noted it.
type Access struct {
	Time      time.Time `json:"time"`
	Principal string    `json:"principal"` // ARN of the role or user
	Event     string    `json:"event"`
	Source    string    `json:"source"` // IP address or AWS service
	Region    string    `json:"region"`
	Version   string    `json:"version,omitempty"` // id or stage that was asked for
	Error     string    `json:"error,omitempty"`   // code; empty: allowed
}

// Trail is a CloudTrail trail.
type Trail struct {
	ARN         string
	Logging     bool
	MultiRegion bool
	Validation  bool
	Management  bool   // logs management events, reads and writes
	Delivery    string // S3's error, while its files can't be delivered
	Unknown     string // why the above isn't known, but for MultiRegion and Validation; empty: it is
}

// Declared is what the stack's catalogue says of a secret.
type Declared struct {
	spec.AuditSecret
	Administrators []string
}

// Subject is all that is known of one secret when it is judged.
type Subject struct {
	Secret
	Declared  *Declared                // nil: not in the catalogue, or there is none
	Catalogue *spec.AuditCatalogue     // nil: there is none
	Key       Fact[Key]                // of AWS's own key if KeyID is empty
	Written   Fact[time.Time]          // when the current value was written, or at the latest
	ByHand    Fact[time.Time]          // when it was, if that was after the last rotation and decides whether the next one is overdue; else zero
	Stuck     Fact[time.Time]          // when the version was made that holds AWSPENDING and isn't current; zero: there is none
	Failure   Fact[*RotationFailure]   // nil: none
	Policy    Fact[ResourcePolicy]     // empty if there is none
	Replicas  Fact[map[string]Replica] // by region
	Reads     Fact[[]Access]           // in the audit's window, refused ones too
}

// Estate is what is known of the account's regions as a whole.
type Estate struct {
	Account   string
	Regions   []string
	Unlisted  map[string]string        // by region: why its list of secrets ended early; none if it didn't
	Trails    map[string]Fact[[]Trail] // by region: those that see it
	Keys      []UsedKey
	Functions []UsedFunction
	Scan      Fact[*spec.Scan] // nil: there is none
}

// UsedKey is a key that encrypts secrets.
type UsedKey struct {
	ID     string // as the secrets name it
	Region string
	Facts  Fact[Key]
	Users  Users
}

// UsedFunction is a function that rotates secrets.
type UsedFunction struct {
	ARN    string
	Region string
	Facts  Fact[Function]
	Users  Users
}

// Users are the secrets that depend on something.
type Users struct {
	Count    int
	Examples []string // names of the first ones
}
