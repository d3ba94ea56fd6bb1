package secrets

import (
	"slices"
	"time"

	"github.com/aistudio/secrets/sdk/spec"
)

// Secret is one version of a secret, as it was when it was read. It is
// immutable: copies may be kept and passed on.
type Secret struct {
	Value     spec.Value // SecretString or SecretBinary; prints as "[redacted]"
	ARN       string     // in the Region that answered
	Name      string
	VersionID string
	Region    string    // that answered, "" if the configuration names none
	CreatedAt time.Time // when the version was created
	FetchedAt time.Time // when it was read from Secrets Manager

	// Stale says that the value is past its TTL and that Secrets Manager can't
	// be reached for a passing reason.
	Stale bool

	stages []string
}

// Stages returns the staging labels of the version, a copy of the caller's own.
func (s Secret) Stages() []string { return slices.Clone(s.stages) }

// HasStage tells whether the version has the staging label.
func (s Secret) HasStage(stage string) bool { return slices.Contains(s.stages, stage) }

// The staging labels that Secrets Manager moves in a rotation.
const (
	StageCurrent  = "AWSCURRENT"
	StagePrevious = "AWSPREVIOUS"
	StagePending  = "AWSPENDING"
)

// Selector chooses a version of a secret. The zero Selector chooses
// AWSCURRENT.
type Selector struct{ stage, version string }

// Stage selects the version that has the staging label.
func Stage(label string) Selector { return Selector{stage: label} }

// Version selects the version of that ID. Together with Stage both must hold,
// or Secrets Manager answers that there is no such version.
func Version(id string) Selector { return Selector{version: id} }
