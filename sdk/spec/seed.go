package spec

import (
	"errors"
	"fmt"
)

// StepSeed is the Step of a SeedRequest. Secrets Manager sends no such step.
const StepSeed = "seedSecret"

// SeedRequest asks a rotation function to give a new secret its first value.
// The infrastructure sends it, so that the value is made where it is used and
// never passes through Pulumi: neither request nor result holds a secret.
//
// Seeding is idempotent: a secret that has a current version is left alone.
type SeedRequest struct {
	Step     string        `json:"Step"`               // StepSeed
	SecretID string        `json:"SecretId"`           // ARN or name
	Database *DatabaseSeed `json:"Database,omitempty"` // for database secrets
}

// DatabaseSeed says where the user of a new database secret lives. Its JSON
// keys are those of the secret.
type DatabaseSeed struct {
	Engine          string `json:"engine"`
	Host            string `json:"host"`
	Port            int    `json:"port,omitempty"` // 0: the engine's own
	DBName          string `json:"dbname,omitempty"`
	Username        string `json:"username"`
	MasterSecretARN string `json:"masterarn"`     // secret of the user who creates this one
	SSL             *bool  `json:"ssl,omitempty"` // nil: TLS only
}

// SeedResult is a rotation function's answer to a SeedRequest.
type SeedResult struct {
	SecretID  string `json:"SecretId"`
	VersionID string `json:"VersionId"` // the current version
	Seeded    bool   `json:"Seeded"`    // false: the secret had a value before
}

// Validate returns all that is wrong with the request, or nil.
func (r SeedRequest) Validate() error {
	var errs []error
	if r.Step != StepSeed {
		errs = append(errs, fmt.Errorf("step is %q, not %q", r.Step, StepSeed))
	}
	if r.SecretID == "" {
		errs = append(errs, errors.New("SecretId is missing"))
	}
	if r.Database != nil {
		errs = append(errs, r.Database.validate()...)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("seed request: %w", err)
	}
	return nil
}

func (d DatabaseSeed) validate() []error {
	var errs []error
	if err := validateEngine(d.Engine); err != nil {
		errs = append(errs, err)
	}
	for _, need := range []struct{ key, value string }{
		{"host", d.Host}, {"username", d.Username}, {"masterarn", d.MasterSecretARN},
	} {
		if need.value == "" {
			errs = append(errs, fmt.Errorf("key %q is missing", need.key))
		}
	}
	if d.Port < 0 || d.Port > maxPort {
		errs = append(errs, fmt.Errorf("key %q: %d is not a port", "port", d.Port))
	}
	return errs
}
