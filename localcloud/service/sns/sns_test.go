package sns_test

import (
	"encoding/json"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventstypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

const region = "us-east-1"

type bench struct {
	cloud  *localcloud.Cloud
	topics *sns.Client
	queues *sqs.Client
	events *eventbridge.Client
}

func newBench(t *testing.T) bench {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	config := cloud.Config(region)
	return bench{cloud, sns.NewFromConfig(config), sqs.NewFromConfig(config), eventbridge.NewFromConfig(config)}
}

// topic makes a topic with a queue that gets its messages.
func (b bench) topic(t *testing.T, attributes map[string]string) (topic, queue string) {
	t.Helper()
	made, err := b.topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("alerts"), Attributes: attributes})
	require.NoError(t, err)
	arn := "arn:aws:sqs:" + region + ":" + b.cloud.Account() + ":inbox"
	q, err := b.queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("inbox"), Attributes: map[string]string{
		"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"` + arn + `","Condition":{"ArnEquals":{"aws:SourceArn":"` + *made.TopicArn + `"}}}]}`,
	}})
	require.NoError(t, err)
	_, err = b.topics.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: made.TopicArn, Protocol: aws.String("sqs"), Endpoint: &arn})
	require.NoError(t, err)
	return *made.TopicArn, *q.QueueUrl
}

func (b bench) received(t *testing.T, queue string) []map[string]any {
	t.Helper()
	require.NoError(t, b.cloud.Settle(t.Context()))
	out, err := b.queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &queue, MaxNumberOfMessages: 10})
	require.NoError(t, err)
	var messages []map[string]any
	for _, m := range out.Messages {
		var message map[string]any
		require.NoError(t, json.Unmarshal([]byte(*m.Body), &message))
		messages = append(messages, message)
	}
	return messages
}

func TestMessagesReachTheQueue(t *testing.T) {
	b := newBench(t)
	topic, queue := b.topic(t, nil)
	published, err := b.topics.Publish(t.Context(), &sns.PublishInput{TopicArn: &topic, Subject: aws.String("rotation"), Message: aws.String("it failed"),
		MessageAttributes: map[string]snstypes.MessageAttributeValue{"severity": {DataType: aws.String("String"), StringValue: aws.String("high")}}})
	require.NoError(t, err)
	got := b.received(t, queue)
	require.Len(t, got, 1)
	assert.Equal(t, map[string]any{"severity": map[string]any{"Type": "String", "Value": "high"}}, got[0]["MessageAttributes"])
	assert.Equal(t, "Notification", got[0]["Type"])
	assert.Equal(t, "rotation", got[0]["Subject"])
	assert.Equal(t, "it failed", got[0]["Message"])
	assert.Equal(t, *published.MessageId, got[0]["MessageId"])
	assert.Equal(t, topic, got[0]["TopicArn"])
}

func TestAPersonConfirmsFirst(t *testing.T) {
	b := newBench(t)
	topic, _ := b.topic(t, nil)
	made, err := b.topics.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topic, Protocol: aws.String("email"), Endpoint: aws.String("team@example.com")})
	require.NoError(t, err)
	assert.Equal(t, "pending confirmation", *made.SubscriptionArn)
	listed, err := b.topics.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: &topic})
	require.NoError(t, err)
	require.Len(t, listed.Subscriptions, 2)
	assert.Equal(t, "PendingConfirmation", *listed.Subscriptions[1].SubscriptionArn)
}

// A rule's messages pass only if the topic's policy and its key's let
// EventBridge do so.
func TestARuleNeedsTheTopicsPolicy(t *testing.T) {
	for name, test := range map[string]struct {
		policy string
		want   int
	}{
		"allowed":     {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sns:Publish","Resource":"*"}]}`, 1},
		"not allowed": {"", 0},
		"with a condition, which EventBridge doesn't support": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sns:Publish","Resource":"*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:events:*:*:rule/*"}}}]}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			topic, queue := b.topic(t, nil)
			if test.policy != "" {
				_, err := b.topics.SetTopicAttributes(t.Context(), &sns.SetTopicAttributesInput{TopicArn: &topic, AttributeName: aws.String("Policy"), AttributeValue: &test.policy})
				require.NoError(t, err)
			}
			_, err := b.events.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("r"), EventPattern: aws.String(`{"source":["test"]}`)})
			require.NoError(t, err)
			_, err = b.events.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("r"), Targets: []eventstypes.Target{{Id: aws.String("1"), Arn: &topic}}})
			require.NoError(t, err)
			_, err = b.events.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []eventstypes.PutEventsRequestEntry{
				{Source: aws.String("test"), DetailType: aws.String("d"), Detail: aws.String("{}")},
			}})
			require.NoError(t, err)
			assert.Len(t, b.received(t, queue), test.want)
		})
	}
}

func TestTagsAndAttributes(t *testing.T) {
	b := newBench(t)
	made, err := b.topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("x"), Tags: []snstypes.Tag{{Key: aws.String("Owner"), Value: aws.String("platform")}}})
	require.NoError(t, err)
	_, err = b.topics.TagResource(t.Context(), &sns.TagResourceInput{ResourceArn: made.TopicArn, Tags: []snstypes.Tag{{Key: aws.String("Service"), Value: aws.String("orders")}}})
	require.NoError(t, err)
	_, err = b.topics.UntagResource(t.Context(), &sns.UntagResourceInput{ResourceArn: made.TopicArn, TagKeys: []string{"Owner"}})
	require.NoError(t, err)
	tags, err := b.topics.ListTagsForResource(t.Context(), &sns.ListTagsForResourceInput{ResourceArn: made.TopicArn})
	require.NoError(t, err)
	require.Len(t, tags.Tags, 1)
	assert.Equal(t, "Service", *tags.Tags[0].Key)
	got, err := b.topics.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: made.TopicArn})
	require.NoError(t, err)
	assert.Equal(t, b.cloud.Account(), got.Attributes["Owner"])
	assert.Contains(t, got.Attributes["Policy"], "__default_policy_ID")

	_, err = b.topics.DeleteTopic(t.Context(), &sns.DeleteTopicInput{TopicArn: made.TopicArn})
	require.NoError(t, err)
	_, err = b.topics.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: made.TopicArn})
	var none *snstypes.NotFoundException
	assert.ErrorAs(t, err, &none)
}
