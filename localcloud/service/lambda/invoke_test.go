package lambda_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/faults"
)

// logLines finds the lines that a function logged which contain text.
func (w *world) logLines(t *testing.T, group, text string) []string {
	t.Helper()
	out, err := cloudwatchlogs.NewFromConfig(w.Config("us-east-1")).FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: &group, FilterPattern: aws.String(`"` + text + `"`),
	})
	require.NoError(t, err)
	var lines []string
	for _, e := range out.Events {
		lines = append(lines, *e.Message)
	}
	return lines
}

func TestAFunctionsInvocationsAreMetrics(t *testing.T) {
	w := newWorld(t)
	began := w.Clock().Now()
	w.create(t, w.input("worker"))
	require.NoError(t, w.Advance(t.Context(), time.Second)) // until it is active
	for _, payload := range []string{`{"Do":"error","Value":"no"}`, `{}`, `{}`} {
		_, err := w.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("worker"), Payload: []byte(payload)})
		require.NoError(t, err)
	}
	for name, want := range map[string]float64{"Invocations": 3, "Errors": 1, "Throttles": 0} {
		out, err := cloudwatch.NewFromConfig(w.Config("us-east-1")).GetMetricStatistics(t.Context(), &cloudwatch.GetMetricStatisticsInput{
			Namespace: aws.String("AWS/Lambda"), MetricName: &name, Statistics: []cwtypes.Statistic{cwtypes.StatisticSum}, Period: aws.Int32(3600),
			Dimensions: []cwtypes.Dimension{{Name: aws.String("FunctionName"), Value: aws.String("worker")}},
			StartTime:  &began, EndTime: aws.Time(began.Add(time.Hour)),
		})
		require.NoError(t, err)
		require.Len(t, out.Datapoints, 1, name)
		assert.InDelta(t, want, *out.Datapoints[0].Sum, 0, name)
	}
}

func TestAsyncEventsAreRetried(t *testing.T) {
	w := newWorld(t)
	w.create(t, w.input("worker"))
	out, err := w.lambda.Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String("worker"), InvocationType: types.InvocationTypeEvent, Payload: []byte(`{"Do":"error","Value":"no"}`),
	})
	require.NoError(t, err)
	assert.Equal(t, int32(202), out.StatusCode)
	for _, step := range []struct {
		wait     time.Duration
		attempts int
	}{{0, 1}, {30 * time.Second, 1}, {31 * time.Second, 2}, {90 * time.Second, 2}, {31 * time.Second, 3}, {time.Hour, 3}} {
		require.NoError(t, w.Advance(t.Context(), step.wait))
		assert.Len(t, w.logLines(t, "/aws/lambda/worker", "attempt"), step.attempts, "after %s more", step.wait)
	}
	starts := w.logLines(t, "/aws/lambda/worker", "START")
	assert.Equal(t, starts[0], starts[2], "all attempts have one request ID")
}

func TestWhatAFunctionFailsOnIsKept(t *testing.T) {
	w := newWorld(t)
	queues := sqs.NewFromConfig(w.Config("us-east-1"))
	queue, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("failures")})
	require.NoError(t, err)
	in := w.input("worker")
	in.Role = aws.String(w.createRole(t, "keeper", `{"Effect":"Allow","Action":["logs:*","sqs:SendMessage"],"Resource":"*"}`))
	in.DeadLetterConfig = &types.DeadLetterConfig{TargetArn: aws.String("arn:aws:sqs:us-east-1:123456789012:failures")}
	assert.Equal(t, *in.DeadLetterConfig.TargetArn, *w.create(t, in).DeadLetterConfig.TargetArn)
	for _, payload := range []string{`{"Do":"error","Value":"no"}`, `{"Do":"print","Value":"well"}`} {
		_, err = w.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("worker"), InvocationType: types.InvocationTypeEvent, Payload: []byte(payload)})
		require.NoError(t, err)
	}
	require.NoError(t, w.Advance(t.Context(), time.Hour))
	received, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, MaxNumberOfMessages: 10})
	require.NoError(t, err)
	require.Len(t, received.Messages, 1)
	assert.JSONEq(t, `{"Do":"error","Value":"no"}`, *received.Messages[0].Body)
}

