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
	var unsigned *credentialsError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unsigned): // be it that an answer of STS or of the sign-in is behind it
		return codeError{noCredentials, err}
	case errors.As(err, &api):
		return codeError{api.ErrorCode(), err}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return codeError{noAnswer, err}
}

// These stand for the codes of what never got one.
const (
	noAnswer      = "no answer"
	noCredentials = "no credentials"
)

// credentialsError is a call that wasn't made, for want of credentials.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "get credentials: " + e.err.Error() }

func (e *credentialsError) Unwrap() error { return e.err }

// credentials marks the errors of its provider, which else look like those of the
// call that they keep from being made.
type credentials struct{ aws.CredentialsProvider }

func (c credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	got, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil && ctx.Err() == nil {
		err = &credentialsError{err}
	}
	return got, err
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
	case noCredentials:
		return e.code + ": sign in, or name a profile (AWS_PROFILE); what signs you in may be in the region that is lost"
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
	var unsigned *credentialsError
	if err == nil || errors.As(err, &unsigned) {
		return true // or nobody asked it
	}
	var response *http.ResponseError
	if !errors.As(err, &response) {
		return false
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
