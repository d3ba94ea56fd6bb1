// Package rotation is AWS Secrets Manager's rotation protocol: it reads the
// events, guards and orders the four steps, keeps the versions' stages, and
// leaves to a Target what to do with one kind of system.
//
// Every step can be killed at any point and run again with the same event, as
// Secrets Manager does after a failure: it ends as if it had run once. The
// rules are those of the user guide, "Rotation by Lambda function", and of the
// functions that AWS publishes.
//
// Beside Secrets Manager's events a Rotator takes spec.SeedRequest, which gives
// a new secret its first value.
package rotation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/aistudio/secrets/rotators/emf"
	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/spec"
)

// The staging labels that Secrets Manager knows.
const (
	stageCurrent  = "AWSCURRENT"
	stagePending  = "AWSPENDING"
	stagePrevious = "AWSPREVIOUS"
)

// stageNewest is this package's own label; see Consuming.
const stageNewest = "NEWEST"

// traceVariable holds the X-Ray trace that Lambda made for the invocation. A
// step is one invocation, so Lambda's own segment is the step's; the log names
// it (Lambda developer guide, "Defined runtime environment variables").
const traceVariable = "_X_AMZN_TRACE_ID"

const (
	// lastWords is what a step leaves of a Lambda invocation's time, so that
	// its error is still reported.
	lastWords = time.Second
	// generateAttempts bounds how many values a target may reject.
	generateAttempts = 5
	// defaultSeedPatience is longer than IAM usually takes and shorter than
	// the time that the infrastructure gives a rotation function.
	defaultSeedPatience = 30 * time.Second
)

// errOutOfTime is why a step ends just before Lambda would end it.
var errOutOfTime = errors.New("the function's time is nearly over; Secrets Manager will try the rotation again: raise the timeout if it happens often")

// Options of a Rotator. The zero value is fine.
type Options struct {
	// Kind is the kind of the secrets, by which the metrics are told apart.
	Kind spec.Kind
	// Logger takes one record for each event. Nil: slog.Default.
	Logger *slog.Logger
	// Metrics takes how long each step took and whether it failed, as
	// MetricStepDuration and MetricStepErrors of package spec. Nil: nobody does.
	Metrics *emf.Writer
	// Feed is told of each secret whose current version has changed. Nil:
	// nobody is told.
	Feed Feed
	// SeedPatience is how long a seed is tried again while AWS denies access.
	// The infrastructure asks for it moments after it made the function's role,
	// and IAM is eventually consistent: "Changes that I make are not always
	// immediately visible" in the IAM user guide. 0: 30 s; negative: not at all.
	SeedPatience time.Duration
}

// Feed tells the readers of secrets that there is a new version. Telling twice
// does no harm. A *feed.Table of the SDK is one.
type Feed interface {
	Publish(ctx context.Context, change secrets.Change) error
}

// Rotator rotates secrets of one kind. It is safe for concurrent use if its
// Target is.
type Rotator struct {
	store     store
	target    Target
	consuming bool
	kind      spec.Kind
	log       *slog.Logger
	metrics   *emf.Writer
	feed      Feed

	seedPatience time.Duration
}

// New returns a Rotator that keeps values in Secrets Manager, for which client
// is usually a *secretsmanager.Client, and applies them to target.
func New(client secretsManager, target Target, options Options) *Rotator {
	log := options.Logger
	if log == nil {
		log = slog.Default()
	}
	patience := options.SeedPatience
	if patience == 0 {
		patience = defaultSeedPatience
	}
	_, consuming := target.(Consuming)
	return &Rotator{
		store: store{client: client}, target: redacting{target}, consuming: consuming, kind: options.Kind,
		log: log, metrics: options.Metrics, feed: options.Feed, seedPatience: patience,
	}
}

