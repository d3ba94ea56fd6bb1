package rotation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/aistudio/secrets/sdk/spec"
)

// secretsManager is what the engine calls of *secretsmanager.Client.
type secretsManager interface {
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
	UpdateSecretVersionStage(context.Context, *secretsmanager.UpdateSecretVersionStageInput, ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
}

// store is a secret's versions in Secrets Manager.
type store struct{ client secretsManager }

// secret is what DescribeSecret told.
type secret struct {
	arn      string
	current  string // id of the version; "" when there is none
	previous string
	newest   string
	versions map[string][]string // stages by id
}

// version is a value and in which of the two fields it is kept.
type version struct {
	spec.Value
	binary  bool
	created time.Time
}

var (
	// errNoValue: there is no such version, or it has no value yet.
	errNoValue = errors.New("the version has no value")
	// errOtherValue: the version has been given another value before.
	errOtherValue = errors.New("the version has another value")
)

// Secrets Manager doesn't promise that a write is seen by the next read. What
// has to be there is waited for 3.1 seconds in all.
const (
	readAttempts = 6
	firstPause   = 100 * time.Millisecond
)

// soon repeats a read while it answers errNoValue.
func soon(ctx context.Context, read func() error) error {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := read()
		if !errors.Is(err, errNoValue) || attempt == readAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(pause):
		}
		pause *= 2
	}
}

func (s store) describe(ctx context.Context, id string) (secret, bool, error) {
	output, err := s.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil {
		return secret{}, false, classify("describing the secret", err)
	}
	found := secret{arn: aws.ToString(output.ARN), versions: output.VersionIdsToStages}
	for id, stages := range found.versions {
		if slices.Contains(stages, stageCurrent) {
			found.current = id
		}
		if slices.Contains(stages, stagePrevious) {
			found.previous = id
		}
		if slices.Contains(stages, stageNewest) {
			found.newest = id
		}
	}
	return found, output.RotationEnabled == nil || *output.RotationEnabled, nil
}

// guard refuses what AWS's own functions refuse: a secret whose rotation is
// off, a version that the secret doesn't have, and one that isn't pending. A
// version that is current already passes: the caller has nothing to do.
func (s store) guard(ctx context.Context, request request) (secret, error) {
	var found secret
	var enabled bool
	err := soon(ctx, func() (err error) {
		if found, enabled, err = s.describe(ctx, request.secretID); err != nil {
			return err
		}
		if _, ok := found.versions[request.token]; enabled && !ok {
			return fmt.Errorf("the secret has no version %s (%w): %w", request.token, ErrDefinite, errNoValue)
		}
		return nil
	})
	if err != nil {
		return secret{}, err
	}
	if !enabled {
		return secret{}, fmt.Errorf("rotation is switched off: switch it on with rotate-secret (%w)", ErrDefinite)
	}
	stages := found.versions[request.token]
	if !slices.Contains(stages, stageCurrent) && !slices.Contains(stages, stagePending) {
		return secret{}, fmt.Errorf("version %s is not %s: its value was withdrawn, or another rotation took over; rotate the secret again (%w)", request.token, stagePending, ErrDefinite)
	}
	return found, nil
}

// read returns the value of a version that has the stage. errNoValue: it isn't
// there.
func (s store) read(ctx context.Context, arn, versionID, stage string) (version, error) {
	input := &secretsmanager.GetSecretValueInput{SecretId: &arn, VersionId: &versionID}
	if stage != "" {
		input.VersionStage = &stage
	}
	doing := fmt.Sprintf("reading version %s", versionID)
	output, err := s.client.GetSecretValue(ctx, input)
	var notFound *types.ResourceNotFoundException
	switch {
	case errors.As(err, &notFound):
		return version{}, fmt.Errorf("%s: %w: %w", doing, errNoValue, err)
	case err != nil:
		return version{}, classify(doing, err)
	case output.SecretString != nil:
		return version{Value: spec.ValueString(*output.SecretString), created: aws.ToTime(output.CreatedDate)}, nil
	default:
		return version{Value: spec.NewValue(output.SecretBinary), binary: true, created: aws.ToTime(output.CreatedDate)}, nil
	}
}

// readSoon is read for a version that must be there.
func (s store) readSoon(ctx context.Context, arn, versionID, stage string) (found version, err error) {
	err = soon(ctx, func() error {
		found, err = s.read(ctx, arn, versionID, stage)
		return err
	})
	return found, err
}

func (s store) current(ctx context.Context, secret secret) (version, error) {
	if secret.current == "" {
		return version{}, fmt.Errorf("the secret has no current value: give it the first one with the step %s (%w)", spec.StepSeed, ErrDefinite)
	}
	return s.readSoon(ctx, secret.arn, secret.current, stageCurrent)
}

// previous returns an empty version when there is none.
func (s store) previous(ctx context.Context, secret secret) (version, error) {
	if secret.previous == "" {
		return version{}, nil
	}
	found, err := s.read(ctx, secret.arn, secret.previous, stagePrevious)
	if errors.Is(err, errNoValue) {
		return version{}, nil
	}
	return found, err
}

// newest returns the value of a rotation that made one after the current and
// never finished, or an empty one.
func (s store) newest(ctx context.Context, secret secret, current version) (version, error) {
	if secret.newest == "" || secret.newest == secret.current {
		return version{}, nil
	}
	found, err := s.read(ctx, secret.arn, secret.newest, stageNewest)
	switch {
	case errors.Is(err, errNoValue):
		return version{}, nil
	case err != nil:
		return version{}, err
	case found.created.Before(current.created):
		return version{}, nil // somebody has put another value since
	}
	return found, nil
}

// put stores a value as a version with stages. errOtherValue: the version has
// another one.
func (s store) put(ctx context.Context, arn, token string, value version, stages []string, rotationToken spec.Value) error {
	input := &secretsmanager.PutSecretValueInput{SecretId: &arn, ClientRequestToken: &token, VersionStages: stages}
	if value.binary {
		input.SecretBinary = value.Reveal()
	} else {
		input.SecretString = aws.String(value.RevealString())
	}
	if rotationToken.Len() > 0 {
		input.RotationToken = aws.String(rotationToken.RevealString())
	}
	_, err := s.client.PutSecretValue(ctx, input)
	doing := fmt.Sprintf("storing version %s", token)
	var exists *types.ResourceExistsException
	if errors.As(err, &exists) {
		return fmt.Errorf("%s: %w: %w", doing, errOtherValue, err)
	}
	if err != nil {
		return classify(doing, err)
	}
	return nil
}

// makeCurrent moves AWSCURRENT; Secrets Manager moves AWSPREVIOUS with it.
func (s store) makeCurrent(ctx context.Context, secret secret, token string) error {
	input := &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &secret.arn, VersionStage: aws.String(stageCurrent), MoveToVersionId: &token,
	}
	if secret.current != "" {
		input.RemoveFromVersionId = &secret.current
	}
	if _, err := s.client.UpdateSecretVersionStage(ctx, input); err != nil {
		return classify(fmt.Sprintf("making version %s current", token), err)
	}
	return nil
}

func (s store) unlabel(ctx context.Context, arn, stage, versionID string) error {
	_, err := s.client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &arn, VersionStage: &stage, RemoveFromVersionId: &versionID,
	})
	if err != nil {
		return classify(fmt.Sprintf("taking %s from version %s", stage, versionID), err)
	}
	return nil
}

// classify tells definite answers of AWS from those that may pass: a client
// error that isn't about the rate of requests won't get better by itself.
func classify(doing string, err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	var response interface{ HTTPStatusCode() int }
	clientFault := api.ErrorFault() == smithy.FaultClient ||
		errors.As(err, &response) && response.HTTPStatusCode() >= http.StatusBadRequest && response.HTTPStatusCode() < http.StatusInternalServerError
	switch api.ErrorCode() {
	case "ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "RequestTimeout", "InternalServiceError":
		clientFault = false
	}
	if !clientFault {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w%s (%w)", doing, err, advice(api.ErrorCode()), ErrDefinite)
}

// advice says what to do about an answer of AWS that its message doesn't.
func advice(code string) string {
	switch code {
	case "AccessDeniedException":
		return ": the function's role or the secret's policy lacks this right"
	case "DecryptionFailure", "EncryptionFailure", "KMSAccessDeniedException":
		return ": see whether the secret's key is enabled and its policy admits the function's role"
	case "ResourceNotFoundException":
		return ": see the name and the region"
	}
	return ""
}
