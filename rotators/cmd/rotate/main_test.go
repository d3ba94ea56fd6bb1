package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/operate"
)

func TestNowRotatesAndStatusTells(t *testing.T) {
	w := newKey(t)
	first := w.version("AWSCURRENT")
	status := w.status()
	assert.True(t, status.Rotation.On)
	assert.Equal(t, "rate(30 days)", status.Rotation.Schedule)
	assert.Equal(t, "2h", status.Rotation.Window)
	assert.Nil(t, status.Pending)
	assert.Empty(t, status.Notes)
	assert.Empty(t, status.Errors)

	code, stdout, stderr := w.rotate("now", "--yes", secret)
	require.Equal(t, exitDone, code, stderr)
	for _, step := range []string{"createSecret done", "setSecret done", "testSecret done", "Done: version " + w.version("AWSCURRENT")} {
		assert.Contains(t, stdout, step)
	}
	assert.NotEqual(t, first, w.version("AWSCURRENT"))
	assert.Equal(t, first, w.version("AWSPREVIOUS"))

	status = w.status()
	require.NotNil(t, status.LastRun)
	assert.Equal(t, operate.Succeeded, status.LastRun.Result)
	assert.Equal(t, w.version("AWSCURRENT"), status.LastRun.Version)
	assert.Contains(t, status.LastRun.By, ":root")
	code, stdout, _ = w.rotate("status", secret)
	require.Equal(t, exitDone, code)
	assert.Contains(t, stdout, "on, rate(30 days), window 2h")
	w.noValues()
	assert.Empty(t, w.cloud.Unsupported())
}

