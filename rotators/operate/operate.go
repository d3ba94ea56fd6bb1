// Package operate is what an operator does by hand about the rotation of a
// secret: see how it stands, start it, switch it off, go back to the value
// before, and clear what blocks it.
//
// It reads no secret's value, and needs no right to. What it tells comes from
// Secrets Manager's descriptions, from CloudTrail's event history and from the
// log of the rotation function. The latter two are read as far as the operator
// may; what couldn't be read is said in notes and is no error.
package operate

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

type secretsManager interface {
	secretsmanager.ListSecretVersionIdsAPIClient
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	RotateSecret(context.Context, *secretsmanager.RotateSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.RotateSecretOutput, error)
	CancelRotateSecret(context.Context, *secretsmanager.CancelRotateSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.CancelRotateSecretOutput, error)
	UpdateSecretVersionStage(context.Context, *secretsmanager.UpdateSecretVersionStageInput, ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
}

type functions interface {
	GetFunctionConfiguration(context.Context, *lambda.GetFunctionConfigurationInput, ...func(*lambda.Options)) (*lambda.GetFunctionConfigurationOutput, error)
	Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
}

// The staging labels that Secrets Manager knows.
const (
	stageCurrent  = "AWSCURRENT"
	stagePending  = "AWSPENDING"
	stagePrevious = "AWSPREVIOUS"
)

// Operator acts in one account and region. It is safe for concurrent use.
type Operator struct {
	secrets   secretsManager
	trail     cloudtrail.LookupEventsAPIClient
	logs      cloudwatchlogs.FilterLogEventsAPIClient
	functions functions
	interval  time.Duration
}

// lookupAttempts bounds how often a lookup of the trail is tried: AWS allows two
// a second in an account and region, which others use up too (CloudTrail API
// reference, LookupEvents).
const lookupAttempts = 8

// Options of an Operator. The zero value is fine.
type Options struct {
	// Interval is how often a rotation that is followed is looked at. 0: 2 s.
	Interval time.Duration
}

const defaultInterval = 2 * time.Second

// New returns the operator whose credentials and region are those of the
// configuration.
func New(config aws.Config, options Options) *Operator {
	if options.Interval <= 0 {
		options.Interval = defaultInterval
	}
	return &Operator{
		secrets: secretsmanager.NewFromConfig(config),
		trail: cloudtrail.NewFromConfig(config, func(o *cloudtrail.Options) {
			o.Retryer = retry.NewAdaptiveMode(func(a *retry.AdaptiveModeOptions) {
				a.StandardOptions = append(a.StandardOptions, func(s *retry.StandardOptions) { s.MaxAttempts = lookupAttempts })
			})
		}),
		logs:      cloudwatchlogs.NewFromConfig(config),
		functions: lambda.NewFromConfig(config),
		interval:  options.Interval,
	}
}

// RefusedError says that something can't be done as things are, and what to do
// first. Nothing was changed.
type RefusedError struct{ Reason string }

// Error implements error.
func (e *RefusedError) Error() string { return e.Reason }

func refuse(format string, args ...any) error {
	return &RefusedError{fmt.Sprintf(format, args...)}
}

// Plan is what a command is going to do, for whoever has to agree. A plan without
// steps has nothing to do.
type Plan struct {
	Action   string   `json:"action"` // now, test, cancel, rollback or unstick
	Secret   string   `json:"secret"` // its name
	ARN      string   `json:"arn"`
	Version  string   `json:"version,omitempty"`  // the one that it is about
	Steps    []string `json:"steps"`              // what is done, in order
	Warnings []string `json:"warnings,omitempty"` // what to know before agreeing

	do func(ctx context.Context, progress func(string)) (Outcome, error)
}

// Outcome is how a plan went.
type Outcome struct {
	Done   bool     `json:"done"`           // all of it was done, and it ended well
	Result string   `json:"result"`         // in a sentence
	Next   []string `json:"next,omitempty"` // what to do, or to know, now
}

// Do does what is planned, and tells progress of each step that has been done.
// Doing the same twice does no harm.
func (p *Plan) Do(ctx context.Context, progress func(string)) (Outcome, error) {
	return p.do(ctx, progress)
}

func newPlan(action string, s *Secret) *Plan {
	return &Plan{Action: action, Secret: s.Name, ARN: s.ARN, Steps: []string{}}
}

// nothing is the plan of what is so already.
func (p *Plan) nothing(why string) *Plan {
	p.do = func(context.Context, func(string)) (Outcome, error) { return Outcome{Done: true, Result: why}, nil }
	return p
}