// Handle runs one event, as the handler of a Lambda function. It returns a
// result for seed requests and nil for the steps of a rotation. An error that
// is ErrDefinite needs somebody to change something; others may pass. No error
// holds a value.
func (r *Rotator) Handle(ctx context.Context, event json.RawMessage) (*spec.SeedResult, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, deadline.Add(-lastWords), errOutOfTime)
		defer cancel()
	}
	start := time.Now()
	request, err := parseEvent(event)
	if err != nil {
		r.log.ErrorContext(ctx, "event refused", "error", err)
		return nil, err
	}
	log := r.log.With("step", request.step, "secret", request.secretID)
	if trace := os.Getenv(traceVariable); trace != "" {
		log = log.With("trace", trace)
	}
	if request.token != "" {
		log = log.With("version", request.token)
	}

	var result *spec.SeedResult
	if request.step == stepSeed {
		result, err = r.seedPatiently(ctx, *request.seed)
	} else {
		err = r.rotate(ctx, log, request)
	}
	took := time.Since(start)
	log = log.With("duration", took)
	r.measure(ctx, log, request.step, took, err)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errOutOfTime) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		err = fmt.Errorf("%s of %s: %w", request.step, request.secretID, err)
		log.ErrorContext(ctx, "step failed", "error", err, "passing", !errors.Is(err, ErrDefinite))
		return nil, err
	}
	log.InfoContext(ctx, "step done")
	return result, nil
}

// measure writes the step's metrics. A step is as good without them.
func (r *Rotator) measure(ctx context.Context, log *slog.Logger, step step, took time.Duration, failure error) {
	errs := 0.0
	if failure != nil {
		errs = 1
	}
	err := r.metrics.Write(
		[]emf.Dimension{{Name: spec.DimensionKind, Value: r.kind.String()}, {Name: spec.DimensionStep, Value: string(step)}},
		emf.Metric{Name: spec.MetricStepDuration, Unit: emf.Milliseconds, Value: float64(took.Microseconds()) / 1000},
		emf.Metric{Name: spec.MetricStepErrors, Unit: emf.Count, Value: errs},
	)
	if err != nil {
		log.WarnContext(ctx, "no metrics of this step", "error", err)
	}
}

func (r *Rotator) rotate(ctx context.Context, log *slog.Logger, request request) error {
	secret, err := r.store.guard(ctx, request)
	if err != nil {
		return err
	}
	if secret.current == request.token {
		log.InfoContext(ctx, "the version is current already: nothing to do")
		if request.step == stepFinish {
			r.publish(ctx, log, secret.arn, request.token)
		}
		return nil
	}
	switch request.step {
	case stepCreate:
		return r.create(ctx, secret, request)
	case stepSet:
		return r.set(ctx, secret, request)
	case stepTest:
		return r.test(ctx, secret, request)
	default:
		return r.finish(ctx, log, secret, request)
	}
}

// create stores a new value as pending, unless an earlier run has.
func (r *Rotator) create(ctx context.Context, secret secret, request request) error {
	current, err := r.store.current(ctx, secret)
	if err != nil {
		return err
	}
	switch _, err := r.store.read(ctx, secret.arn, request.token, stagePending); {
	case err == nil:
		return nil
	case !errors.Is(err, errNoValue):
		return err
	}
	generation := GenerateRequest{SecretARN: secret.arn, Token: request.token, Current: current.Value}
	stages := []string{stagePending}
	if r.consuming {
		newest, err := r.store.newest(ctx, secret, current)
		if err != nil {
			return err
		}
		generation.Newest, stages = newest.Value, append(stages, stageNewest)
	}
	value, err := r.generate(ctx, generation)
	if err != nil {
		return err
	}
	pending := version{Value: value, binary: current.binary}
	err = r.store.put(ctx, secret.arn, request.token, pending, stages, request.rotationToken)
	if errors.Is(err, errOtherValue) {
		// An earlier run stored a value that couldn't be read yet: it stays.
		_, err = r.store.readSoon(ctx, secret.arn, request.token, stagePending)
	}
	return err
}

