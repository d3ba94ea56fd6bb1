package handlers

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/budgets"
	budgettypes "github.com/aws/aws-sdk-go-v2/service/budgets/types"
)

// budget is an AWS budget of costs with a fixed limit; its ID is its account and
// its name.
type budget struct {
	AccountID       string               `json:"accountId" prop:"in,out,replace"`
	ARN             string               `json:"arn" prop:"out"`
	BudgetType      string               `json:"budgetType" prop:"in,required"`
	CostFilters     []costFilter         `json:"costFilters" prop:"in,out,set"`
	LimitAmount     string               `json:"limitAmount" prop:"in,out"`
	LimitUnit       string               `json:"limitUnit" prop:"in,out"`
	Name            string               `json:"name" prop:"in,replace,auto=100"`
	NamePrefix      string               `json:"namePrefix" prop:"in,out,replace,writeonly"`
	Notifications   []budgetNotification `json:"notifications,omitempty" prop:"in,set"`
	TimePeriodEnd   string               `json:"timePeriodEnd" prop:"in,default=\"2087-06-15_00:00\""`
	TimePeriodStart string               `json:"timePeriodStart" prop:"in,out"`
	TimeUnit        string               `json:"timeUnit" prop:"in,required"`
	tagged
}

type costFilter struct {
	Name   string   `json:"name" prop:"in,required,key"`
	Values []string `json:"values" prop:"in,required"`
}

type budgetNotification struct {
	ComparisonOperator       string   `json:"comparisonOperator" prop:"in,required"`
	NotificationType         string   `json:"notificationType" prop:"in,required,key"`
	SubscriberEmailAddresses []string `json:"subscriberEmailAddresses,omitempty" prop:"in,set"`
	SubscriberSNSTopicARNs   []string `json:"subscriberSnsTopicArns,omitempty" prop:"in,set"`
	Threshold                float64  `json:"threshold" prop:"in,required,key"`
	ThresholdType            string   `json:"thresholdType" prop:"in,required"`
}

func budgetKind() resourceType {
	return kind[budget]{
		token: "aws:budgets/budget:Budget",
		check: func(b *budget) error {
			for _, text := range []string{b.TimePeriodStart, b.TimePeriodEnd} {
				if _, err := budgetTime(text); err != nil {
					return err
				}
			}
			return nil
		},
		create: func(ctx context.Context, c *clients, b *budget) (string, error) {
			name, err := nameOrPrefix(b.Name, b.NamePrefix)
			if err != nil {
				return "", err
			}
			account := b.AccountID
			if account == "" {
				if account, err = c.accountID(ctx); err != nil {
					return "", err
				}
			}
			asked, err := b.request(name)
			if err != nil {
				return "", err
			}
			_, err = c.budgets.CreateBudget(ctx, &budgets.CreateBudgetInput{AccountId: &account, Budget: asked, ResourceTags: tagList(b.Tags, budgetTag)})
			if err != nil {
				return "", err
			}
			id := account + ":" + name
			return id, notify(ctx, c, id, b.Notifications)
		},
		read:   readBudget,
		update: updateBudget,
		remove: func(ctx context.Context, c *clients, id string, _ *budget) error {
			account, name, _ := strings.Cut(id, ":")
			_, err := c.budgets.DeleteBudget(ctx, &budgets.DeleteBudgetInput{AccountId: &account, BudgetName: &name})
			return unlessGone[*budgettypes.NotFoundException](err)
		},
	}
}

func budgetTag(key, value string) budgettypes.ResourceTag {
	return budgettypes.ResourceTag{Key: &key, Value: &value}
}

// budgetLayout is how the provider writes the ends of a period.
const budgetLayout = "2006-01-02_15:04"

func budgetTime(text string) (*time.Time, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // AWS decides
	}
	at, err := time.Parse(budgetLayout, text)
	return &at, err
}

func (b *budget) request(name string) (*budgettypes.Budget, error) {
	from, err := budgetTime(b.TimePeriodStart)
	if err != nil {
		return nil, err
	}
	to, err := budgetTime(b.TimePeriodEnd)
	if err != nil {
		return nil, err
	}
	asked := &budgettypes.Budget{
		BudgetName: &name, BudgetType: budgettypes.BudgetType(b.BudgetType), TimeUnit: budgettypes.TimeUnit(b.TimeUnit),
		BudgetLimit: &budgettypes.Spend{Amount: &b.LimitAmount, Unit: &b.LimitUnit},
		TimePeriod:  &budgettypes.TimePeriod{Start: from, End: to},
	}
	filters := map[string][]string{}
	for _, filter := range b.CostFilters {
		filters[filter.Name] = append(filters[filter.Name], filter.Values...)
	}
	asked.CostFilters = filters //nolint:staticcheck // what the provider sends
	return asked, nil
}

func (n budgetNotification) request() *budgettypes.Notification {
	return &budgettypes.Notification{
		ComparisonOperator: budgettypes.ComparisonOperator(n.ComparisonOperator), NotificationType: budgettypes.NotificationType(n.NotificationType),
		Threshold: n.Threshold, ThresholdType: budgettypes.ThresholdType(n.ThresholdType),
	}
}

// notify makes a budget's notifications.
func notify(ctx context.Context, c *clients, id string, notifications []budgetNotification) error {
	account, name, _ := strings.Cut(id, ":")
	for _, n := range notifications {
		var to []budgettypes.Subscriber
		for _, address := range n.SubscriberEmailAddresses {
			to = append(to, budgettypes.Subscriber{SubscriptionType: budgettypes.SubscriptionTypeEmail, Address: aws.String(address)})
		}
		for _, topic := range n.SubscriberSNSTopicARNs {
			to = append(to, budgettypes.Subscriber{SubscriptionType: budgettypes.SubscriptionTypeSns, Address: aws.String(topic)})
		}
		if _, err := c.budgets.CreateNotification(ctx, &budgets.CreateNotificationInput{AccountId: &account, BudgetName: &name, Notification: n.request(), Subscribers: to}); err != nil {
			return err
		}
	}
	return nil
}

func readBudget(ctx context.Context, c *clients, id string, b *budget) error {
	account, name, _ := strings.Cut(id, ":")
	got, err := c.budgets.DescribeBudget(ctx, &budgets.DescribeBudgetInput{AccountId: &account, BudgetName: &name})
	if err != nil {
		return gone[*budgettypes.NotFoundException](err)
	}
	actual := got.Budget
	*b = budget{
		AccountID: account, ARN: "arn:" + c.partition() + ":budgets::" + account + ":budget/" + name,
		BudgetType: string(actual.BudgetType), TimeUnit: string(actual.TimeUnit), Name: name, NamePrefix: b.NamePrefix,
		LimitAmount: keepSpelling(b.LimitAmount, aws.ToString(actual.BudgetLimit.Amount), sameAmount), LimitUnit: aws.ToString(actual.BudgetLimit.Unit),
		TimePeriodStart: actual.TimePeriod.Start.UTC().Format(budgetLayout), TimePeriodEnd: actual.TimePeriod.End.UTC().Format(budgetLayout),
	}
	filters := actual.CostFilters //nolint:staticcheck // what the provider reads
	for _, name := range slices.Sorted(maps.Keys(filters)) {
		b.CostFilters = append(b.CostFilters, costFilter{name, filters[name]})
	}
	pages := budgets.NewDescribeNotificationsForBudgetPaginator(c.budgets, &budgets.DescribeNotificationsForBudgetInput{AccountId: &account, BudgetName: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, n := range page.Notifications {
			found := budgetNotification{
				ComparisonOperator: string(n.ComparisonOperator), NotificationType: string(n.NotificationType), Threshold: n.Threshold, ThresholdType: string(n.ThresholdType),
			}
			told, err := c.budgets.DescribeSubscribersForNotification(ctx, &budgets.DescribeSubscribersForNotificationInput{AccountId: &account, BudgetName: &name, Notification: &n})
			if err != nil {
				return err
			}
			for _, to := range told.Subscribers {
				if to.SubscriptionType == budgettypes.SubscriptionTypeSns {
					found.SubscriberSNSTopicARNs = append(found.SubscriberSNSTopicARNs, aws.ToString(to.Address))
				} else {
					found.SubscriberEmailAddresses = append(found.SubscriberEmailAddresses, aws.ToString(to.Address))
				}
			}
			b.Notifications = append(b.Notifications, found)
		}
	}
	listed, err := c.budgets.ListTagsForResource(ctx, &budgets.ListTagsForResourceInput{ResourceARN: &b.ARN})
	if err != nil {
		return err
	}
	b.setTags(tagMap(listed.ResourceTags, func(tag budgettypes.ResourceTag) (key, value *string) { return tag.Key, tag.Value }))
	return nil
}

// sameAmount compares amounts, of which AWS has its own spelling: 30 is 30.0.
func sameAmount(a, b string) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && x == y
}

// updateBudget makes all notifications anew, as the provider does: what they have
// told they tell again.
func updateBudget(ctx context.Context, c *clients, id string, old, b *budget) error {
	account, name, _ := strings.Cut(id, ":")
	asked, err := b.request(name)
	if err != nil {
		return err
	}
	if _, err := c.budgets.UpdateBudget(ctx, &budgets.UpdateBudgetInput{AccountId: &account, NewBudget: asked}); err != nil {
		return err
	}
	if !slices.EqualFunc(old.Notifications, b.Notifications, sameNotification) {
		for _, n := range old.Notifications {
			_, err := c.budgets.DeleteNotification(ctx, &budgets.DeleteNotificationInput{AccountId: &account, BudgetName: &name, Notification: n.request()})
			if err := unlessGone[*budgettypes.NotFoundException](err); err != nil {
				return err
			}
		}
		if err := notify(ctx, c, id, b.Notifications); err != nil {
			return err
		}
	}
	arn := "arn:" + c.partition() + ":budgets::" + account + ":budget/" + name
	put, remove := tagChanges(old.Tags, b.Tags)
	if len(remove) > 0 {
		if _, err := c.budgets.UntagResource(ctx, &budgets.UntagResourceInput{ResourceARN: &arn, ResourceTagKeys: remove}); err != nil {
			return err
		}
	}
	if len(put) > 0 {
		if _, err := c.budgets.TagResource(ctx, &budgets.TagResourceInput{ResourceARN: &arn, ResourceTags: tagList(put, budgetTag)}); err != nil {
			return err
		}
	}
	return nil
}

func sameNotification(a, b budgetNotification) bool {
	return *a.request() == *b.request() && slices.Equal(a.SubscriberEmailAddresses, b.SubscriberEmailAddresses) && slices.Equal(a.SubscriberSNSTopicARNs, b.SubscriberSNSTopicARNs)
}
