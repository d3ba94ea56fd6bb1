package events_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

type bench struct {
	cloud  *localcloud.Cloud
	events *eventbridge.Client
	queues *sqs.Client
	url    *string
	arn    string
}

// start gives a bus and a queue that the rule "r" may send to.
func start(t *testing.T) bench {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	cfg := cloud.Config("us-east-1")
	b := bench{cloud: cloud, events: eventbridge.NewFromConfig(cfg), queues: sqs.NewFromConfig(cfg)}
	b.arn = "arn:aws:sqs:us-east-1:" + cloud.Account() + ":q"
	out, err := b.queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q"), Attributes: map[string]string{
		"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"` + b.arn + `","Condition":{"ArnEquals":{"aws:SourceArn":"arn:aws:events:us-east-1:` + cloud.Account() + `:rule/r"}}}]}`,
	}})
	require.NoError(t, err)
	b.url = out.QueueUrl
	return b
}

func (b bench) rule(t *testing.T, name string, in eventbridge.PutRuleInput, target types.Target) {
	t.Helper()
	in.Name = &name
	_, err := b.events.PutRule(t.Context(), &in)
	require.NoError(t, err)
	target.Id, target.Arn = aws.String("1"), &b.arn
	_, err = b.events.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: &name, Targets: []types.Target{target}})
	require.NoError(t, err)
}

func (b bench) put(t *testing.T, detail string) {
	t.Helper()
	out, err := b.events.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{
		{Source: aws.String("test"), DetailType: aws.String("thing"), Detail: &detail},
	}})
	require.NoError(t, err)
	require.Zero(t, out.FailedEntryCount)
	require.NoError(t, b.cloud.Settle(t.Context()))
}

func (b bench) messages(t *testing.T) []string {
	t.Helper()
	out, err := b.queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: b.url, MaxNumberOfMessages: 10})
	require.NoError(t, err)
	var bodies []string
	for _, m := range out.Messages {
		bodies = append(bodies, *m.Body)
	}
	return bodies
}

func TestMatchingEventsReachTheQueue(t *testing.T) {
	b := start(t)
	b.rule(t, "r", eventbridge.PutRuleInput{EventPattern: aws.String(`{"source":["test"],"detail":{"name":[{"prefix":"a"}]}}`)}, types.Target{})
	b.put(t, `{"name":"b"}`)
	assert.Empty(t, b.messages(t))
	b.put(t, `{"name":"abc"}`)
	got := b.messages(t)
	require.Len(t, got, 1)
	var event struct {
		Source     string
		DetailType string `json:"detail-type"`
		Account    string
		Region     string
		Detail     map[string]string
	}
	require.NoError(t, json.Unmarshal([]byte(got[0]), &event))
	assert.Equal(t, "test", event.Source)
	assert.Equal(t, "us-east-1", event.Region)
	assert.Equal(t, map[string]string{"name": "abc"}, event.Detail)
}

func TestInputTransformer(t *testing.T) {
	b := start(t)
	b.rule(t, "r", eventbridge.PutRuleInput{EventPattern: aws.String(`{"source":["test"]}`)}, types.Target{InputTransformer: &types.InputTransformer{
		InputPathsMap: map[string]string{"n": "$.detail.name", "d": "$.detail", "x": "$.detail.missing"},
		InputTemplate: aws.String(`{"text":"it is <n>!","name":<n>,"all":<d>,"none":<x>}`),
	}})
	b.put(t, `{"name":"abc"}`)
	got := b.messages(t)
	require.Len(t, got, 1)
	assert.JSONEq(t, `{"text":"it is abc!","name":"abc","all":{"name":"abc"},"none":null}`, got[0])
}

func TestSchedulesFireOnTheClock(t *testing.T) {
	b := start(t)
	b.rule(t, "r", eventbridge.PutRuleInput{ScheduleExpression: aws.String("rate(1 day)")}, types.Target{Input: aws.String(`{"go":1}`)})
	require.NoError(t, b.cloud.Advance(t.Context(), 73*time.Hour))
	assert.Equal(t, []string{`{"go":1}`, `{"go":1}`, `{"go":1}`}, b.messages(t))
	_, err := b.events.DisableRule(t.Context(), &eventbridge.DisableRuleInput{Name: aws.String("r")})
	require.NoError(t, err)
	_, err = b.queues.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: b.url})
	require.NoError(t, err)
	require.NoError(t, b.cloud.Advance(t.Context(), 73*time.Hour))
	assert.Empty(t, b.messages(t))
}

