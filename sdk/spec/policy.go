package spec

import (
	"errors"
	"fmt"
	"time"
)

// The limits of rotation schedules: Secrets Manager rotates at most every four
// hours and at least every 1,000 days (API reference, RotationRulesType).
const (
	MinRotationInterval = 4 * time.Hour
	MaxRotationInterval = 1000 * day
)

// Policy says how often a secret is rotated and how old its current version
// may become.
type Policy struct {
	RotationInterval time.Duration // time between rotations, 4 hours to 1,000 days
	MaxAge           time.Duration // age at which the current version is a finding
}

// Validate returns all that is wrong with the policy, or nil.
func (p Policy) Validate() error {
	var errs []error
	switch {
	case p.RotationInterval == 0:
		errs = append(errs, errors.New("no rotation interval: custom secrets have no default, so set one"))
	case p.RotationInterval < MinRotationInterval:
		errs = append(errs, fmt.Errorf("rotation interval %s is too short: Secrets Manager rotates at most every %s", p.RotationInterval, MinRotationInterval))
	case p.RotationInterval > MaxRotationInterval:
		errs = append(errs, fmt.Errorf("rotation interval %s is too long: Secrets Manager takes at most 1000 days", p.RotationInterval))
	}
	if p.MaxAge < p.RotationInterval {
		errs = append(errs, fmt.Errorf("maximum age %s is less than the rotation interval %s: every version would become too old", p.MaxAge, p.RotationInterval))
	} else if p.MaxAge <= 0 {
		errs = append(errs, fmt.Errorf("maximum age %s is not positive", p.MaxAge))
	}
	return errors.Join(errs...)
}
