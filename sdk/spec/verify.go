package spec

import (
	"errors"
	"fmt"
)

// StepVerify is the Step of a VerifyRequest. Secrets Manager sends no such step.
const StepVerify = "verifySecret"

// VerifyRequest asks a rotation function to use the value of a version as a
// client would, for example to log in with it, before somebody makes that
// version current by hand. Nothing is changed, and the value doesn't leave the
// function: neither request nor result holds a secret.
type VerifyRequest struct {
	Step      string `json:"Step"`      // StepVerify
	SecretID  string `json:"SecretId"`  // ARN or name
	VersionID string `json:"VersionId"` // of a version with a staging label
}

// VerifyResult is a rotation function's answer to a VerifyRequest. A function
// that couldn't try the value, because it couldn't read it, fails instead.
type VerifyResult struct {
	SecretID  string `json:"SecretId"` // ARN
	VersionID string `json:"VersionId"`
	Verified  bool   `json:"Verified"`
	Reason    string `json:"Reason,omitempty"` // why it isn't verified
}

// Validate returns all that is wrong with the request, or nil.
func (r VerifyRequest) Validate() error {
	var errs []error
	if r.Step != StepVerify {
		errs = append(errs, fmt.Errorf("step is %q, not %q", r.Step, StepVerify))
	}
	if r.SecretID == "" {
		errs = append(errs, errors.New("SecretId is missing"))
	}
	if r.VersionID == "" {
		errs = append(errs, errors.New("VersionId is missing"))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("verify request: %w", err)
	}
	return nil
}
