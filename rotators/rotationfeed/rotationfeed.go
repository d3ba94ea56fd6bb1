// Package rotationfeed writes the rotation feed out of CloudTrail's events, so
// that caches also learn of rotations by functions that aren't this project's
// and of changes by hand.
//
// EventBridge invokes it with two kinds of events (Secrets Manager user guide,
// "AWS CloudTrail entries for Secrets Manager"): "AWS Service Event via
// CloudTrail", whose secret is additionalEventData.SecretId, and "AWS API Call
// via CloudTrail", whose secret is requestParameters.secretId. EventBridge
// delivers at least once: writing an entry twice does no harm.
package rotationfeed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/aistudio/secrets/rotators/emf"
	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/spec"
)

// Feed is where changes are told. A *feed.Table of the SDK is one.
type Feed interface {
	Publish(ctx context.Context, change secrets.Change) error
}

// Writer is the function. Make it with New.
type Writer struct {
	feed        Feed
	log         *slog.Logger
	metrics     *emf.Writer
	environment string
	now         func() time.Time
}

// New returns a Writer that tells feed. metrics, of an environment, may be nil.
func New(feed Feed, log *slog.Logger, metrics *emf.Writer, environment string) *Writer {
	return &Writer{feed: feed, log: log, metrics: metrics, environment: environment, now: time.Now}
}

// event is what is read of EventBridge's event. Values of secrets aren't in it:
// CloudTrail hides them.
type event struct {
	Source string `json:"source"`
	Detail struct {
		EventTime         time.Time `json:"eventTime"`
		EventName         string    `json:"eventName"`
		ErrorCode         string    `json:"errorCode"`
		RequestParameters struct {
			SecretID        string   `json:"secretId"`
			RequestToken    string   `json:"clientRequestToken"`
			VersionStage    string   `json:"versionStage"`
			VersionStages   []string `json:"versionStages"`
			MoveToVersionID string   `json:"moveToVersionId"`
		} `json:"requestParameters"`
		AdditionalEventData struct {
			SecretID string `json:"SecretId"`
		} `json:"additionalEventData"`
	} `json:"detail"`
}

const current = "AWSCURRENT"

// Handle runs one event, as the handler of a Lambda function. It writes an entry
// if the event may have given a secret another current version. An error makes
// Lambda try again, and EventBridge's dead-letter queue keep the event at last.
func (w *Writer) Handle(ctx context.Context, raw json.RawMessage) error {
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		return fmt.Errorf("read EventBridge's event: %w", withoutInput(err))
	}
	log := w.log.With("event", e.Detail.EventName)
	change, why := e.change()
	if why != "" {
		log.InfoContext(ctx, "nothing for the rotation feed", "because", why)
		return nil
	}
	if err := w.feed.Publish(ctx, change); err != nil {
		log.ErrorContext(ctx, "the rotation feed wasn't told", "secret", change.SecretID, "error", err)
		return err
	}
	if e.Detail.EventTime.IsZero() {
		log.InfoContext(ctx, "the rotation feed was told", "secret", change.SecretID)
		return nil
	}
	lag := max(w.now().Sub(e.Detail.EventTime), 0)
	log.InfoContext(ctx, "the rotation feed was told", "secret", change.SecretID, "lag", lag)
	return w.metrics.Write([]emf.Dimension{{Name: spec.DimensionEnvironment, Value: w.environment}}, emf.Metric{Name: spec.MetricFeedLag, Unit: emf.Milliseconds, Value: float64(lag.Milliseconds())})
}

// change is what the event says, or why it says nothing. Where the version isn't
// known it is empty, which makes caches look.
func (e event) change() (change secrets.Change, why string) {
	d := e.Detail
	switch {
	case e.Source != "aws.secretsmanager":
		return change, "it isn't of Secrets Manager"
	case d.ErrorCode != "":
		return change, "the call failed"
	}
	change.SecretID = d.RequestParameters.SecretID
	switch d.EventName {
	case "RotationSucceeded":
		change.SecretID = d.AdditionalEventData.SecretID
	case "PutSecretValue":
		if stages := d.RequestParameters.VersionStages; len(stages) > 0 && !slices.Contains(stages, current) {
			return change, "the new version isn't current"
		}
		change.VersionID = d.RequestParameters.RequestToken // is the new version's id
	case "UpdateSecretVersionStage":
		if d.RequestParameters.VersionStage != current {
			return change, "another label than AWSCURRENT was moved"
		}
		change.VersionID = d.RequestParameters.MoveToVersionID
	case "UpdateSecret":
	default:
		return change, "such an event changes no current version"
	}
	if change.SecretID == "" {
		return change, "it names no secret"
	}
	return change, ""
}

// withoutInput drops what encoding/json quotes of the input.
func withoutInput(err error) error {
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return fmt.Errorf("no JSON at byte %d", syntax.Offset)
	}
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("%s is of the wrong type", wrong.Field)
	}
	return errors.New("no JSON")
}
