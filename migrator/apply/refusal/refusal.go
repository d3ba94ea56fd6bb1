// Package refusal words AWS's errors so that they can be shown: their messages
// may quote what was sent, and that is secret here.
package refusal

import (
	"errors"

	"github.com/aws/smithy-go"
)

// Of returns an error of AWS's as one that shows its code alone, and in which
// errors.As still finds it. Other errors, as a context's, stay as they are.
func Of(err error) error {
	if failed := smithy.APIError(nil); errors.As(err, &failed) {
		return codeError{failed}
	}
	return err
}

type codeError struct{ smithy.APIError }

// Error tells the code.
func (e codeError) Error() string { return "AWS answered " + e.ErrorCode() }

// Unwrap returns AWS's error.
func (e codeError) Unwrap() error { return e.APIError }
