package lambda_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/clock"
	"github.com/aistudio/secrets/localcloud/service/cloudwatch"
	"github.com/aistudio/secrets/localcloud/service/iam"
	"github.com/aistudio/secrets/localcloud/service/lambda"
	"github.com/aistudio/secrets/localcloud/service/logs"
	"github.com/aistudio/secrets/localcloud/service/sqs"
	"github.com/aistudio/secrets/localcloud/service/xray"
)

// bench is a Lambda of its own, whose creations and updates take an hour of
// the clock, so that a test sees what is there meanwhile.
type bench struct {
	service *lambda.Service
	clock   *clock.Clock
	client  *sdk.Client
}

// fakeRoles lets Lambda assume every role, and judges as the test says.
type fakeRoles struct {
	authorize func(api.Caller, api.Check) error
}

func (fakeRoles) ServiceSession(context.Context, string, string, string) (iam.Credentials, error) {
	return iam.Credentials{AccessKeyID: "ASIA" + uuid.NewString()}, nil
}

func (f fakeRoles) Authorize(_ context.Context, caller api.Caller, _ string, c api.Check) error {
	return f.authorize(caller, c)
}

type noTrail struct{}

func (noTrail) Record(context.Context, api.Event) {}

func newBench(t *testing.T, authorize func(api.Caller, api.Check) error) *bench {
	t.Helper()
	roles := fakeRoles{authorize}
	c := clock.New(time.Time{})
	env := &api.Env{
		Clock: c, Account: "123456789012", Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
		Trail: noTrail{}, IAM: roles, Endpoint: func() string { return "http://127.0.0.1:1" },
	}
	metrics := cloudwatch.New(env)
	b := &bench{clock: c, service: lambda.New(env, roles, logs.New(env, metrics), xray.New(env), sqs.New(env, metrics), metrics, t.TempDir())}
	b.service.SetSettleTime(time.Hour)
	t.Cleanup(func() {
		c.Stop()
		require.NoError(t, b.service.Close())
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		op, path := b.service.Protocol().Route(r, body)
		req := api.NewRequest(api.Request{
			HTTP: r, Body: body, Path: path, ID: uuid.NewString(), Service: "lambda", Operation: op,
			Region: "us-east-1", Account: env.Account, Time: c.Now(), Caller: api.Caller{Account: env.Account, Root: true},
		}, roles)
		out, err := b.service.Handler(op)(r.Context(), req)
		var apiErr *api.Error
		if errors.As(err, &apiErr) {
			b.service.Protocol().WriteError(w, req, apiErr)
			return
		}
		reply, ok := out.(*api.Reply)
		if !ok {
			reply = &api.Reply{Status: http.StatusOK, Body: out}
		}
		for k, v := range reply.Header {
			w.Header()[k] = v
		}
		if raw, ok := reply.Body.([]byte); ok {
			_, _ = w.Write(raw)
			return
		}
		_ = b.service.Protocol().Write(w, req, reply.Status, reply.Body)
	}))
	t.Cleanup(server.Close)
	b.client = sdk.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	return b
}

func allowAll(api.Caller, api.Check) error { return nil }

func (b *bench) world() *world {
	return &world{lambda: b.client, role: "arn:aws:iam::123456789012:role/worker"}
}

func TestPendingFunctionIsNotInvoked(t *testing.T) {
	b := newBench(t, allowAll)
	w := b.world()
	_, err := w.lambda.CreateFunction(t.Context(), w.input("worker"))
	require.NoError(t, err)
	_, err = w.lambda.Invoke(t.Context(), &sdk.InvokeInput{FunctionName: aws.String("worker")})
	assert.Contains(t, requireCode(t, err, "ResourceConflictException"), "Pending")
	require.NoError(t, b.clock.Advance(t.Context(), time.Hour))
	w.invoke(t, "worker", "echo", "")
}

