package secrets

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
)

var (
	// ErrClosed is the error of every read after Close.
	ErrClosed = errors.New("the secrets client is closed")

	// ErrNotFound is in the chain of errors about a secret, or a version of it,
	// that doesn't exist or is scheduled for deletion.
	ErrNotFound = errors.New("no such secret or version")

	// ErrDenied is in the chain of errors about a caller who may not read the
	// secret or use its key.
	ErrDenied = errors.New("access denied")

	// ErrRefused is what the function that Do calls puts into the chain of its
	// error when the credential it was given was refused. See Refused.
	ErrRefused = errors.New("credential refused")
)

// Refused marks err as a refused credential, for the function that Do calls.
// It returns nil for a nil err.
func Refused(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}

// passing tells whether a failed read says nothing about the secret, so that
// the next attempt may succeed with nothing changed: no network, no answer in
// time, throttling, a fault of the service, credentials that are being renewed.
// All other errors are definite.
func passing(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return true
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		// No answer of the service: the network, or the configuration, which
		// may be a credentials endpoint that doesn't answer.
		return true
	}
	code := api.ErrorCode()
	if _, throttled := retry.DefaultThrottleErrorCodes[code]; throttled {
		return true
	}
	if _, retryable := retry.DefaultRetryableErrorCodes[code]; retryable {
		return true
	}
	switch code {
	case "InternalServiceError", "InternalFailure", "ServiceUnavailable", "ServiceUnavailableException",
		"ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed":
		return true
	}
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		status := response.HTTPStatusCode()
		return status >= http.StatusInternalServerError || status == http.StatusTooManyRequests
	}
	return false
}

// explain adds our sentinel errors to an error of the API.
func explain(err error) error {
	var (
		notFound *types.ResourceNotFoundException
		invalid  *types.InvalidRequestException
		api      smithy.APIError
	)
	switch {
	case errors.As(err, &notFound), errors.As(err, &invalid):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.As(err, &api) && (api.ErrorCode() == "AccessDeniedException" || api.ErrorCode() == "DecryptionFailure"):
		return fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return err
}
