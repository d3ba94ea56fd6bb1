package recovery

import (
	"context"
	"errors"
	"fmt"
	nethttp "net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/transport/http"
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
	return codeError{noAnswer, err}
}

// noAnswer stands for the code of what never got one.
const noAnswer = "no answer"

// codeError prints AWS's code alone.
type codeError struct {
	code string
	err  error
}

func (e codeError) Error() string {
	switch e.code {
	case "AccessDeniedException", "AccessDenied":
		return e.code + ": take on a role among the stack's administrators"
	case "ExpiredTokenException", "ExpiredToken":
		return e.code + ": sign in again, and run it again"
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

// answered tells whether AWS answered, be it with a refusal. That it has trouble or
// too much to do is no answer.
func answered(err error) bool {
	var response *http.ResponseError
	if err == nil || !errors.As(err, &response) {
		return err == nil
	}
	status := response.HTTPStatusCode() // 0 where the connection broke
	return status > 0 && status < nethttp.StatusInternalServerError && !throttled(err)
}

// throttled tells whether AWS had too much to do.
func throttled(err error) bool {
	return retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary
}

// RefusedError says that nothing was changed, and why.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

func refuse(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }
