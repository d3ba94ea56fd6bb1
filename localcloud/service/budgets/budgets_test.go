package budgets_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/budgets"
	"github.com/aws/aws-sdk-go-v2/service/budgets/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

const (
	account = localcloud.DefaultAccount
	region  = "us-east-1"
)

func start(t *testing.T) (*localcloud.Cloud, *budgets.Client) {
	t.Helper()
	cloud, err := localcloud.New(localcloud.WithStart(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	return cloud, budgets.NewFromConfig(cloud.Config(region))
}

func requireCode(t *testing.T, want string, err error) {
	t.Helper()
	var refused smithy.APIError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, want, refused.ErrorCode())
}

func monthly(name, limit string) *types.Budget {
	return &types.Budget{
		BudgetName: &name, BudgetType: types.BudgetTypeCost, TimeUnit: types.TimeUnitMonthly,
		BudgetLimit: &types.Spend{Amount: &limit, Unit: aws.String("USD")},
		CostFilters: map[string][]string{"TagKeyValue": {"user:Environment$dev"}}, //nolint:staticcheck // what the provider sends
	}
}

func over(kind types.NotificationType, per float64) *types.Notification {
	return &types.Notification{NotificationType: kind, ComparisonOperator: types.ComparisonOperatorGreaterThan, Threshold: per, ThresholdType: types.ThresholdTypePercentage}
}

func mail(address string) []types.Subscriber {
	return []types.Subscriber{{SubscriptionType: types.SubscriptionTypeEmail, Address: &address}}
}

func TestABudgetIsFoundAgain(t *testing.T) {
	_, c := start(t)
	id, name := aws.String(account), aws.String("secrets")
	_, err := c.CreateBudget(t.Context(), &budgets.CreateBudgetInput{
		AccountId: id, Budget: monthly("secrets", "30"), ResourceTags: []types.ResourceTag{{Key: aws.String("Owner"), Value: aws.String("us")}},
		NotificationsWithSubscribers: []types.NotificationWithSubscribers{{Notification: over(types.NotificationTypeActual, 80), Subscribers: mail("a@b.example")}},
	})
	require.NoError(t, err)
	_, err = c.CreateBudget(t.Context(), &budgets.CreateBudgetInput{AccountId: id, Budget: monthly("secrets", "30")})
	requireCode(t, "DuplicateRecordException", err)

	found, err := c.DescribeBudget(t.Context(), &budgets.DescribeBudgetInput{AccountId: id, BudgetName: name})
	require.NoError(t, err)
	assert.Equal(t, "30", *found.Budget.BudgetLimit.Amount)
	assert.Equal(t, map[string][]string{"TagKeyValue": {"user:Environment$dev"}}, found.Budget.CostFilters) //nolint:staticcheck // what the provider reads
	assert.Equal(t, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), found.Budget.TimePeriod.Start.UTC())
	assert.Equal(t, 2087, found.Budget.TimePeriod.End.Year())

	_, err = c.CreateNotification(t.Context(), &budgets.CreateNotificationInput{AccountId: id, BudgetName: name, Notification: over(types.NotificationTypeForecasted, 100), Subscribers: mail("c@d.example")})
	require.NoError(t, err)
	notifications, err := c.DescribeNotificationsForBudget(t.Context(), &budgets.DescribeNotificationsForBudgetInput{AccountId: id, BudgetName: name})
	require.NoError(t, err)
	require.Len(t, notifications.Notifications, 2)
	told, err := c.DescribeSubscribersForNotification(t.Context(), &budgets.DescribeSubscribersForNotificationInput{AccountId: id, BudgetName: name, Notification: &notifications.Notifications[1]})
	require.NoError(t, err)
	assert.Equal(t, mail("c@d.example"), told.Subscribers)
	_, err = c.DeleteNotification(t.Context(), &budgets.DeleteNotificationInput{AccountId: id, BudgetName: name, Notification: &notifications.Notifications[0]})
	require.NoError(t, err)
	_, err = c.DeleteNotification(t.Context(), &budgets.DeleteNotificationInput{AccountId: id, BudgetName: name, Notification: &notifications.Notifications[0]})
	requireCode(t, "NotFoundException", err)

	_, err = c.UpdateBudget(t.Context(), &budgets.UpdateBudgetInput{AccountId: id, NewBudget: monthly("secrets", "40.5")})
	require.NoError(t, err)
	found, err = c.DescribeBudget(t.Context(), &budgets.DescribeBudgetInput{AccountId: id, BudgetName: name})
	require.NoError(t, err)
	assert.Equal(t, "40.5", *found.Budget.BudgetLimit.Amount)

	arn := aws.String("arn:aws:budgets::" + account + ":budget/secrets")
	_, err = c.TagResource(t.Context(), &budgets.TagResourceInput{ResourceARN: arn, ResourceTags: []types.ResourceTag{{Key: aws.String("A"), Value: aws.String("b")}}})
	require.NoError(t, err)
	_, err = c.UntagResource(t.Context(), &budgets.UntagResourceInput{ResourceARN: arn, ResourceTagKeys: []string{"Owner"}})
	require.NoError(t, err)
	tags, err := c.ListTagsForResource(t.Context(), &budgets.ListTagsForResourceInput{ResourceARN: arn})
	require.NoError(t, err)
	assert.Equal(t, []types.ResourceTag{{Key: aws.String("A"), Value: aws.String("b")}}, tags.ResourceTags)

	_, err = c.DeleteBudget(t.Context(), &budgets.DeleteBudgetInput{AccountId: id, BudgetName: name})
	require.NoError(t, err)
	_, err = c.DescribeBudget(t.Context(), &budgets.DescribeBudgetInput{AccountId: id, BudgetName: name})
	requireCode(t, "NotFoundException", err)
}

func TestWhatIsNoBudgetIsRefused(t *testing.T) {
	_, c := start(t)
	for want, spoil := range map[string]func(*budgets.CreateBudgetInput){
		"AccessDeniedException":     func(in *budgets.CreateBudgetInput) { in.AccountId = aws.String("999999999999") },
		"InvalidParameterException": func(in *budgets.CreateBudgetInput) { in.Budget.BudgetLimit.Amount = aws.String("-1") },
		"CreationLimitExceededException": func(in *budgets.CreateBudgetInput) {
			for per := range 11 {
				in.NotificationsWithSubscribers = append(in.NotificationsWithSubscribers, types.NotificationWithSubscribers{
					Notification: over(types.NotificationTypeActual, float64(per+1)), Subscribers: mail("a@b.example"),
				})
			}
		},
	} {
		in := &budgets.CreateBudgetInput{AccountId: aws.String(account), Budget: monthly("x", "1")}
		spoil(in)
		_, err := c.CreateBudget(t.Context(), in)
		requireCode(t, want, err)
	}
}

// A topic gets each notification once a month, if its policy lets Budgets send.
func TestSpending(t *testing.T) {
	cloud, c := start(t)
	topics, queues := sns.NewFromConfig(cloud.Config(region)), sqs.NewFromConfig(cloud.Config(region))
	topic, err := topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("alerts")})
	require.NoError(t, err)
	queue, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q"), Attributes: map[string]string{
		"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*"}]}`,
	}})
	require.NoError(t, err)
	_, err = topics.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: topic.TopicArn, Protocol: aws.String("sqs"), Endpoint: aws.String("arn:aws:sqs:" + region + ":" + account + ":q")})
	require.NoError(t, err)
	_, err = c.CreateBudget(t.Context(), &budgets.CreateBudgetInput{AccountId: aws.String(account), Budget: monthly("secrets", "30"), NotificationsWithSubscribers: []types.NotificationWithSubscribers{
		{Notification: over(types.NotificationTypeActual, 80), Subscribers: []types.Subscriber{{SubscriptionType: types.SubscriptionTypeSns, Address: topic.TopicArn}}},
		{Notification: over(types.NotificationTypeForecasted, 100), Subscribers: []types.Subscriber{{SubscriptionType: types.SubscriptionTypeSns, Address: topic.TopicArn}}},
	}})
	require.NoError(t, err)
	received := func(actual, forecast float64) int {
		require.NoError(t, cloud.Spend(t.Context(), actual, forecast))
		require.NoError(t, cloud.Settle(t.Context()))
		got, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, MaxNumberOfMessages: 10, VisibilityTimeout: 600})
		require.NoError(t, err)
		return len(got.Messages)
	}
	assert.Zero(t, received(24, 30), "neither is passed")
	assert.Zero(t, received(24.1, 30), "the topic's policy is for its owner alone")
	_, err = topics.SetTopicAttributes(t.Context(), &sns.SetTopicAttributesInput{TopicArn: topic.TopicArn, AttributeName: aws.String("Policy"), AttributeValue: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"budgets.amazonaws.com"},"Action":"sns:Publish","Resource":"` + *topic.TopicArn + `","Condition":{"StringEquals":{"aws:SourceAccount":"` + account + `"},"ArnLike":{"aws:SourceArn":"arn:aws:budgets::` + account + `:*"}}}]}`)})
	require.NoError(t, err)
	assert.Equal(t, 1, received(25, 31), "the forecast; of the actual cost it has tried")
	assert.Zero(t, received(25, 31))
	require.NoError(t, cloud.Advance(t.Context(), 31*24*time.Hour))
	assert.Equal(t, 2, received(25, 31), "another month")
}