func TestAsyncEventsWaitForRoom(t *testing.T) {
	w := newWorld(t)
	w.create(t, w.input("worker"))
	_, err := w.lambda.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("worker"), ReservedConcurrentExecutions: aws.Int32(0)})
	require.NoError(t, err)
	_, err = w.lambda.Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String("worker"), InvocationType: types.InvocationTypeEvent, Payload: []byte(`{"Do":"print","Value":"at last"}`),
	})
	require.NoError(t, err)
	require.NoError(t, w.Advance(t.Context(), time.Hour))
	_, err = w.lambda.DeleteFunctionConcurrency(t.Context(), &lambda.DeleteFunctionConcurrencyInput{FunctionName: aws.String("worker")})
	require.NoError(t, err)
	require.NoError(t, w.Advance(t.Context(), 6*time.Minute))
	assert.Len(t, w.logLines(t, "/aws/lambda/worker", "at last"), 1)
}

func TestDryRun(t *testing.T) {
	w := newWorld(t)
	w.create(t, w.input("worker"))
	out, err := w.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("worker"), InvocationType: types.InvocationTypeDryRun})
	require.NoError(t, err)
	assert.Equal(t, int32(204), out.StatusCode)
}

func TestPayloads(t *testing.T) {
	w := newWorld(t)
	w.create(t, w.input("worker"))
	for name, tt := range map[string]struct {
		kind    types.InvocationType
		payload string
		code    string
	}{
		"not JSON":        {types.InvocationTypeRequestResponse, "{", "InvalidRequestContentException"},
		"big":             {types.InvocationTypeRequestResponse, `"` + strings.Repeat("x", 6<<20) + `"`, "RequestTooLargeException"},
		"big for a queue": {types.InvocationTypeEvent, `"` + strings.Repeat("x", 1<<20) + `"`, "RequestTooLargeException"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("worker"), InvocationType: tt.kind, Payload: []byte(tt.payload)})
			requireCode(t, err, tt.code)
		})
	}
	out, err := w.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("worker")})
	require.NoError(t, err)
	assert.Nil(t, out.FunctionError, "no payload is an empty object")
}

func TestReservedConcurrency(t *testing.T) {
	w := newWorld(t)
	w.create(t, w.input("worker"))
	put := func(n int32) error {
		_, err := w.lambda.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("worker"), ReservedConcurrentExecutions: &n})
		return err
	}
	requireCode(t, put(901), "InvalidParameterValueException")
	require.NoError(t, put(0))
	noRetry := func(o *lambda.Options) { o.RetryMaxAttempts = 1 }
	_, err := w.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("worker")}, noRetry)
	var throttled *types.TooManyRequestsException
	require.ErrorAs(t, err, &throttled)
	assert.Equal(t, types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded, throttled.Reason)
	got, err := w.lambda.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("worker")})
	require.NoError(t, err)
	assert.Equal(t, int32(0), *got.Concurrency.ReservedConcurrentExecutions)
	require.NoError(t, put(1))
	w.invoke(t, "worker", "echo", "")
	w.invoke(t, "worker", "echo", "again")
	settings, err := w.lambda.GetAccountSettings(t.Context(), &lambda.GetAccountSettingsInput{})
	require.NoError(t, err)
	assert.Equal(t, int32(999), *settings.AccountLimit.UnreservedConcurrentExecutions)
}

func TestTheFunctionIsItsRole(t *testing.T) {
	w := newWorld(t)
	w.create(t, w.input("worker"))
	_, r := w.invoke(t, "worker", "whoami", "")
	assert.Equal(t, "arn:aws:sts::123456789012:assumed-role/worker/worker", r.Value)
	out, _ := w.invoke(t, "worker", "group", "allowed")
	assert.Nil(t, out.FunctionError)

	in := w.input("stranger")
	role := w.createRole(t, "stranger", `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`)
	in.Role = &role
	w.create(t, in)
	out, r = w.invoke(t, "stranger", "group", "denied")
	assert.NotNil(t, out.FunctionError)
	assert.Contains(t, r.ErrorMessage, "is not authorized to perform: logs:CreateLogGroup on resource: arn:aws:logs:us-east-1:123456789012:log-group:denied")
	groups, err := cloudwatchlogs.NewFromConfig(w.Config("us-east-1")).DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/aws/lambda/stranger")})
	require.NoError(t, err)
	assert.Empty(t, groups.LogGroups, "Lambda logs in the role's name")
	assert.NotEmpty(t, *out.LogResult)
}

func TestOutputGoesToCloudWatchLogs(t *testing.T) {
	w := newWorld(t)
	in := w.input("worker")
	in.LoggingConfig = &types.LoggingConfig{LogGroup: aws.String("/own/group")}
	w.create(t, in)
	w.invoke(t, "worker", "print", "hello, log")
	assert.Equal(t, []string{"hello, log"}, w.logLines(t, "/own/group", "hello"))
	assert.Len(t, w.logLines(t, "/own/group", "REPORT RequestId: "), 1)
}

