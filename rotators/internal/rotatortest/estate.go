// Package rotatortest runs a rotator in a local cloud, by Secrets Manager's own
// rules, and kills it wherever a test wants. Only tests use it.
package rotatortest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	lambdahandler "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	region          = "us-east-1"
	forwardVariable = "FORWARD_TO"
)

// Main is the TestMain of a package whose tests make an Estate: the test binary
// is also the code of the estate's Lambda function.
func Main(m *testing.M) {
	if os.Getenv(forwardVariable) != "" {
		forward()
		return
	}
	os.Exit(m.Run())
}

// forward is this test binary as a Lambda function: it hands each event to the
// test that it's part of, so that the emulator's Secrets Manager runs rotations
// by its own rules and the test decides where the rotator dies.
func forward() {
	lambdahandler.Start(func(ctx context.Context, event json.RawMessage) (json.RawMessage, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv(forwardVariable), bytes.NewReader(event)) //nolint:gosec // G704: the address is the test's own
		if err != nil {
			return nil, err
		}
		response, err := http.DefaultClient.Do(request) //nolint:gosec // G704: as above
		if err != nil {
			return nil, err
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("the rotator failed: %s", body)
		}
		return body, err
	})
}

// Estate is an emulator with a rotation function whose code is handle.
type Estate struct {
	testing.TB
	Cloud       *localcloud.Cloud
	Client      *secretsmanager.Client // of the test itself
	ARN         string                 // of the secret that is rotated
	Logs        *Journal
	functionARN string
	handle      func(ctx context.Context, event json.RawMessage) (*spec.SeedResult, error)
}

// Journal is what the rotator logged and answered.
type Journal struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (j *Journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

// String returns all of it.
func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// NewEstate starts the emulator.
func NewEstate(t testing.TB) *Estate {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	e := &Estate{TB: t, Cloud: cloud, Client: secretsmanager.NewFromConfig(cloud.Config(region)), Logs: &Journal{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		event, _ := io.ReadAll(r.Body)
		result, err := e.handle(r.Context(), event)
		if err != nil {
			_, _ = fmt.Fprintln(e.Logs, err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(result)
	}))
	t.Cleanup(server.Close)
	e.functionARN = Deploy(t, cloud, Function{Name: "rotator", Program: Self(t), Environment: map[string]string{forwardVariable: server.URL}})
	return e
}

// CreateSecret makes a secret; "" is one without a value.
func (e *Estate) CreateSecret(name, value string) string {
	e.Helper()
	input := &secretsmanager.CreateSecretInput{Name: &name}
	if value != "" {
		input.SecretString = &value
	}
	secret, err := e.Client.CreateSecret(e.Context(), input)
	require.NoError(e, err)
	return *secret.ARN
}

// Run makes the rotator the function's code: the target's requests and those to
// AWS go through the killer. A rotator that was killed is made anew, as Lambda
// starts another process.
func (e *Estate) Run(k *Killer, target func(*secretsmanager.Client) rotation.Target) {
	config := e.Cloud.Config(region)
	config.HTTPClient = &http.Client{Transport: k}
	client := secretsmanager.NewFromConfig(config)
	log := slog.New(slog.NewJSONHandler(e.Logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	start := func() *rotation.Rotator { return rotation.New(client, target(client), rotation.Options{Logger: log}) }
	rotator := start()
	e.handle = func(ctx context.Context, event json.RawMessage) (*spec.SeedResult, error) {
		result, err := survive(rotator.Handle)(ctx, event)
		if errors.Is(err, ErrDead) {
			rotator = start()
		}
		return result, err
	}
}

// Seed asks the rotator for a first value.
func (e *Estate) Seed() error {
	event, err := json.Marshal(spec.SeedRequest{Step: spec.StepSeed, SecretID: e.ARN})
	require.NoError(e, err)
	_, err = e.handle(e.Context(), event)
	return err
}

// RotateNow starts a rotation and waits until it ended, well or not.
func (e *Estate) RotateNow() {
	e.Helper()
	_, err := e.Client.RotateSecret(e.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &e.ARN, RotationLambdaARN: &e.functionARN,
		RotationRules: &smtypes.RotationRulesType{ScheduleExpression: aws.String("rate(30 days)")},
	})
	require.NoError(e, err)
	require.NoError(e, e.Cloud.Settle(e.Context()))
}

// Staged returns the value and the id of the version with a stage.
func (e *Estate) Staged(stage string) (value, versionID string) {
	e.Helper()
	output, err := e.Client.GetSecretValue(e.Context(), &secretsmanager.GetSecretValueInput{SecretId: &e.ARN, VersionStage: &stage})
	require.NoError(e, err)
	return *output.SecretString, *output.VersionId
}
