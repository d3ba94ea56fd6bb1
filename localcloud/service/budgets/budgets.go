// Package budgets is the local cloud's AWS Budgets: cost budgets with their
// notifications. What an account spends is what a test says (Service.Spend): the
// emulator bills nobody, so a budget's filters count for nothing. Budgets of usage,
// planned limits, automatic ones and actions are refused.
package budgets

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// Topics is SNS, as Budgets uses it.
type Topics interface {
	Publish(ctx context.Context, caller api.Caller, topicARN, subject, message string) error
}

// Service is AWS Budgets.
type Service struct {
	env    *api.Env
	topics Topics

	mu      sync.Mutex
	budgets map[string]*budget // by ARN, which has the account
}

// New makes a Budgets without budgets.
func New(env *api.Env, topics Topics) *Service {
	return &Service{env: env, topics: topics, budgets: map[string]*budget{}}
}

// Name implements api.Service.
func (s *Service) Name() string { return "budgets" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.JSONRPC{Version: "1.1"} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{
		"CreateBudget":                       api.JSON(s.create),
		"DescribeBudget":                     api.JSON(s.describe),
		"UpdateBudget":                       api.JSON(s.update),
		"DeleteBudget":                       api.JSON(s.delete),
		"CreateNotification":                 api.JSON(s.createNotification),
		"DeleteNotification":                 api.JSON(s.deleteNotification),
		"DescribeNotificationsForBudget":     api.JSON(s.describeNotifications),
		"DescribeSubscribersForNotification": api.JSON(s.describeSubscribers),
		"ListTagsForResource":                api.JSON(s.listTags),
		"TagResource":                        api.JSON(s.tag),
		"UntagResource":                      api.JSON(s.untag),
	}[operation]
}

// budget is one with what it tells whom.
type budget struct {
	details
	tags          map[string]string
	notifications []*notification
}

// details are a budget as the API has it.
type details struct {
	BudgetName  string
	BudgetType  string
	BudgetLimit *spend
	CostFilters map[string][]string `json:",omitempty"`
	TimeUnit    string
	TimePeriod  *period `json:",omitempty"`
}

type spend struct{ Amount, Unit string }

type period struct{ Start, End *api.Time }

// endless is the end of a budget that says none (API reference, "TimePeriod").
var endless = time.Date(2087, 6, 15, 0, 0, 0, 0, time.UTC)

// or returns the period with what it leaves out.
func (p *period) or(other period) *period {
	if p != nil && p.Start != nil {
		other.Start = p.Start
	}
	if p != nil && p.End != nil {
		other.End = p.End
	}
	return &other
}

// condition is when a budget tells, in per cent of its limit.
type condition struct {
	NotificationType   string
	ComparisonOperator string
	Threshold          float64
	ThresholdType      string
}

type subscriber struct{ SubscriptionType, Address string }

type notification struct {
	condition
	subscribers []subscriber
	told        time.Time // beginning of the month of which it has
}

type resourceTag struct{ Key, Value string }

// Quotas of the API reference, "CreateBudget".
const maxNotifications = 10

func arn(account, name string) string { return "arn:aws:budgets::" + account + ":budget/" + name }

func errNotFound(what string) error {
	return api.Errorf("NotFoundException", "%s doesn't exist.", what)
}

func invalid(format string, args ...any) error {
	return api.Errorf("InvalidParameterException", format, args...)
}

// ask asks IAM for an action on the caller's budget. A budget of another account
// isn't the caller's to name.
func (s *Service) ask(ctx context.Context, r *api.Request, action, account, name string) (string, error) {
	id := arn(r.Account, name)
	r.TrailResources = []string{id}
	if err := r.Authorize(ctx, api.Check{Action: "budgets:" + action, Resource: id}); err != nil {
		return "", err
	}
	if account != r.Account {
		return "", api.Errorf("AccessDeniedException", "Account %s is not authorized to see budgets of %s", r.Account, account)
	}
	return id, nil
}

// find returns a budget. s.mu is held.
func (s *Service) find(id string) (*budget, error) {
	if b := s.budgets[id]; b != nil {
		return b, nil
	}
	return nil, errNotFound("Budget " + id[strings.LastIndexByte(id, '/')+1:])
}

func (d details) validate() error {
	if d.BudgetName == "" || len(d.BudgetName) > 100 || strings.ContainsAny(d.BudgetName, `:\`) {
		return invalid("BudgetName %q has to have 1 to 100 characters, none of them : or \\", d.BudgetName)
	}
	if d.BudgetType != "COST" || d.TimeUnit != "MONTHLY" {
		return api.StatusErrorf(501, api.ErrUnsupportedMember, "The emulator has monthly budgets of costs only.")
	}
	if d.BudgetLimit == nil {
		return invalid("BudgetLimit is required")
	}
	if amount, err := strconv.ParseFloat(d.BudgetLimit.Amount, 64); err != nil || amount <= 0 || d.BudgetLimit.Unit != "USD" {
		return invalid("BudgetLimit %+v isn't an amount of USD", *d.BudgetLimit)
	}
	return nil
}

type createInput struct {
	AccountId                    string
	Budget                       details
	NotificationsWithSubscribers []struct {
		Notification condition
		Subscribers  []subscriber
	}
	ResourceTags []resourceTag
}

func (s *Service) create(ctx context.Context, r *api.Request, in *createInput) (*struct{}, error) {
	id, err := s.ask(ctx, r, "ModifyBudget", in.AccountId, in.Budget.BudgetName)
	if err != nil {
		return nil, err
	}
	if err := in.Budget.validate(); err != nil {
		return nil, err
	}
	b := &budget{details: in.Budget, tags: map[string]string{}}
	for _, tag := range in.ResourceTags {
		b.tags[tag.Key] = tag.Value
	}
	for _, told := range in.NotificationsWithSubscribers {
		if err := b.add(told.Notification, told.Subscribers); err != nil {
			return nil, err
		}
	}
	b.TimePeriod = b.TimePeriod.or(period{api.NewTime(month(r.Time)), api.NewTime(endless)})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.budgets[id] != nil {
		return nil, api.Errorf("DuplicateRecordException", "Budget %s already exists.", b.BudgetName)
	}
	s.budgets[id] = b
	return &struct{}{}, nil
}

type nameInput struct{ AccountId, BudgetName string }

type describeOutput struct{ Budget details }

func (s *Service) describe(ctx context.Context, r *api.Request, in *nameInput) (*describeOutput, error) {
	id, err := s.ask(ctx, r, "ViewBudget", in.AccountId, in.BudgetName)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(id)
	if err != nil {
		return nil, err
	}
	return &describeOutput{b.details}, nil
}

type updateInput struct {
	AccountId string
	NewBudget details
}

func (s *Service) update(ctx context.Context, r *api.Request, in *updateInput) (*struct{}, error) {
	id, err := s.ask(ctx, r, "ModifyBudget", in.AccountId, in.NewBudget.BudgetName)
	if err != nil {
		return nil, err
	}
	if err := in.NewBudget.validate(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(id)
	if err != nil {
		return nil, err
	}
	in.NewBudget.TimePeriod = in.NewBudget.TimePeriod.or(*b.TimePeriod)
	b.details = in.NewBudget
	return &struct{}{}, nil
}

func (s *Service) delete(ctx context.Context, r *api.Request, in *nameInput) (*struct{}, error) {
	id, err := s.ask(ctx, r, "ModifyBudget", in.AccountId, in.BudgetName)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.find(id); err != nil {
		return nil, err
	}
	delete(s.budgets, id)
	return &struct{}{}, nil
}

type tagInput struct {
	ResourceARN     string
	ResourceTags    []resourceTag
	ResourceTagKeys []string
}

type tagsOutput struct{ ResourceTags []resourceTag }

// tagged returns the budget of a request about its tags, whose ARN names it.
func (s *Service) tagged(ctx context.Context, r *api.Request, action string, in *tagInput) (*budget, error) {
	r.TrailResources = []string{in.ResourceARN}
	if err := r.Authorize(ctx, api.Check{Action: "budgets:" + action, Resource: in.ResourceARN}); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(in.ResourceARN, arn(r.Account, "")) {
		return nil, errNotFound(in.ResourceARN)
	}
	return s.find(in.ResourceARN)
}

func (s *Service) listTags(ctx context.Context, r *api.Request, in *tagInput) (*tagsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.tagged(ctx, r, "ListTagsForResource", in)
	if err != nil {
		return nil, err
	}
	out := &tagsOutput{ResourceTags: []resourceTag{}}
	for _, key := range slices.Sorted(maps.Keys(b.tags)) {
		out.ResourceTags = append(out.ResourceTags, resourceTag{key, b.tags[key]})
	}
	return out, nil
}

func (s *Service) tag(ctx context.Context, r *api.Request, in *tagInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.tagged(ctx, r, "TagResource", in)
	if err != nil {
		return nil, err
	}
	for _, tag := range in.ResourceTags {
		b.tags[tag.Key] = tag.Value
	}
	return &struct{}{}, nil
}

func (s *Service) untag(ctx context.Context, r *api.Request, in *tagInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.tagged(ctx, r, "UntagResource", in)
	if err != nil {
		return nil, err
	}
	for _, key := range in.ResourceTagKeys {
		delete(b.tags, key)
	}
	return &struct{}{}, nil
}

// month is the beginning of a time's, in UTC, in which AWS bills.
func month(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// Spend says what all that an account's budgets are about has cost in this month,
// and will have by its end, in USD. Each notification whose threshold that passes
// is sent, once a month.
func (s *Service) Spend(ctx context.Context, account string, actual, forecast float64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := month(s.env.Clock.Now())
	for _, id := range slices.Sorted(maps.Keys(s.budgets)) {
		b := s.budgets[id]
		if !strings.HasPrefix(id, arn(account, "")) {
			continue
		}
		limit, err := strconv.ParseFloat(b.BudgetLimit.Amount, 64)
		if err != nil {
			return fmt.Errorf("budget %s: %w", id, err)
		}
		for _, n := range b.notifications {
			amount := actual
			if n.NotificationType == "FORECASTED" {
				amount = forecast
			}
			if n.told.Equal(now) || !n.passed(amount, limit) {
				continue
			}
			n.told = now
			s.tell(ctx, account, id, fmt.Sprintf("Budget %s: %s cost of %.2f USD against a limit of %s USD (alert threshold: %s %g%%)",
				b.BudgetName, strings.ToLower(n.NotificationType), amount, b.BudgetLimit.Amount, n.ComparisonOperator, n.Threshold), n.subscribers)
		}
	}
	return nil
}

// tell sends a message to the topics among subscribers, as Budgets itself: the
// topic's policy and its key's must allow it. No mail leaves the emulator.
func (s *Service) tell(ctx context.Context, account, id, message string, subscribers []subscriber) {
	ctx = context.WithoutCancel(ctx)
	for _, to := range subscribers {
		if to.SubscriptionType != "SNS" {
			continue
		}
		s.env.Clock.Go(func() {
			caller := api.Caller{Account: account, Service: "budgets.amazonaws.com", SourceARN: id}
			if err := s.topics.Publish(ctx, caller, to.Address, "AWS Budgets", message); err != nil {
				s.env.Log.WarnContext(ctx, "a budget's notification failed", "budget", id, "topic", to.Address, "error", err)
			}
		})
	}
}
