package custom

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/aistudio/secrets/rotators/rotation"
)

// The outcomes of a step that a function answers.
const (
	OutcomeDone     = "done"
	OutcomeRejected = "rejected" // to StepSet only: the value can never work, so that it is withdrawn
	OutcomeRefused  = "refused"  // only somebody's change can help
)

// Answer is what a function returns, a JSON object. A function that fails in any
// other way, by an error, a crash or its timeout, is asked again.
type Answer struct {
	Outcome string `json:"outcome"`
}

// DefaultPatience is how long one invocation is waited for: three of them, with
// the pauses between, fit into the 180 s that the infrastructure gives a step of
// a custom secret.
const DefaultPatience = 50 * time.Second

// Invoker is what a Function calls of *lambda.Client.
type Invoker interface {
	Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
}

// Function applies values by a Lambda function, which is invoked with a Call
// and returns an Answer. It is safe for concurrent use.
//
// The Call of a rotation holds the ids of the versions and no value: the
// function reads them from Secrets Manager by GetSecretValue with SecretId and
// VersionId, for which the secret's catalogue entry has to name its role among
// the readers. There are two reasons. What a function is invoked with is often
// written down, by handlers that log their event and by tracing tools. And
// whoever may invoke it can't have it set a value that they chose. Ids, and not
// staging labels, because a late try must not take a newer version for the one
// that it was told of.
//
// The Call of a seed is the exception, since a first value is stored after it
// works: it holds the pending value, and no version. A function that doesn't
// want that answers OutcomeRefused, and the first value is put by hand.
type Function struct {
	arn      string
	region   string
	client   Invoker
	patience time.Duration
}

var _ Applier = (*Function)(nil)

// NewFunction returns the applier for the ARN of a function, or of an alias or a
// version of one. client is usually a *lambda.Client. patience is how long one
// invocation is waited for; 0: DefaultPatience.
func NewFunction(name string, client Invoker, patience time.Duration) (*Function, error) {
	parsed, err := arn.Parse(name)
	if err != nil || parsed.Service != "lambda" || parsed.Region == "" || !strings.HasPrefix(parsed.Resource, "function:") {
		return nil, fmt.Errorf("%q is no ARN of a Lambda function: write arn:aws:lambda:<region>:<account>:function:<name>", name)
	}
	if patience == 0 {
		patience = DefaultPatience
	}
	return &Function{arn: name, region: parsed.Region, client: client, patience: patience}, nil
}

func (f *Function) call(ctx context.Context, order order) error {
	call := Call{Step: order.step, SecretID: order.secretARN, Token: order.token, Versions: order.versions}
	if order.seeding {
		values, err := texts(order.values)
		if err != nil {
			return err
		}
		call.Versions, call.Values = nil, values
	}
	payload, err := json.Marshal(call)
	if err != nil {
		return fmt.Errorf("the call of the function can't be written as JSON (%w)", rotation.ErrDefinite)
	}
	return repeat(ctx, "the function "+f.arn, order.step, func() error { return f.invoke(ctx, order.step, payload) })
}

// invoke invokes the function once. Its errors hold nothing of the answer, in
// which a value may be.
func (f *Function) invoke(ctx context.Context, step string, payload []byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, f.patience, fmt.Errorf("no answer within %s", f.patience))
	defer cancel()
	output, err := f.client.Invoke(ctx, &lambda.InvokeInput{
		FunctionName: &f.arn, InvocationType: types.InvocationTypeRequestResponse, Payload: payload,
	}, func(o *lambda.Options) {
		o.Region = f.region
		o.RetryMaxAttempts = 1 // the tries are repeat's
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("invoking it: %w: %w", context.Cause(ctx), err)
	case err != nil:
		return classify(err)
	case output.FunctionError != nil:
		return fmt.Errorf("it failed%s: its own log tells why", errorType(output.Payload))
	}
	var answer Answer
	decoder := json.NewDecoder(bytes.NewReader(output.Payload))
	if decoder.Decode(&answer) != nil {
		answer.Outcome = ""
	}
	switch {
	case answer.Outcome == OutcomeDone:
		return nil
	case answer.Outcome == OutcomeRejected && step == StepSet:
		return fmt.Errorf("it rejects the value: %w", rotation.ErrRejected)
	case answer.Outcome == OutcomeRefused:
		return fmt.Errorf("it refuses: its own log tells why (%w)", rotation.ErrDefinite)
	}
	return fmt.Errorf(`its answer isn't {"outcome": %q}, %q or, to the step %s, %q: is this the right function? (%w)`,
		OutcomeDone, OutcomeRefused, StepSet, OutcomeRejected, rotation.ErrDefinite)
}

var errorTypeForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]{0,63}$`)

// errorType is the kind of a function's error, which is the name of a class:
// "Sandbox.Timedout", "ValueError" (Lambda developer guide, "Understanding
// retry behavior in Lambda"). The error's message and its stack may hold values.
func errorType(payload []byte) string {
	var failure struct {
		ErrorType string `json:"errorType"`
	}
	if json.Unmarshal(payload, &failure) != nil || !errorTypeForm.MatchString(failure.ErrorType) {
		return ""
	}
	return " with " + failure.ErrorType
}

// lasting are the errors of Invoke that are 502 and still need somebody's change
// (Lambda API reference, "Invoke").
var lasting = []string{
	"EC2AccessDeniedException", "InvalidRuntimeException", "InvalidSecurityGroupIDException", "InvalidSubnetIDException", "InvalidZipFileException",
	"KMSAccessDeniedException", "KMSDisabledException", "KMSInvalidStateException", "KMSNotFoundException",
}

// classify tells definite errors of Invoke from those that may pass: 408, 409,
// which is a function that is being made or updated, 429 and most of 5xx.
func classify(err error) error {
	var api smithy.APIError
	var response interface{ HTTPStatusCode() int }
	if !errors.As(err, &api) || !errors.As(err, &response) {
		return fmt.Errorf("invoking it: %w", err)
	}
	status := response.HTTPStatusCode()
	passing := status >= http.StatusInternalServerError ||
		slices.Contains([]int{http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests}, status)
	if passing && !slices.Contains(lasting, api.ErrorCode()) {
		return fmt.Errorf("invoking it: %w", err)
	}
	advice := ""
	switch api.ErrorCode() {
	case "AccessDeniedException":
		advice = ": the rotation function's role needs lambda:InvokeFunction on it"
	case "ResourceNotFoundException":
		advice = ": see the ARN"
	}
	return fmt.Errorf("invoking it: %w%s (%w)", err, advice, rotation.ErrDefinite)
}
