package scheduler_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/faults"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	queueARN  = "arn:aws:sqs:us-east-1:123456789012:runs"
	deadARN   = "arn:aws:sqs:us-east-1:123456789012:dead"
	roleARN   = "arn:aws:iam::123456789012:role/invoker"
	trustText = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"scheduler.amazonaws.com"},"Action":"sts:AssumeRole"}}`
)

type world struct {
	*testing.T
	cloud      *localcloud.Cloud
	client     *scheduler.Client
	queues     *sqs.Client
	runs, dead *string
}

func start(t *testing.T) world {
	cloud, err := localcloud.New(localcloud.WithStart(noon))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	cfg := cloud.Config("us-east-1")
	w := world{t, cloud, scheduler.NewFromConfig(cfg), sqs.NewFromConfig(cfg), nil, nil}
	for name, url := range map[string]**string{"runs": &w.runs, "dead": &w.dead} {
		out, err := w.queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name})
		require.NoError(t, err)
		*url = out.QueueUrl
	}
	roles := iam.NewFromConfig(cfg)
	_, err = roles.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("invoker"), AssumeRolePolicyDocument: aws.String(trustText)})
	require.NoError(t, err)
	w.allow(queueARN, deadARN)
	return w
}

// allow lets the role send to queues, and to no others.
func (w world) allow(queues ...string) {
	w.Helper()
	resources, err := json.Marshal(queues)
	require.NoError(w, err)
	_, err = iam.NewFromConfig(w.cloud.Config("us-east-1")).PutRolePolicy(w.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("invoker"), PolicyName: aws.String("send"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sqs:SendMessage","Resource":` + string(resources) + `}}`),
	})
	require.NoError(w, err)
}

func input(expression string) *scheduler.CreateScheduleInput {
	return &scheduler.CreateScheduleInput{
		Name: aws.String("daily"), ScheduleExpression: &expression, FlexibleTimeWindow: &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeOff},
		Target: &types.Target{Arn: aws.String(queueARN), RoleArn: aws.String(roleARN), Input: aws.String(`{"at":"<aws.scheduler.scheduled-time>","attempt":"<aws.scheduler.attempt-number>"}`)},
	}
}

func (w world) create(in *scheduler.CreateScheduleInput) {
	w.Helper()
	out, err := w.client.CreateSchedule(w.Context(), in)
	require.NoError(w, err)
	assert.Equal(w, "arn:aws:scheduler:us-east-1:123456789012:schedule/default/daily", *out.ScheduleArn)
}

// received empties a queue.
func (w world) received(url *string) (bodies []string) {
	w.Helper()
	for {
		out, err := w.queues.ReceiveMessage(w.Context(), &sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: 10})
		require.NoError(w, err)
		if len(out.Messages) == 0 {
			return bodies
		}
		for _, m := range out.Messages {
			bodies = append(bodies, *m.Body)
			_, err := w.queues.DeleteMessage(w.Context(), &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: m.ReceiptHandle})
			require.NoError(w, err)
		}
	}
}

func (w world) advance(d time.Duration) {
	w.Helper()
	require.NoError(w, w.cloud.Advance(w.Context(), d))
}

func code(t *testing.T, err error) string {
	t.Helper()
	var e smithy.APIError
	require.ErrorAs(t, err, &e)
	return e.ErrorCode()
}

func TestACronScheduleInATimeZone(t *testing.T) {
	w := start(t)
	in := input("cron(30 6 * * ? *)")
	in.ScheduleExpressionTimezone = aws.String("Europe/Vienna")
	w.create(in)
	w.advance(48 * time.Hour)
	assert.Equal(t, []string{`{"at":"2026-03-02T05:30:00Z","attempt":"1"}`, `{"at":"2026-03-03T05:30:00Z","attempt":"1"}`}, w.received(w.runs))

	_, err := w.client.UpdateSchedule(t.Context(), &scheduler.UpdateScheduleInput{
		Name: in.Name, ScheduleExpression: in.ScheduleExpression, FlexibleTimeWindow: in.FlexibleTimeWindow, Target: in.Target, State: types.ScheduleStateDisabled,
	})
	require.NoError(t, err)
	w.advance(48 * time.Hour)
	assert.Empty(t, w.received(w.runs))
	got, err := w.client.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: in.Name})
	require.NoError(t, err)
	assert.Equal(t, types.ScheduleStateDisabled, got.State)
	assert.Nil(t, got.ScheduleExpressionTimezone, "an update replaces all")
	assert.EqualValues(t, 185, *got.Target.RetryPolicy.MaximumRetryAttempts)
	list, err := w.client.ListSchedules(t.Context(), &scheduler.ListSchedulesInput{NamePrefix: aws.String("da")})
	require.NoError(t, err)
	require.Len(t, list.Schedules, 1)
	_, err = w.client.DeleteSchedule(t.Context(), &scheduler.DeleteScheduleInput{Name: in.Name})
	require.NoError(t, err)
	_, err = w.client.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: in.Name})
	assert.Equal(t, "ResourceNotFoundException", code(t, err))
	assert.Empty(t, w.cloud.Unsupported())
}