func TestARuleThatStartsATask(t *testing.T) {
	b := start(t)
	_, err := b.events.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("nightly"), ScheduleExpression: aws.String("rate(1 day)")})
	require.NoError(t, err)
	cluster := aws.String("arn:aws:ecs:us-east-1:123456789012:cluster/jobs")
	put := func(target types.Target) error {
		target.Id, target.Arn = aws.String("task"), cluster
		_, err := b.events.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("nightly"), Targets: []types.Target{target}})
		return err
	}
	task := &types.EcsParameters{TaskDefinitionArn: aws.String("arn:aws:ecs:us-east-1:123456789012:task-definition/report"), LaunchType: types.LaunchTypeFargate}
	require.ErrorContains(t, put(types.Target{RoleArn: aws.String("arn:aws:iam::123456789012:role/r")}), "TaskDefinitionArn")
	require.ErrorContains(t, put(types.Target{EcsParameters: task}), "RoleArn is required")
	require.NoError(t, put(types.Target{EcsParameters: task, RoleArn: aws.String("arn:aws:iam::123456789012:role/r")}))
	require.NoError(t, b.cloud.Advance(t.Context(), 48*time.Hour))

	buses, err := b.events.ListEventBuses(t.Context(), &eventbridge.ListEventBusesInput{})
	require.NoError(t, err)
	require.Len(t, buses.EventBuses, 1)
	assert.Equal(t, "arn:aws:events:us-east-1:123456789012:event-bus/default", *buses.EventBuses[0].Arn)
	names, err := b.events.ListRuleNamesByTarget(t.Context(), &eventbridge.ListRuleNamesByTargetInput{TargetArn: cluster})
	require.NoError(t, err)
	assert.Equal(t, []string{"nightly"}, names.RuleNames)
	targets, err := b.events.ListTargetsByRule(t.Context(), &eventbridge.ListTargetsByRuleInput{Rule: aws.String("nightly")})
	require.NoError(t, err)
	require.Len(t, targets.Targets, 1)
	assert.Equal(t, task, targets.Targets[0].EcsParameters)

	_, err = b.events.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("other"), ScheduleExpression: aws.String("rate(1 day)")})
	require.NoError(t, err)
	first, err := b.events.ListRules(t.Context(), &eventbridge.ListRulesInput{Limit: aws.Int32(1)})
	require.NoError(t, err)
	require.Len(t, first.Rules, 1)
	second, err := b.events.ListRules(t.Context(), &eventbridge.ListRulesInput{Limit: aws.Int32(1), NextToken: first.NextToken})
	require.NoError(t, err)
	require.Len(t, second.Rules, 1)
	assert.Equal(t, "other", *second.Rules[0].Name)
	assert.Nil(t, second.NextToken)
	assert.Empty(t, b.cloud.Unsupported())
}

func TestPatterns(t *testing.T) {
	b := start(t)
	const event = `{"id":"1","account":"1","source":"s","time":"2026-01-01T00:00:00Z","region":"us-east-1","resources":["arn:a","arn:b"],"detail-type":"t",
		"detail":{"name":"Get/Secret","n":5,"ip":"10.1.2.3","ok":true,"none":null,"list":[1,2]}}`
	for pattern, want := range map[string]bool{
		`{"source":["s","x"]}`:                                       true,
		`{"source":["x"]}`:                                           false,
		`{"resources":["arn:b"]}`:                                    true,
		`{"detail":{"name":["Get/Secret"],"n":[5]}}`:                 true,
		`{"detail":{"name":[{"suffix":"Secret"}]}}`:                  true,
		`{"detail":{"name":[{"wildcard":"G*/S*"}]}}`:                 true,
		`{"detail":{"name":[{"wildcard":"G?t*"}]}}`:                  false,
		`{"detail":{"name":[{"equals-ignore-case":"get/secret"}]}}`:  true,
		`{"detail":{"name":[{"anything-but":["a","b"]}]}}`:           true,
		`{"detail":{"name":[{"anything-but":{"prefix":"Get"}}]}}`:    false,
		`{"detail":{"n":[{"numeric":[">",4,"<=",5]}]}}`:              true,
		`{"detail":{"n":[{"numeric":["<",5]}]}}`:                     false,
		`{"detail":{"ip":[{"cidr":"10.0.0.0/8"}]}}`:                  true,
		`{"detail":{"gone":[{"exists":false}]}}`:                     true,
		`{"detail":{"name":[{"exists":false}]}}`:                     false,
		`{"detail":{"deep":{"er":[{"exists":true}]}}}`:               false,
		`{"detail":{"ok":[true],"none":[null],"list":[2]}}`:          true,
		`{"$or":[{"source":["x"]},{"detail":{"n":[5]}}]}`:            true,
		`{"source":["s"],"$or":[{"source":["x"]},{"region":["x"]}]}`: false,
	} {
		out, err := b.events.TestEventPattern(t.Context(), &eventbridge.TestEventPatternInput{Event: aws.String(event), EventPattern: &pattern})
		require.NoError(t, err, pattern)
		assert.Equal(t, want, out.Result, pattern)
	}
	for _, pattern := range []string{`{}`, `{"source":"s"}`, `{"source":[]}`, `{"source":[{"regex":"x"}]}`, `nope`} {
		_, err := b.events.TestEventPattern(t.Context(), &eventbridge.TestEventPatternInput{Event: aws.String(event), EventPattern: &pattern})
		var invalid *types.InvalidEventPatternException
		assert.ErrorAs(t, err, &invalid, pattern)
	}
}