func TestCredentialsThatExpireEndTheEnvironment(t *testing.T) {
	w := newWorld(t)
	w.create(t, w.input("worker"))
	_, before := w.invoke(t, "worker", "whoami", "")
	require.NoError(t, w.Advance(t.Context(), 30*24*time.Hour))
	_, after := w.invoke(t, "worker", "whoami", "")
	assert.Equal(t, before.Value, after.Value)
	assert.NotEqual(t, before.PID, after.PID)
}

func TestAFaultKillsTheCaller(t *testing.T) {
	w := newWorld(t)
	w.create(t, w.input("worker"))
	_, err := w.Faults.Add(faults.Fault{Kind: faults.CrashBefore, Operation: "GetCallerIdentity", Times: 1})
	require.NoError(t, err)
	out, r := w.invoke(t, "worker", "whoami", "")
	assert.Equal(t, "Unhandled", *out.FunctionError)
	assert.Equal(t, "Runtime.ExitError", r.ErrorType)
	assert.Contains(t, r.ErrorMessage, "Runtime exited with error: signal: killed")
	_, r = w.invoke(t, "worker", "whoami", "")
	assert.NotEmpty(t, r.Value)
}

func TestTheWrongArchitectureIsRefused(t *testing.T) {
	w := newWorld(t)
	in := w.input("worker")
	in.Architectures = []types.Architecture{types.ArchitectureArm64}
	if hostArchitecture() == types.ArchitectureArm64 {
		in.Architectures = []types.Architecture{types.ArchitectureX8664}
	}
	w.create(t, in)
	_, r := w.invoke(t, "worker", "echo", "")
	assert.Equal(t, "Runtime.InvalidEntrypoint", r.ErrorType)
	assert.Contains(t, r.ErrorMessage, "exec format error")
}

// as returns a client with a session of a role that may do what statement says.
func (w *world) as(t *testing.T, name, statement string) *lambda.Client {
	t.Helper()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}]}`
	role := w.createRole(t, name, statement)
	_, err := w.iam.UpdateAssumeRolePolicy(t.Context(), updateTrust(name, trust))
	require.NoError(t, err)
	out, err := sts.NewFromConfig(w.Config("us-east-1")).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("test")})
	require.NoError(t, err)
	c := out.Credentials
	return lambda.NewFromConfig(w.ConfigFor("us-east-1", *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken))
}

func TestCallersAreAuthorised(t *testing.T) {
	w := newWorld(t)
	w.create(t, w.input("worker"))
	reader := w.as(t, "reader", `{"Effect":"Allow","Action":"lambda:GetFunction","Resource":"arn:aws:lambda:us-east-1:123456789012:function:worker"}`)
	_, err := reader.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("worker")})
	require.NoError(t, err)
	invoke := &lambda.InvokeInput{FunctionName: aws.String("worker")}
	_, err = reader.Invoke(t.Context(), invoke)
	assert.Contains(t, requireCode(t, err, "AccessDeniedException"), "lambda:InvokeFunction on resource: arn:aws:lambda:us-east-1:123456789012:function:worker")

	permission := &lambda.AddPermissionInput{
		FunctionName: aws.String("worker"), StatementId: aws.String("reader"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("arn:aws:iam::123456789012:role/reader"),
	}
	_, err = w.lambda.AddPermission(t.Context(), permission)
	require.NoError(t, err)
	_, err = reader.Invoke(t.Context(), invoke)
	require.NoError(t, err, "the function's policy allows it")
	_, err = w.lambda.AddPermission(t.Context(), permission)
	requireCode(t, err, "ResourceConflictException")
	_, err = w.lambda.RemovePermission(t.Context(), &lambda.RemovePermissionInput{FunctionName: aws.String("worker"), StatementId: aws.String("reader")})
	require.NoError(t, err)
	_, err = reader.Invoke(t.Context(), invoke)
	requireCode(t, err, "AccessDeniedException")
	_, err = w.lambda.GetPolicy(t.Context(), &lambda.GetPolicyInput{FunctionName: aws.String("worker")})
	requireCode(t, err, "ResourceNotFoundException")
}

func TestPassRole(t *testing.T) {
	w := newWorld(t)
	create := `{"Effect":"Allow","Action":"lambda:*","Resource":"*"}`
	_, err := w.as(t, "deployer", create).CreateFunction(t.Context(), w.input("worker"))
	assert.Contains(t, requireCode(t, err, "AccessDeniedException"), "iam:PassRole on resource: "+w.role)

	pass := `,{"Effect":"Allow","Action":"iam:PassRole","Resource":"` + w.role + `","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}`
	_, err = w.as(t, "passer", create+pass).CreateFunction(t.Context(), w.input("worker"))
	require.NoError(t, err)
}