func TestAScheduleOfATask(t *testing.T) {
	w := start(t)
	in := input("rate(1 day)")
	in.Target = &types.Target{Arn: aws.String("arn:aws:ecs:us-east-1:123456789012:cluster/jobs"), RoleArn: aws.String(roleARN)}
	_, err := w.client.CreateSchedule(t.Context(), in)
	assert.Equal(t, "ValidationException", code(t, err), "it must say which task")
	in.Target.EcsParameters = &types.EcsParameters{TaskDefinitionArn: aws.String("arn:aws:ecs:us-east-1:123456789012:task-definition/report"), TaskCount: aws.Int32(2)}
	w.create(in)
	w.advance(48 * time.Hour)
	got, err := w.client.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: in.Name})
	require.NoError(t, err)
	assert.Equal(t, in.Target.EcsParameters, got.Target.EcsParameters)
	tags, err := w.client.ListTagsForResource(t.Context(), &scheduler.ListTagsForResourceInput{ResourceArn: aws.String("arn:aws:scheduler:us-east-1:123456789012:schedule-group/default")})
	require.NoError(t, err)
	assert.Empty(t, tags.Tags)
	_, err = w.client.ListTagsForResource(t.Context(), &scheduler.ListTagsForResourceInput{ResourceArn: aws.String("arn:aws:scheduler:us-east-1:123456789012:schedule-group/other")})
	assert.Equal(t, "ResourceNotFoundException", code(t, err))
	assert.Empty(t, w.cloud.Unsupported())
}

func TestARateBeginsAtOnceOrAtItsStart(t *testing.T) {
	w := start(t)
	in := input("rate(6 hours)")
	w.create(in)
	w.advance(13 * time.Hour)
	assert.Len(t, w.received(w.runs), 3, "now, and 6 and 12 hours later")
	_, err := w.client.DeleteSchedule(t.Context(), &scheduler.DeleteScheduleInput{Name: in.Name})
	require.NoError(t, err)
	in.StartDate, in.EndDate = aws.Time(noon.Add(24*time.Hour)), aws.Time(noon.Add(37*time.Hour))
	w.create(in)
	w.advance(10 * time.Hour)
	assert.Empty(t, w.received(w.runs))
	w.advance(30 * time.Hour)
	assert.Len(t, w.received(w.runs), 3, "at 24, 30 and 36 hours")
}

func TestOnceAndNoMore(t *testing.T) {
	w := start(t)
	in := input("at(2026-03-01T13:00:00)")
	in.ActionAfterCompletion = types.ActionAfterCompletionDelete
	in.Target.Input = nil
	w.create(in)
	w.advance(2 * time.Hour)
	bodies := w.received(w.runs)
	require.Len(t, bodies, 1)
	assert.Contains(t, bodies[0], `"detail-type":"Scheduled Event"`)
	assert.Contains(t, bodies[0], `"time":"2026-03-01T13:00:00Z"`)
	_, err := w.client.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: in.Name})
	assert.Equal(t, "ResourceNotFoundException", code(t, err))
}

func TestAFlexibleWindow(t *testing.T) {
	w := start(t)
	in := input("at(2026-03-01T13:00:00)")
	in.FlexibleTimeWindow = &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeFlexible, MaximumWindowInMinutes: aws.Int32(30)}
	w.create(in)
	w.advance(59 * time.Minute)
	assert.Empty(t, w.received(w.runs))
	w.advance(31 * time.Minute)
	assert.Len(t, w.received(w.runs), 1)
}