func TestNowReportsAFailureAndTriesAgain(t *testing.T) {
	w := newKey(t)
	w.breakFunction(true)
	code, stdout, _ := w.rotate("now", "--yes", secret)
	require.Equal(t, exitFailed, code)
	assert.Contains(t, stdout, "during createSecret step")
	pending := w.version("AWSPENDING")
	require.NotEmpty(t, pending)
	status := w.status()
	require.NotNil(t, status.Pending)
	assert.Equal(t, operate.Retrying, status.Pending.State)
	assert.Equal(t, pending, status.Pending.Version)
	require.NotEmpty(t, status.Errors)
	assert.Equal(t, "trail", status.Errors[0].Source)
	require.Len(t, status.Errors, 2)
	assert.Contains(t, status.Errors[1].Message, "SECRETS_LOG_LEVEL", "the function's log says why")
	code, stdout, _ = w.rotate("status", secret)
	require.Equal(t, exitDone, code)
	assert.Contains(t, stdout, "failed: its rotation failed at")

	w.breakFunction(false)
	code, stdout, stderr := w.rotate("now", "--yes", "--json", secret)
	require.Equal(t, exitDone, code, stderr)
	var result struct {
		Action, Version, Result string
		Done, DryRun            bool
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	assert.Equal(t, "now", result.Action)
	assert.True(t, result.Done)
	assert.Equal(t, pending, result.Version)
	assert.Equal(t, pending, w.version("AWSCURRENT"))
	w.noValues()
}

// The report aws-cdk#17265: a rotation function that timed out leaves a pending
// version, and every rotation after it is refused with "A previous rotation
// isn't complete".
func TestUnstickIsTheWayOutOfAwsCdk17265(t *testing.T) {
	w := newKey(t)
	w.breakFunction(true)
	code, _, _ := w.rotate("now", "--yes", secret)
	require.Equal(t, exitFailed, code)
	require.NoError(t, w.cloud.Advance(t.Context(), 5*time.Hour)) // all of Secrets Manager's own retries
	stuck := w.version("AWSPENDING")
	status := w.status()
	require.NotNil(t, status.Pending)
	assert.Equal(t, operate.Stuck, status.Pending.State)

	code, stdout, _ := w.rotate("unstick", "--dry-run", secret)
	require.Equal(t, exitDone, code)
	assert.Contains(t, stdout, stuck)
	assert.Equal(t, stuck, w.version("AWSPENDING"), "a dry run changed something")
	code, stdout, stderr := w.rotate("unstick", "--yes", secret)
	require.Equal(t, exitDone, code, stderr)
	assert.Contains(t, stdout, "if its cause isn't mended")
	assert.Empty(t, w.version("AWSPENDING"))
	code, stdout, _ = w.rotate("unstick", "--yes", secret)
	require.Equal(t, exitDone, code, "a second time")
	assert.Contains(t, stdout, "nothing blocks")

	w.breakFunction(false)
	code, _, stderr = w.rotate("now", "--yes", secret)
	require.Equal(t, exitDone, code, stderr)
	assert.NotEqual(t, stuck, w.version("AWSCURRENT"), "a new value was wanted")
	w.noValues()
}

func TestCancelAndSwitchOnAgain(t *testing.T) {
	w := newKey(t)
	code, stdout, stderr := w.rotate("cancel", "--yes", secret)
	require.Equal(t, exitDone, code, stderr)
	assert.Contains(t, stdout, `"rotate now --test `+secret+`" switches the schedule on again`)
	assert.False(t, w.status().Rotation.On)
	code, stdout, _ = w.rotate("cancel", "--yes", secret)
	require.Equal(t, exitDone, code)
	assert.Contains(t, stdout, "switched off already")

	before := w.version("AWSCURRENT")
	code, stdout, stderr = w.rotate("now", "--test", "--yes", secret)
	require.Equal(t, exitDone, code, stderr)
	assert.Contains(t, stdout, "testSecret done")
	assert.Contains(t, stdout, "this switches its schedule on again")
	assert.True(t, w.status().Rotation.On)
	assert.Equal(t, before, w.version("AWSCURRENT"), "a test rotated")
	w.noValues()
}

func TestATestThatFails(t *testing.T) {
	w := newKey(t)
	w.breakFunction(true)
	code, stdout, _ := w.rotate("now", "--test", "--yes", secret)
	require.Equal(t, exitFailed, code)
	assert.Contains(t, stdout, "during testSecret step")
}

func TestHistory(t *testing.T) {
	w := newKey(t)
	w.breakFunction(true)
	_, _, _ = w.rotate("now", "--yes", secret)
	w.breakFunction(false)
	require.NoError(t, w.cloud.Advance(t.Context(), 2*time.Minute)) // Secrets Manager tries again
	require.NoError(t, w.cloud.Advance(t.Context(), 31*24*time.Hour))

	code, stdout, stderr := w.rotate("history", "--json", secret)
	require.Equal(t, exitDone, code, stderr)
	var history operate.History
	require.NoError(t, json.Unmarshal([]byte(stdout), &history))
	assert.True(t, history.Complete)
	require.Len(t, history.Runs, 2)
	scheduled, called := history.Runs[0], history.Runs[1]
	assert.Equal(t, "schedule", scheduled.By)
	assert.Equal(t, operate.Succeeded, scheduled.Result)
	assert.Equal(t, w.version("AWSCURRENT"), scheduled.Version)
	assert.Contains(t, called.By, ":root")
	assert.Equal(t, operate.Succeeded, called.Result)
	assert.Equal(t, 1, called.Failures)
	assert.Contains(t, called.Error, "createSecret")
	assert.GreaterOrEqual(t, called.Seconds(), 60.0)

	code, stdout, _ = w.rotate("history", secret)
	require.Equal(t, exitDone, code)
	assert.Contains(t, stdout, "succeeded")
	code, stdout, _ = w.rotate("history", "--since", "2099-01-01", secret)
	require.Equal(t, exitDone, code)
	assert.Contains(t, stdout, "No rotation of "+secret)
	code, _, stderr = w.rotate("history", "--since", "yesterday", secret)
	require.Equal(t, exitRefused, code)
	assert.Contains(t, stderr, "--since")
}

func TestNothingIsDoneUnasked(t *testing.T) {
	w := newKey(t)
	before := w.version("AWSCURRENT")
	code, stdout, stderr := w.rotate("now", secret)
	require.Equal(t, exitRefused, code)
	assert.Contains(t, stdout, "RotateSecret")
	assert.Contains(t, stderr, "--yes")
	for _, answer := range []string{"\n", "no\n", "", "yes, but\n"} {
		code, _, _ = w.answer(answer, true, "cancel", secret)
		require.Equal(t, exitRefused, code, answer)
	}
	code, stdout, _ = w.rotate("now", "--dry-run", "--json", secret)
	require.Equal(t, exitDone, code)
	assert.Contains(t, stdout, `"dryRun": true`)
	assert.Equal(t, before, w.version("AWSCURRENT"))
	assert.True(t, w.status().Rotation.On)
	code, _, stderr = w.answer("y\n", true, "now", secret)
	require.Equal(t, exitDone, code, stderr)
	assert.NotEqual(t, before, w.version("AWSCURRENT"))
}

// A version that has just become pending may be a rotation at work; one that has
// been so for longer than rotations take isn't.
func TestWhatIsInProgressIsLeftAlone(t *testing.T) {
	w := newKey(t)
	_, err := w.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(secret), SecretString: aws.String(`{"key":"canary"}`), VersionStages: []string{"AWSPENDING"},
	})
	require.NoError(t, err)
	assert.Equal(t, operate.InProgress, w.status().Pending.State)
	for _, command := range []string{"unstick", "now"} {
		code, _, stderr := w.rotate(command, "--yes", secret)
		assert.Equal(t, exitRefused, code)
		assert.Contains(t, stderr, "in progress")
	}
	require.NoError(t, w.cloud.Advance(t.Context(), 2*time.Hour))
	assert.Equal(t, operate.Stuck, w.status().Pending.State)
	code, _, stderr := w.rotate("unstick", "--yes", secret)
	require.Equal(t, exitDone, code, stderr)
	assert.NotContains(t, w.printed.String(), "canary")
}

func TestReplicas(t *testing.T) {
	w := newKey(t)
	_, err := w.secrets.ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: aws.String(secret), AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("us-west-2")}},
	})
	require.NoError(t, err)
	require.NoError(t, w.cloud.Settle(t.Context()))
	assert.Equal(t, []operate.Replica{{Region: "us-west-2", InSync: true}}, w.status().Replicas)
	code, stdout, _ := w.rotate("status", secret)
	require.Equal(t, exitDone, code)
	assert.Contains(t, stdout, "us-west-2  in sync")

	t.Setenv("AWS_REGION", "us-west-2")
	code, _, stderr := w.rotate("now", "--yes", secret)
	require.Equal(t, exitRefused, code)
	assert.Contains(t, stderr, "AWS_REGION="+region)
	code, stdout, stderr = w.rotate("status", secret)
	require.Equal(t, exitDone, code, stderr)
	assert.Contains(t, stdout, "is a replica here")
}

// The rights in the runbook are enough, and for what they leave out there is a
// note or a refusal.
func TestTheRightsInTheRunbook(t *testing.T) {
	w := newKey(t)
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "operating-rotation.md"))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(page), "```json\n")
	require.True(t, found)
	policy, _, _ := strings.Cut(rest, "```")
	w.become("operator", policy)
	for _, args := range [][]string{
		{"now", "--yes"}, {"status"}, {"history"}, {"rollback", "--yes"}, {"now", "--test", "--yes"}, {"cancel", "--yes"}, {"unstick", "--yes"},
	} {
		code, stdout, stderr := w.rotate(append(args, secret)...)
		assert.Equal(t, exitDone, code, stderr)
		assert.NotContains(t, stdout, "can't be read")
	}
	assert.Contains(t, w.status().LastRun.By, "assumed-role/operator")

	w.become("onlooker", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:DescribeSecret","secretsmanager:ListSecretVersionIds"],"Resource":"*"}]}`)
	status := w.status()
	require.Len(t, status.Notes, 3)
	assert.Contains(t, strings.Join(status.Notes, "\n"), "the trail can't be read")
	assert.Contains(t, strings.Join(status.Notes, "\n"), "the function's log can't be read")
	code, _, stderr := w.rotate("now", "--yes", secret)
	assert.Equal(t, exitRefused, code)
	assert.Contains(t, stderr, "docs/operating-rotation.md")
	w.noValues()
}

func TestWhatCannotBeDone(t *testing.T) {
	w := newKey(t)
	for _, args := range [][]string{{"now"}, {"now", "--colour", secret}, {"turn", secret}, {"status", secret, secret}} {
		code, _, stderr := w.rotate(args...)
		assert.Equal(t, exitRefused, code, args)
		assert.NotEmpty(t, stderr)
	}
	for _, command := range []string{"status", "history", "now", "cancel", "rollback", "unstick"} {
		code, _, stderr := w.rotate(command, "no/such/secret")
		assert.Equal(t, exitRefused, code, command)
		assert.Contains(t, stderr, "AWS_REGION", command)
	}
	code, _, stderr := w.rotate("rollback", "--yes", secret)
	require.Equal(t, exitRefused, code)
	assert.Contains(t, stderr, "no previous version")
	t.Setenv("AWS_REGION", "")
	code, _, stderr = w.rotate("status", secret)
	require.Equal(t, exitRefused, code)
	assert.Contains(t, stderr, "no region")
}