func TestUpdateConfiguration(t *testing.T) {
	b := newBench(t, allowAll)
	w := b.world()
	in := w.input("worker")
	in.Environment = &types.Environment{Variables: map[string]string{"COLOUR": "green", "OTHER": "x"}}
	first, err := w.lambda.CreateFunction(t.Context(), in)
	require.NoError(t, err)
	require.NoError(t, b.clock.Advance(t.Context(), time.Hour))

	change := &sdk.UpdateFunctionConfigurationInput{FunctionName: in.FunctionName, RevisionId: first.RevisionId, Environment: variables("COLOUR", "blue")}
	out, err := w.lambda.UpdateFunctionConfiguration(t.Context(), change)
	require.NoError(t, err)
	assert.Equal(t, types.LastUpdateStatusInProgress, out.LastUpdateStatus)
	assert.Equal(t, map[string]string{"COLOUR": "blue"}, out.Environment.Variables, "the whole environment is replaced")
	assert.Equal(t, int32(60), *out.Timeout, "the rest stays")
	assert.NotEqual(t, *first.RevisionId, *out.RevisionId)

	_, r := w.invoke(t, "worker", "echo", "")
	assert.Equal(t, "green", r.Colour, "the old one runs until the update is over")
	change.RevisionId = out.RevisionId
	_, err = w.lambda.UpdateFunctionConfiguration(t.Context(), change)
	assert.Contains(t, requireCode(t, err, "ResourceConflictException"), "An update is in progress")

	require.NoError(t, b.clock.Advance(t.Context(), time.Hour))
	got, err := w.lambda.GetFunctionConfiguration(t.Context(), &sdk.GetFunctionConfigurationInput{FunctionName: in.FunctionName})
	require.NoError(t, err)
	assert.Equal(t, types.LastUpdateStatusSuccessful, got.LastUpdateStatus)
	_, r = w.invoke(t, "worker", "echo", "")
	assert.Equal(t, "blue", r.Colour)

	change.RevisionId = first.RevisionId
	_, err = w.lambda.UpdateFunctionConfiguration(t.Context(), change)
	requireCode(t, err, "PreconditionFailedException")
}

func TestServicesInvokeByThePolicy(t *testing.T) {
	var asked []api.Check
	denied := errors.New("denied")
	b := newBench(t, func(caller api.Caller, c api.Check) error {
		if caller.Service == "" {
			return nil
		}
		asked = append(asked, c)
		if caller.Service != "secretsmanager.amazonaws.com" {
			return denied
		}
		return nil
	})
	w := b.world()
	created, err := w.lambda.CreateFunction(t.Context(), w.input("worker"))
	require.NoError(t, err)
	require.NoError(t, b.clock.Advance(t.Context(), time.Hour))
	_, err = w.lambda.AddPermission(t.Context(), &sdk.AddPermissionInput{
		FunctionName: aws.String("worker"), StatementId: aws.String("rotation"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("secretsmanager.amazonaws.com"), SourceAccount: aws.String("123456789012"), SourceArn: aws.String("arn:aws:secretsmanager:us-east-1:123456789012:secret:a-*"),
	})
	require.NoError(t, err)

	caller := api.Caller{Service: "secretsmanager.amazonaws.com", SourceARN: "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-123456"}
	out, err := b.service.InvokeSync(t.Context(), caller, *created.FunctionArn, []byte(`{"Value":"hello"}`))
	require.NoError(t, err)
	assert.Contains(t, string(out), `"Value":"hello"`)
	require.Len(t, asked, 1)
	assert.Equal(t, "lambda:InvokeFunction", asked[0].Action)
	assert.Equal(t, *created.FunctionArn, asked[0].Resource)
	assert.JSONEq(t, `{"Version":"2012-10-17","Id":"default","Statement":[{
		"Sid":"rotation","Effect":"Allow","Principal":{"Service":"secretsmanager.amazonaws.com"},"Action":"lambda:InvokeFunction",
		"Resource":"arn:aws:lambda:us-east-1:123456789012:function:worker",
		"Condition":{"StringEquals":{"AWS:SourceAccount":"123456789012"},"ArnLike":{"AWS:SourceArn":"arn:aws:secretsmanager:us-east-1:123456789012:secret:a-*"}}}]}`,
		asked[0].ResourcePolicy)

	_, err = b.service.InvokeSync(t.Context(), caller, *created.FunctionArn, []byte(`{"Do":"error","Value":"the database is down"}`))
	var functionErr *lambda.FunctionError
	require.ErrorAs(t, err, &functionErr)
	assert.Equal(t, "the database is down", functionErr.Message)

	_, err = b.service.InvokeSync(t.Context(), api.Caller{Service: "events.amazonaws.com"}, *created.FunctionArn, nil)
	require.ErrorIs(t, err, denied)
	require.ErrorIs(t, b.service.InvokeAsync(t.Context(), api.Caller{Service: "events.amazonaws.com"}, *created.FunctionArn, nil), denied)
	_, err = b.service.InvokeSync(t.Context(), caller, "arn:aws:lambda:us-east-1:123456789012:function:nobody", nil)
	var apiErr *api.Error
	require.ErrorAs(t, err, &apiErr)
	assert.Equal(t, "ResourceNotFoundException", apiErr.Code)
}

func TestAliasWeights(t *testing.T) {
	b := newBench(t, allowAll)
	w := b.world()
	_, err := w.lambda.CreateFunction(t.Context(), w.input("worker"))
	require.NoError(t, err)
	_, err = w.lambda.CreateAlias(t.Context(), &sdk.CreateAliasInput{
		FunctionName: aws.String("worker"), Name: aws.String("prod"), FunctionVersion: aws.String("$LATEST"),
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"1": 0.5}},
	})
	requireCode(t, err, "ResourceNotFoundException")
}
