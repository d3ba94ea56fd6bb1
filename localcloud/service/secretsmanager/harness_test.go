package secretsmanager_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/clock"
	"github.com/aistudio/secrets/localcloud/service/kms"
	"github.com/aistudio/secrets/localcloud/service/secretsmanager"
)

const (
	region   = "us-east-1"
	drRegion = "us-west-2"
	account  = "123456789012"
)

// start is a Tuesday in the afternoon, so that days and windows differ.
var start = time.Date(2025, 3, 11, 15, 4, 5, 0, time.UTC)

// bench is a Secrets Manager with a real KMS and clock, a Lambda that is a
// function of the test, an IAM that allows all but what the test denies, and a
// trail that the test can read.
type bench struct {
	t      *testing.T
	clock  *clock.Clock
	url    string
	client *sm.Client

	mu       sync.Mutex
	function func(ctx context.Context, client *sm.Client, event map[string]string) error
	denied   map[string]bool // actions
	checks   []api.Check
	events   []api.Event
	payloads []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, clock: clock.New(start), denied: map[string]bool{}}
	env := &api.Env{
		Clock: b.clock, Account: account, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
		Trail: b, IAM: b, Endpoint: func() string { return b.url },
	}
	service := secretsmanager.New(env, kms.New(env), b)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.serve(service, w, r) }))
	t.Cleanup(func() {
		require.NoError(t, b.clock.Settle(context.Background()))
		b.clock.Stop()
		server.Close()
	})
	b.url = server.URL
	b.client = b.in(region)
	return b
}

// in returns a client for a region.
func (b *bench) in(region string) *sm.Client {
	return sm.NewFromConfig(aws.Config{
		Region: region, BaseEndpoint: aws.String(b.url),
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}

func (b *bench) serve(service *secretsmanager.Service, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if !assert.NoError(b.t, err) {
		return
	}
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	op, _ := service.Protocol().Route(r, body)
	req := api.NewRequest(api.Request{
		HTTP: r, Body: body, ID: "test", Service: service.Name(), Operation: op,
		Region: strings.Split(scope, "/")[2], Account: account, Time: b.clock.Now(),
		Caller: api.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":user/tester"},
	}, b)
	handler := service.Handler(op)
	if !assert.NotNil(b.t, handler, op) {
		return
	}
	out, err := handler(r.Context(), req)
	assert.True(b.t, err != nil || req.Authorized(), "%s never asked IAM", op)
	var apiErr *api.Error
	switch {
	case err == nil:
		assert.NoError(b.t, service.Protocol().Write(w, req, http.StatusOK, out))
	case errors.As(err, &apiErr):
		service.Protocol().WriteError(w, req, apiErr)
	default:
		assert.NoError(b.t, err, op)
	}
}

// Authorize implements api.Authorizer.
func (b *bench) Authorize(_ context.Context, _ api.Caller, _ string, c api.Check) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.checks = append(b.checks, c)
	if b.denied[c.Action] {
		return api.Errorf("AccessDeniedException", "not authorized to perform: %s on resource: %s", c.Action, c.Resource)
	}
	return nil
}

func (b *bench) deny(actions ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.denied)
	for _, a := range actions {
		b.denied[a] = true
	}
}

// check returns the last question about an action.
func (b *bench) check(action string) api.Check {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.checks) - 1; i >= 0; i-- {
		if b.checks[i].Action == action {
			return b.checks[i]
		}
	}
	require.Fail(b.t, "IAM was never asked about "+action)
	return api.Check{}
}

// Record implements api.Recorder.
func (b *bench) Record(_ context.Context, e api.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

// rotationEvents returns the names of Secrets Manager's own events.
func (b *bench) rotationEvents() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for _, e := range b.events {
		if e.Type == "AwsServiceEvent" {
			names = append(names, e.Name)
		}
	}
	return names
}

// settle waits for what runs in the background.
func (b *bench) settle() { require.NoError(b.t, b.clock.Settle(b.t.Context())) }

func (b *bench) advance(d time.Duration) { require.NoError(b.t, b.clock.Advance(b.t.Context(), d)) }

// create makes a secret and returns its ARN.
func (b *bench) create(name, value string) string {
	b.t.Helper()
	in := &sm.CreateSecretInput{Name: &name}
	if value != "" {
		in.SecretString = &value
	}
	out, err := b.client.CreateSecret(b.t.Context(), in)
	require.NoError(b.t, err)
	return *out.ARN
}

// value reads a secret; an empty stage is AWSCURRENT.
func (b *bench) value(id, stage string) string {
	b.t.Helper()
	in := &sm.GetSecretValueInput{SecretId: &id}
	if stage != "" {
		in.VersionStage = &stage
	}
	out, err := b.client.GetSecretValue(b.t.Context(), in)
	require.NoError(b.t, err)
	return *out.SecretString
}

func (b *bench) describe(id string) *sm.DescribeSecretOutput {
	b.t.Helper()
	out, err := b.client.DescribeSecret(b.t.Context(), &sm.DescribeSecretInput{SecretId: &id})
	require.NoError(b.t, err)
	return out
}

// fails checks the code of an AWS error and a part of its message.
func fails(t *testing.T, err error, code, message string) {
	t.Helper()
	var apiErr smithy.APIError
	require.ErrorAs(t, err, &apiErr)
	assert.Equal(t, code, apiErr.ErrorCode())
	assert.Contains(t, apiErr.ErrorMessage(), message)
}
