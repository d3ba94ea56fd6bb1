package recovery

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/smithy-go"
)

// short says in few words what went wrong with a call: AWS's code, since its
// messages may repeat what was sent.
func short(err error) error {
	var api smithy.APIError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &api):
		return codeError{api.ErrorCode(), err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return codeError{"no answer", err}
}

// codeError prints AWS's code alone.
type codeError struct {
	code string
	err  error
}

func (e codeError) Error() string {
	switch e.code {
	case "AccessDeniedException", "AccessDenied":
		return e.code + ": take on a role among the stack's administrators"
	case "DecryptionFailure", "EncryptionFailure":
		return e.code + ": is the KMS key of the region enabled, and may you use it?"
	}
	return e.code
}

func (e codeError) Unwrap() error { return e.err }

// has tells whether AWS answered with one of the codes.
func has(err error, codes ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, code := range codes {
		if api.ErrorCode() == code {
			return true
		}
	}
	return false
}

// answered tells whether AWS answered at all, be it with a refusal.
func answered(err error) bool {
	var api smithy.APIError
	return err == nil || errors.As(err, &api) && api.ErrorFault() == smithy.FaultClient || has(err, clientFaults...)
}

// clientFaults are refusals whose fault the SDK's model doesn't tell.
var clientFaults = []string{"AccessDeniedException", "ResourceNotFoundException", "InvalidRequestException", "InvalidParameterException"}

// RefusedError says that nothing was changed, and why.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

func refuse(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }
