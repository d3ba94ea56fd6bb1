package secretsmanager_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/api"
)

const function = "arn:aws:lambda:us-east-1:123456789012:function:rotate"

// MayInvoke and InvokeSync stand for Lambda.
func (b *bench) MayInvoke(_ context.Context, caller api.Caller, arn string) error {
	if arn != function || caller.Service != "secretsmanager.amazonaws.com" || caller.Account != account {
		return errors.New("no such function")
	}
	return nil
}

func (b *bench) InvokeSync(ctx context.Context, _ api.Caller, _ string, payload []byte) ([]byte, error) {
	var event map[string]string
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.payloads = append(b.payloads, event["Step"])
	f := b.function
	b.mu.Unlock()
	if f == nil {
		f = rotator
	}
	return nil, f(ctx, b.in(region), event)
}

// steps returns the steps that were invoked since the last call.
func (b *bench) steps() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.payloads
	b.payloads = nil
	return s
}

func (b *bench) setFunction(f func(context.Context, *sm.Client, map[string]string) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.function = f
}

// rotator does what AWS's own rotation functions do, for a secret without a
// service behind it.
func rotator(ctx context.Context, client *sm.Client, event map[string]string) error {
	id, token := aws.String(event["SecretId"]), event["ClientRequestToken"]
	d, err := client.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: id})
	if err != nil {
		return err
	}
	if !*d.RotationEnabled {
		return errors.New("rotation is not enabled")
	}
	stages := d.VersionIdsToStages[token]
	if slices.Contains(stages, "AWSCURRENT") {
		return nil
	}
	if !slices.Contains(stages, "AWSPENDING") {
		return errors.New("the version is not pending")
	}
	pending := &sm.GetSecretValueInput{SecretId: id, VersionId: &token, VersionStage: aws.String("AWSPENDING")}
	switch event["Step"] {
	case "createSecret":
		var missing *types.ResourceNotFoundException
		if _, err := client.GetSecretValue(ctx, pending); !errors.As(err, &missing) {
			return err
		}
		_, err = client.PutSecretValue(ctx, &sm.PutSecretValueInput{
			SecretId: id, ClientRequestToken: &token, RotationToken: aws.String(event["RotationToken"]),
			SecretString: aws.String("made for " + token), VersionStages: []string{"AWSPENDING"},
		})
		return err
	case "testSecret":
		_, err = client.GetSecretValue(ctx, pending)
		return err
	case "finishSecret":
		for version, stages := range d.VersionIdsToStages {
			if slices.Contains(stages, "AWSCURRENT") {
				_, err = client.UpdateSecretVersionStage(ctx, &sm.UpdateSecretVersionStageInput{
					SecretId: id, VersionStage: aws.String("AWSCURRENT"), MoveToVersionId: &token, RemoveFromVersionId: &version,
				})
				return err
			}
		}
	}
	return nil
}

func (b *bench) rotate(id string, rules *types.RotationRulesType) string {
	b.t.Helper()
	out, err := b.client.RotateSecret(b.t.Context(), &sm.RotateSecretInput{
		SecretId: &id, RotationLambdaARN: aws.String(function), RotationRules: rules,
	})
	require.NoError(b.t, err)
	return *out.VersionId
}

func everyDays(n int64) *types.RotationRulesType {
	return &types.RotationRulesType{AutomaticallyAfterDays: &n}
}

func TestRotation(t *testing.T) {
	b := newBench(t)
	id := b.create("app/db", "first")
	sawEmpty := false
	b.setFunction(func(ctx context.Context, client *sm.Client, event map[string]string) error {
		if event["Step"] == "createSecret" {
			_, err := client.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: aws.String(event["SecretId"]), VersionStage: aws.String("AWSPENDING")})
			var missing *types.ResourceNotFoundException
			sawEmpty = errors.As(err, &missing)
		}
		return rotator(ctx, client, event)
	})
	token := b.rotate(id, everyDays(30))
	b.settle()

	assert.True(t, sawEmpty, "the pending version has no value before createSecret")
	assert.Equal(t, []string{"createSecret", "setSecret", "testSecret", "finishSecret"}, b.steps())
	assert.Equal(t, "made for "+token, b.value(id, ""))
	assert.Equal(t, "first", b.value(id, "AWSPREVIOUS"))
	d := b.describe(id)
	assert.Contains(t, d.VersionIdsToStages[token], "AWSCURRENT")
	assert.True(t, *d.RotationEnabled)
	assert.Equal(t, function, *d.RotationLambdaARN)
	assert.WithinDuration(t, start, *d.LastRotatedDate, time.Minute)
	assert.Equal(t, "2025-04-10T23:59:59Z", d.NextRotationDate.Format(time.RFC3339))
	assert.Equal(t, []string{"RotationStarted", "RotationSucceeded"}, b.rotationEvents())

	// Thirty days later, and again.
	b.advance(30 * 24 * time.Hour)
	assert.Equal(t, []string{"createSecret", "setSecret", "testSecret", "finishSecret"}, b.steps())
	b.advance(30 * 24 * time.Hour)
	assert.Len(t, b.steps(), 4)
	b.advance(29 * 24 * time.Hour)
	assert.Empty(t, b.steps())
}

func TestRotationNeeds(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	id := b.create("app/db", "first")
	rotate := func(id string, in sm.RotateSecretInput) error {
		in.SecretId = &id
		_, err := b.client.RotateSecret(ctx, &in)
		return err
	}
	fails(t, rotate(id, sm.RotateSecretInput{}), "InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.")
	fails(t, rotate(id, sm.RotateSecretInput{RotationLambdaARN: aws.String(function + "2")}), "AccessDeniedException",
		"Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.")
	fails(t, rotate(b.create("app/empty", ""), sm.RotateSecretInput{RotationLambdaARN: aws.String(function)}), "ResourceNotFoundException",
		"Secrets Manager can't find the specified secret value for staging label: AWSCURRENT")
	for i, rules := range []types.RotationRulesType{
		{AutomaticallyAfterDays: aws.Int64(5), ScheduleExpression: aws.String("rate(5 days)")},
		{ScheduleExpression: aws.String("rate(3 hours)")},
		{ScheduleExpression: aws.String("cron(0 20 * * ? *)"), Duration: aws.String("5h")},
		{ScheduleExpression: aws.String("every day")},
		{Duration: aws.String("5h")},
	} {
		fails(t, rotate(id, sm.RotateSecretInput{RotationLambdaARN: aws.String(function), RotationRules: &rules}), "InvalidParameterException", "RotationRules")
		assert.Nil(t, b.describe(id).RotationEnabled, "case %d left something behind", i)
	}
	b.deny("lambda:InvokeFunction")
	fails(t, rotate(id, sm.RotateSecretInput{RotationLambdaARN: aws.String(function)}), "AccessDeniedException", "lambda:InvokeFunction")
}

func TestFailedRotationIsTriedAgain(t *testing.T) {
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		t.Run(step, func(t *testing.T) {
			b := newBench(t)
			id := b.create("app/db", "first")
			broken := true
			b.setFunction(func(ctx context.Context, client *sm.Client, event map[string]string) error {
				if event["Step"] == step && broken {
					return errors.New("no connection")
				}
				return rotator(ctx, client, event)
			})
			token := b.rotate(id, everyDays(30))
			b.settle()
			assert.Equal(t, step, slices.MaxFunc(b.steps(), func(a, b string) int { return 1 }))
			assert.Equal(t, "first", b.value(id, ""))
			assert.Equal(t, []string{"RotationStarted", "RotationFailed"}, b.rotationEvents())
			failure := b.lastEvent("RotationFailed")
			assert.Equal(t, "Error when executing lambda "+function+" during "+step+" step", failure.ErrorMessage)
			assert.Equal(t, id, failure.Additional["SecretId"])

			b.setFunction(nil)
			b.advance(2 * time.Minute)
			assert.Equal(t, []string{"createSecret", "setSecret", "testSecret", "finishSecret"}, b.steps(), "the whole rotation once more")
			assert.Equal(t, "made for "+token, b.value(id, ""))
			assert.Equal(t, []string{"RotationStarted", "RotationFailed", "RotationSucceeded"}, b.rotationEvents())
		})
	}
}

func (b *bench) lastEvent(name string) api.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.events) - 1; i >= 0; i-- {
		if b.events[i].Name == name {
			return b.events[i]
		}
	}
	require.Fail(b.t, "no event "+name)
	return api.Event{}
}

func TestIncompleteRotation(t *testing.T) {
	b := newBench(t)
	id := b.create("app/db", "first")
	fail := func(context.Context, *sm.Client, map[string]string) error { return errors.New("broken for good") }
	b.setFunction(fail)
	token := b.rotate(id, everyDays(10))
	b.advance(24 * time.Hour)
	assert.Len(t, b.steps(), 5, "five attempts, then no more")
	next := *b.describe(id).NextRotationDate

	// A further RotateSecret is refused and tries the one at hand again.
	b.setFunction(nil)
	_, err := b.client.RotateSecret(t.Context(), &sm.RotateSecretInput{SecretId: &id})
	fails(t, err, "InvalidRequestException", "A previous rotation isn't complete. That rotation will be reattempted.")
	b.settle()
	assert.Equal(t, "made for "+token, b.value(id, ""))

	// Without anybody the next window does so.
	b.setFunction(fail)
	token = b.rotate(id, nil)
	b.advance(24 * time.Hour)
	b.steps()
	b.setFunction(nil)
	b.advance(9 * 24 * time.Hour)
	assert.Equal(t, "made for "+token, b.value(id, ""))
	assert.True(t, b.describe(id).NextRotationDate.After(next))
}

func TestFunctionThatDoesNotFinish(t *testing.T) {
	b := newBench(t)
	id := b.create("app/db", "first")
	b.setFunction(func(ctx context.Context, client *sm.Client, event map[string]string) error {
		if event["Step"] == "finishSecret" {
			return nil
		}
		return rotator(ctx, client, event)
	})
	b.rotate(id, everyDays(10))
	b.settle()
	assert.Equal(t, []string{"RotationStarted", "RotationFailed"}, b.rotationEvents())
	assert.Nil(t, b.describe(id).LastRotatedDate)
}

func TestRotateLater(t *testing.T) {
	b := newBench(t)
	id := b.create("app/db", "first")
	out, err := b.client.RotateSecret(t.Context(), &sm.RotateSecretInput{
		SecretId: &id, RotationLambdaARN: aws.String(function), RotateImmediately: aws.Bool(false),
		RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("cron(0 16 1,15 * ? *)"), Duration: aws.String("2h")},
	})
	require.NoError(t, err)
	b.settle()
	assert.Equal(t, []string{"testSecret"}, b.steps())
	assert.Equal(t, []string{"TestRotationStarted", "TestRotationSucceeded"}, b.rotationEvents())
	d := b.describe(id)
	assert.NotContains(t, d.VersionIdsToStages, *out.VersionId, "the version for the test is gone")
	assert.Equal(t, "2025-03-15T17:59:59Z", d.NextRotationDate.Format(time.RFC3339))
	assert.Nil(t, d.LastRotatedDate)
	assert.Equal(t, "first", b.value(id, ""))

	b.advance(5 * 24 * time.Hour)
	assert.NotEqual(t, "first", b.value(id, ""))
	d = b.describe(id)
	assert.Equal(t, "2025-04-01T17:59:59Z", d.NextRotationDate.Format(time.RFC3339))
	assert.EqualValues(t, 17, *d.RotationRules.AutomaticallyAfterDays, "calculated from the schedule")
}

func TestCancelRotation(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	id := b.create("app/db", "first")
	_, err := b.client.CancelRotateSecret(ctx, &sm.CancelRotateSecretInput{SecretId: &id})
	fails(t, err, "InvalidRequestException", "")

	b.setFunction(func(ctx context.Context, client *sm.Client, event map[string]string) error {
		if event["Step"] == "setSecret" {
			_, err := client.CancelRotateSecret(ctx, &sm.CancelRotateSecretInput{SecretId: &id})
			return err
		}
		return rotator(ctx, client, event)
	})
	token := b.rotate(id, everyDays(30))
	b.settle()
	assert.Equal(t, []string{"createSecret", "setSecret"}, b.steps())
	d := b.describe(id)
	assert.False(t, *d.RotationEnabled)
	assert.Nil(t, d.NextRotationDate)
	assert.EqualValues(t, 30, *d.RotationRules.AutomaticallyAfterDays)
	assert.Equal(t, []string{"AWSPENDING"}, d.VersionIdsToStages[token], "the labels stay as they are")
	b.advance(60 * 24 * time.Hour)
	assert.Empty(t, b.steps())

	_, err = b.client.RotateSecret(ctx, &sm.RotateSecretInput{SecretId: &id})
	fails(t, err, "InvalidRequestException", "A previous rotation isn't complete.")
	_, err = b.client.UpdateSecretVersionStage(ctx, &sm.UpdateSecretVersionStageInput{
		SecretId: &id, VersionStage: aws.String("AWSPENDING"), RemoveFromVersionId: &token,
	})
	require.NoError(t, err)
	b.setFunction(nil)
	token = b.rotate(id, nil)
	b.settle()
	assert.Equal(t, "made for "+token, b.value(id, ""))
	assert.True(t, *b.describe(id).RotationEnabled)
}

func TestChangeByHandCountsAsRotation(t *testing.T) {
	for _, tt := range []struct {
		rules *types.RotationRulesType
		next  string
	}{
		{everyDays(30), "2025-04-20T23:59:59Z"},
		{&types.RotationRulesType{ScheduleExpression: aws.String("rate(30 days)")}, "2025-04-10T23:59:59Z"},
	} {
		b := newBench(t)
		id := b.create("app/db", "first")
		b.rotate(id, tt.rules)
		b.advance(10 * 24 * time.Hour)
		_, err := b.client.PutSecretValue(t.Context(), &sm.PutSecretValueInput{SecretId: &id, SecretString: aws.String("by hand")})
		require.NoError(t, err)
		assert.Equal(t, tt.next, b.describe(id).NextRotationDate.Format(time.RFC3339))
	}
}

func TestChangeByHandAbandonsRotation(t *testing.T) {
	b := newBench(t)
	id := b.create("app/db", "first")
	b.setFunction(func(ctx context.Context, client *sm.Client, event map[string]string) error {
		return fmt.Errorf("broken")
	})
	token := b.rotate(id, everyDays(30))
	b.settle()
	_, err := b.client.UpdateSecret(t.Context(), &sm.UpdateSecretInput{SecretId: &id, SecretString: aws.String("by hand")})
	require.NoError(t, err)
	assert.Equal(t, []string{"RotationStarted", "RotationFailed", "RotationAbandoned"}, b.rotationEvents())
	assert.NotContains(t, b.describe(id).VersionIdsToStages, token)
	b.steps()
	b.advance(24 * time.Hour)
	assert.Empty(t, b.steps(), "no further attempts")
}

func TestRotationTokenAndRepeatedRequest(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	id := b.create("app/db", "first")
	token := b.rotate(id, everyDays(30))
	b.settle()
	_, err := b.client.RotateSecret(ctx, &sm.RotateSecretInput{SecretId: &id, ClientRequestToken: &token})
	require.NoError(t, err, "the same request again does nothing")
	b.settle()
	assert.Len(t, b.steps(), 4)
	_, err = b.client.PutSecretValue(ctx, &sm.PutSecretValueInput{
		SecretId: &id, SecretString: aws.String("x"), RotationToken: aws.String("00000000-0000-0000-0000-000000000000"),
	})
	fails(t, err, "InvalidParameterException", "RotationToken")
}

func TestDeletionStopsRotationAndRestoreResumesIt(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	id := b.create("app/db", "first")
	b.rotate(id, everyDays(2))
	b.settle()
	b.steps()
	_, err := b.client.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: &id})
	require.NoError(t, err)
	b.advance(10 * 24 * time.Hour)
	assert.Empty(t, b.steps())
	_, err = b.client.RestoreSecret(ctx, &sm.RestoreSecretInput{SecretId: &id})
	require.NoError(t, err)
	b.advance(2 * 24 * time.Hour)
	assert.Len(t, b.steps(), 4)
}

// TestRateCountsFromTheLastRotation: a rotation between two windows moves the
// next one, unless the schedule is a cron expression.
func TestRateCountsFromTheLastRotation(t *testing.T) {
	for _, tt := range []struct {
		rules *types.RotationRulesType
		next  string
	}{
		{everyDays(10), "2025-03-26T23:59:59Z"},
		{&types.RotationRulesType{ScheduleExpression: aws.String("rate(10 days)")}, "2025-03-26T23:59:59Z"},
		{&types.RotationRulesType{ScheduleExpression: aws.String("cron(0 9 20 * ? *)"), Duration: aws.String("3h")}, "2025-03-20T11:59:59Z"},
	} {
		b := newBench(t)
		id := b.create("app/db", "first")
		b.rotate(id, tt.rules)
		b.advance(5 * 24 * time.Hour)
		b.rotate(id, nil)
		b.settle()
		assert.Equal(t, tt.next, b.describe(id).NextRotationDate.Format(time.RFC3339))
	}
}

// TestScheduleInHours: the windows of a rate in hours begin at midnight and keep
// to their hours.
func TestScheduleInHours(t *testing.T) {
	b := newBench(t)
	id := b.create("app/db", "first")
	b.rotate(id, &types.RotationRulesType{ScheduleExpression: aws.String("rate(10 hours)")})
	b.settle()
	for _, next := range []string{"2025-03-11T20:59:59Z", "2025-03-12T06:59:59Z", "2025-03-12T16:59:59Z"} {
		d := b.describe(id)
		assert.Equal(t, next, d.NextRotationDate.Format(time.RFC3339))
		b.advance(d.NextRotationDate.Sub(b.clock.Now()))
	}
}