func TestWhatFailsIsTriedAgainAndThenKept(t *testing.T) {
	w := start(t)
	in := input("at(2026-03-01T13:00:00)")
	in.Target.RetryPolicy = &types.RetryPolicy{MaximumRetryAttempts: aws.Int32(3), MaximumEventAgeInSeconds: aws.Int32(3600)}
	in.Target.DeadLetterConfig = &types.DeadLetterConfig{Arn: aws.String(deadARN)}
	w.create(in)
	w.allow(deadARN)
	w.advance(time.Hour)
	w.advance(2 * time.Second)
	w.allow(queueARN, deadARN)
	w.advance(time.Hour)
	assert.Equal(t, []string{`{"at":"2026-03-01T13:00:00Z","attempt":"3"}`}, w.received(w.runs), "it works the third time")
	assert.Empty(t, w.received(w.dead))

	w.allow(deadARN)
	in.Name, in.ScheduleExpression = aws.String("again"), aws.String("at(2026-03-01T16:00:00)")
	_, err := w.client.CreateSchedule(t.Context(), in)
	require.NoError(t, err)
	w.advance(4 * time.Hour)
	assert.Empty(t, w.received(w.runs))
	assert.Equal(t, []string{`{"at":"2026-03-01T16:00:00Z","attempt":"4"}`}, w.received(w.dead))
}

func TestWhatIsNoScheduleIsRefused(t *testing.T) {
	w := start(t)
	w.create(input("rate(1 day)"))
	_, err := w.client.CreateSchedule(t.Context(), input("rate(1 day)"))
	assert.Equal(t, "ConflictException", code(t, err))
	for problem, change := range map[string]func(*scheduler.CreateScheduleInput){
		"an expression": func(in *scheduler.CreateScheduleInput) { in.ScheduleExpression = aws.String("every day") },
		"a time zone":   func(in *scheduler.CreateScheduleInput) { in.ScheduleExpressionTimezone = aws.String("Mars/Base") },
		"a window":      func(in *scheduler.CreateScheduleInput) { in.FlexibleTimeWindow.Mode = "FLEXIBLE" },
		"a role":        func(in *scheduler.CreateScheduleInput) { in.Target.RoleArn = aws.String(roleARN + "-none") },
		"retries": func(in *scheduler.CreateScheduleInput) {
			in.Target.RetryPolicy = &types.RetryPolicy{MaximumRetryAttempts: aws.Int32(186)}
		},
		"a name": func(in *scheduler.CreateScheduleInput) { in.Name = aws.String("no name") },
	} {
		in := input("rate(1 day)")
		in.Name = aws.String("bad")
		change(in)
		_, err := w.client.CreateSchedule(t.Context(), in)
		require.Error(t, err, problem)
		assert.Equal(t, "ValidationException", code(t, err), problem)
	}
}

func TestARoleMustBePassedAndTheTrailTells(t *testing.T) {
	w := start(t)
	users := iam.NewFromConfig(w.cloud.Config("us-east-1"))
	_, err := users.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("u")})
	require.NoError(t, err)
	key, err := users.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("u")})
	require.NoError(t, err)
	client := scheduler.NewFromConfig(w.cloud.ConfigFor("us-east-1", *key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, ""))
	grant := func(statements string) error {
		_, err := users.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("u"), PolicyName: aws.String("p"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[` + statements + `]}`)})
		require.NoError(t, err)
		_, err = client.CreateSchedule(t.Context(), input("rate(1 day)"))
		return err
	}
	create := `{"Effect":"Allow","Action":"scheduler:CreateSchedule","Resource":"arn:aws:scheduler:us-east-1:123456789012:schedule/default/daily"}`
	assert.Contains(t, code(t, grant(`{"Effect":"Allow","Action":"scheduler:GetSchedule","Resource":"*"}`)), "AccessDenied")
	assert.ErrorContains(t, grant(create), "iam:PassRole")
	_, err = w.cloud.Faults.Add(faults.Fault{Kind: faults.Throttle, Service: "scheduler", Operation: "CreateSchedule", Times: 1})
	require.NoError(t, err)
	require.NoError(t, grant(create+`,{"Effect":"Allow","Action":"iam:PassRole","Resource":"`+roleARN+`","Condition":{"StringEquals":{"iam:PassedToService":"scheduler.amazonaws.com"}}}`))
	out, err := cloudtrail.NewFromConfig(w.cloud.Config("us-east-1")).LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{})
	require.NoError(t, err)
	assert.Contains(t, *out.Events[0].CloudTrailEvent, `"eventName":"CreateSchedule"`)
	assert.NotContains(t, *out.Events[0].CloudTrailEvent, `"input"`)
}
