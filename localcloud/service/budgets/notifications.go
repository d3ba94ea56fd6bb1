package budgets

import (
	"context"
	"slices"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

// add adds a notification.
func (b *budget) add(c condition, subscribers []subscriber) error {
	if c.ThresholdType == "" {
		c.ThresholdType = "PERCENTAGE"
	}
	switch {
	case c.NotificationType != "ACTUAL" && c.NotificationType != "FORECASTED":
		return invalid("NotificationType %q: ACTUAL or FORECASTED", c.NotificationType)
	case c.ComparisonOperator != "GREATER_THAN":
		return api.StatusErrorf(501, api.ErrUnsupportedMember, "The emulator compares with GREATER_THAN only.")
	case c.ThresholdType != "PERCENTAGE" && c.ThresholdType != "ABSOLUTE_VALUE":
		return invalid("ThresholdType %q: PERCENTAGE or ABSOLUTE_VALUE", c.ThresholdType)
	case c.Threshold <= 0:
		return invalid("Threshold %g isn't positive", c.Threshold)
	case len(subscribers) == 0 || len(subscribers) > 11:
		return invalid("A notification has 1 to 11 subscribers, of which one can be a topic")
	case len(b.notifications) >= maxNotifications:
		return api.Errorf("CreationLimitExceededException", "A budget has up to %d notifications", maxNotifications)
	case b.notification(c) != nil:
		return api.Errorf("DuplicateRecordException", "The notification already exists.")
	}
	topics := 0
	for _, to := range subscribers {
		switch {
		case to.SubscriptionType == "SNS" && strings.HasPrefix(to.Address, "arn:"):
			topics++
		case to.SubscriptionType == "EMAIL" && strings.Contains(to.Address, "@"):
		default:
			return invalid("Subscriber %+v is neither an SNS topic nor an EMAIL address", to)
		}
	}
	if topics > 1 {
		return invalid("A notification has one topic")
	}
	b.notifications = append(b.notifications, &notification{condition: c, subscribers: subscribers})
	return nil
}

// notification finds the one of a condition.
func (b *budget) notification(c condition) *notification {
	if i := slices.IndexFunc(b.notifications, func(n *notification) bool { return n.condition == c }); i >= 0 {
		return b.notifications[i]
	}
	return nil
}

// passed reports whether an amount is over the threshold.
func (c condition) passed(amount, limit float64) bool {
	if c.ThresholdType == "ABSOLUTE_VALUE" {
		return amount > c.Threshold
	}
	return 100*amount > c.Threshold*limit
}

type notificationInput struct {
	AccountId, BudgetName string
	Notification          condition
	Subscribers           []subscriber
	MaxResults            *int
	NextToken             string
}

type notificationsOutput struct{ Notifications []condition }

type subscribersOutput struct{ Subscribers []subscriber }

// on does something with the budget of a request about its notifications.
func (s *Service) on(ctx context.Context, r *api.Request, action string, in *notificationInput, do func(*budget) error) error {
	id, err := s.ask(ctx, r, action, in.AccountId, in.BudgetName)
	if err != nil {
		return err
	}
	if in.Notification.ThresholdType == "" {
		in.Notification.ThresholdType = "PERCENTAGE"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(id)
	if err != nil {
		return err
	}
	return do(b)
}

func (s *Service) createNotification(ctx context.Context, r *api.Request, in *notificationInput) (*struct{}, error) {
	return &struct{}{}, s.on(ctx, r, "ModifyBudget", in, func(b *budget) error { return b.add(in.Notification, in.Subscribers) })
}

func (s *Service) deleteNotification(ctx context.Context, r *api.Request, in *notificationInput) (*struct{}, error) {
	return &struct{}{}, s.on(ctx, r, "ModifyBudget", in, func(b *budget) error {
		n := b.notification(in.Notification)
		if n == nil {
			return errNotFound("The notification")
		}
		b.notifications = slices.DeleteFunc(b.notifications, func(other *notification) bool { return other == n })
		return nil
	})
}

// describeNotifications answers in one page: a budget has few.
func (s *Service) describeNotifications(ctx context.Context, r *api.Request, in *notificationInput) (*notificationsOutput, error) {
	out := &notificationsOutput{Notifications: []condition{}}
	return out, s.on(ctx, r, "ViewBudget", in, func(b *budget) error {
		for _, n := range b.notifications {
			out.Notifications = append(out.Notifications, n.condition)
		}
		return nil
	})
}

func (s *Service) describeSubscribers(ctx context.Context, r *api.Request, in *notificationInput) (*subscribersOutput, error) {
	out := &subscribersOutput{}
	return out, s.on(ctx, r, "ViewBudget", in, func(b *budget) error {
		n := b.notification(in.Notification)
		if n == nil {
			return errNotFound("The notification")
		}
		out.Subscribers = n.subscribers
		return nil
	})
}