// generate asks for values until there is one that the target doesn't reject.
func (r *Rotator) generate(ctx context.Context, request GenerateRequest) (spec.Value, error) {
	var rejections []error
	for request.Attempt = 1; request.Attempt <= generateAttempts; request.Attempt++ {
		response, err := r.target.Generate(ctx, request)
		switch {
		case err == nil && response.Value.Len() == 0:
			return spec.Value{}, fmt.Errorf("generating a value: the target returned an empty one (%w)", ErrDefinite)
		case err == nil:
			return response.Value, nil
		case !errors.Is(err, ErrRejected):
			return spec.Value{}, fmt.Errorf("generating a value: %w", err)
		}
		rejections = append(rejections, err)
	}
	return spec.Value{}, fmt.Errorf("generating a value: the target rejected %d of them, so its rules and the generator's don't fit (%w): %w",
		generateAttempts, ErrDefinite, errors.Join(rejections...))
}

// set makes the target accept the pending value beside the current one.
func (r *Rotator) set(ctx context.Context, secret secret, request request) error {
	current, err := r.store.current(ctx, secret)
	if err != nil {
		return err
	}
	previous, err := r.store.previous(ctx, secret)
	if err != nil {
		return err
	}
	pending, err := r.store.readSoon(ctx, secret.arn, request.token, stagePending)
	if err != nil {
		return err
	}
	_, err = r.target.Apply(ctx, ApplyRequest{
		SecretARN: secret.arn, Token: request.token,
		Pending: pending.Value, Current: current.Value, Previous: previous.Value,
		CurrentID: secret.current, PreviousID: secret.previous,
	})
	if errors.Is(err, ErrRejected) {
		return r.withdraw(ctx, secret, request, err)
	}
	if err != nil {
		return fmt.Errorf("applying the pending value: %w", err)
	}
	return nil
}

// withdraw takes a rejected value out of the way. A version's value can't be
// changed, so this rotation ends here, and without the label AWSPENDING the
// next one makes another value instead of trying this one for ever.
func (r *Rotator) withdraw(ctx context.Context, secret secret, request request, rejection error) error {
	if err := r.store.unlabel(ctx, secret.arn, stagePending, request.token); err != nil {
		return fmt.Errorf("withdrawing a value that the target rejected: %w: %w", err, rejection)
	}
	return fmt.Errorf("the target rejected the pending value, which was withdrawn: rotate the secret again for another one (%w): %w", ErrDefinite, rejection)
}

func (r *Rotator) test(ctx context.Context, secret secret, request request) error {
	pending, err := r.store.readSoon(ctx, secret.arn, request.token, stagePending)
	if err != nil {
		return err
	}
	verification := VerifyRequest{SecretARN: secret.arn, Token: request.token, Pending: pending.Value}
	if _, err := r.target.Verify(ctx, verification); err != nil {
		return fmt.Errorf("verifying the pending value: %w", err)
	}
	return nil
}

// finish retires the value that loses AWSPREVIOUS, then moves AWSCURRENT. In
// the other order a step killed between the two would never retire it, because
// a step whose version is current does nothing.
func (r *Rotator) finish(ctx context.Context, log *slog.Logger, secret secret, request request) error {
	pending, err := r.store.readSoon(ctx, secret.arn, request.token, stagePending)
	if err != nil {
		return err
	}
	previous, err := r.store.previous(ctx, secret)
	if err != nil {
		return err
	}
	if previous.Len() > 0 {
		current, err := r.store.current(ctx, secret)
		if err != nil {
			return err
		}
		_, err = r.target.Retire(ctx, RetireRequest{
			SecretARN: secret.arn, Token: request.token,
			Retired: previous.Value, Current: current.Value, Pending: pending.Value,
			RetiredID: secret.previous, CurrentID: secret.current,
		})
		if err != nil {
			return fmt.Errorf("retiring the value before the last: %w", err)
		}
	}
	if err := r.store.makeCurrent(ctx, secret, request.token); err != nil {
		return err
	}
	r.publish(ctx, log, secret.arn, request.token)
	return nil
}

// publish tells the feed. A rotation has succeeded without it: readers whose
// feed is silent notice the new version when their cache's time is over.
func (r *Rotator) publish(ctx context.Context, log *slog.Logger, arn, versionID string) {
	if r.feed == nil {
		return
	}
	if err := r.feed.Publish(ctx, secrets.Change{SecretID: arn, VersionID: versionID}); err != nil {
		log.WarnContext(ctx, "the rotation feed wasn't told", "error", err)
	}
}
