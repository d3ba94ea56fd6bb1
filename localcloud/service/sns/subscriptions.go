package sns

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

type subscribeInput struct {
	TopicArn, Protocol, Endpoint string
	Attributes                   map[string]string
	ReturnSubscriptionArn        *bool
}

type subscriptionOutput struct{ SubscriptionArn string }

// pendingARN is what stands for the ARN of a subscription that isn't confirmed.
const pendingARN = "pending confirmation"

func (s *Service) subscribe(ctx context.Context, r *api.Request, in *subscribeInput) (*subscriptionOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TopicArn, "Subscribe")
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	for _, x := range t.subscriptions {
		if x.protocol == in.Protocol && x.endpoint == in.Endpoint {
			return x.shown(in.ReturnSubscriptionArn), nil
		}
	}
	// Who owns the endpoint confirms at once; people and web servers must say so.
	own := in.Protocol == "sqs" || in.Protocol == "lambda" || in.Protocol == "sms"
	x := &subscription{
		arn: t.arn + ":" + uuid.NewString(), owner: r.Account, topic: t, protocol: in.Protocol, endpoint: in.Endpoint,
		attributes: map[string]string{}, pending: !own, token: strings.ReplaceAll(uuid.NewString(), "-", ""),
	}
	for name, value := range in.Attributes {
		x.attributes[name] = value
	}
	t.subscriptions = append(t.subscriptions, x)
	if x.pending {
		s.sent = append(s.sent, Message{t.arn, x.protocol, x.endpoint, "AWS Notification - Subscription Confirmation", "Token: " + x.token, s.env.Clock.Now()})
	}
	return x.shown(in.ReturnSubscriptionArn), nil
}

func (x *subscription) shown(always *bool) *subscriptionOutput {
	if x.pending && (always == nil || !*always) {
		return &subscriptionOutput{pendingARN}
	}
	return &subscriptionOutput{x.arn}
}

func (in *subscribeInput) check() error {
	for name := range in.Attributes {
		if err := checkAttribute(name, ofSubscribe); err != nil {
			return err
		}
	}
	switch in.Protocol {
	case "sqs", "lambda":
		if !strings.HasPrefix(in.Endpoint, "arn:aws:"+in.Protocol+":") {
			return invalid("Invalid parameter: %s endpoint ARN", in.Protocol)
		}
	case "email", "email-json":
		if !strings.Contains(in.Endpoint, "@") {
			return invalid("Invalid parameter: Email address")
		}
	case "http", "https":
		if !strings.HasPrefix(in.Endpoint, in.Protocol+"://") {
			return invalid("Invalid parameter: Endpoint must match the specified protocol")
		}
	case "sms":
	default:
		return invalid("Invalid parameter: Does not support this protocol string: %s", in.Protocol)
	}
	return nil
}

type confirmInput struct{ TopicArn, Token, AuthenticateOnUnsubscribe string }

func (s *Service) confirm(ctx context.Context, r *api.Request, in *confirmInput) (*subscriptionOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TopicArn, "ConfirmSubscription")
	if err != nil {
		return nil, err
	}
	for _, x := range t.subscriptions {
		if x.token == in.Token {
			x.pending = false
			return &subscriptionOutput{x.arn}, nil
		}
	}
	return nil, invalid("Invalid token")
}

// openSubscription finds a subscription and asks whether the caller may do
// action to its topic. s.mu is held.
func (s *Service) openSubscription(ctx context.Context, r *api.Request, arn, action string) (*subscription, error) {
	at := strings.LastIndex(arn, ":")
	if at < 0 {
		r.AllowAll()
		return nil, invalid("Invalid parameter: SubscriptionArn")
	}
	t := s.topics[arn[:at]]
	check := api.Check{Action: "sns:" + action, Resource: arn[:at]}
	if t != nil {
		check.ResourcePolicy = t.attribute("Policy")
	}
	if err := r.Authorize(ctx, check); err != nil {
		return nil, err
	}
	if t != nil {
		for _, x := range t.subscriptions {
			if x.arn == arn {
				return x, nil
			}
		}
	}
	return nil, api.StatusErrorf(http.StatusNotFound, "NotFound", "Subscription does not exist")
}

type subscriptionInput struct{ SubscriptionArn string }

func (s *Service) unsubscribe(ctx context.Context, r *api.Request, in *subscriptionInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, err := s.openSubscription(ctx, r, in.SubscriptionArn, "Unsubscribe")
	if err != nil {
		return nil, err
	}
	if x.pending {
		return nil, invalid("Invalid parameter: SubscriptionArn Reason: It is not possible to unsubscribe a subscription that is pending confirmation")
	}
	x.topic.subscriptions = slices.DeleteFunc(x.topic.subscriptions, func(y *subscription) bool { return y == x })
	return nil, nil
}

type subscriptionMember struct{ SubscriptionArn, Owner, Protocol, Endpoint, TopicArn string }

type subscriptionsOutput struct {
	Subscriptions []subscriptionMember `xml:"Subscriptions>member"`
}

func (o *subscriptionsOutput) add(t *topic) {
	for _, x := range t.subscriptions {
		m := subscriptionMember{x.arn, x.owner, x.protocol, x.endpoint, t.arn}
		if x.pending {
			m.SubscriptionArn = "PendingConfirmation"
		}
		o.Subscriptions = append(o.Subscriptions, m)
	}
}

func (s *Service) listSubscriptions(ctx context.Context, r *api.Request, _ *listInput) (*subscriptionsOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "sns:ListSubscriptions", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &subscriptionsOutput{}
	for arn, t := range s.topics {
		if strings.HasPrefix(arn, r.ARN("sns", "")) {
			out.add(t)
		}
	}
	slices.SortFunc(out.Subscriptions, func(a, b subscriptionMember) int {
		return strings.Compare(a.TopicArn+a.Endpoint, b.TopicArn+b.Endpoint)
	})
	return out, nil
}

type byTopicInput struct{ TopicArn, NextToken string }

func (s *Service) listSubscriptionsByTopic(ctx context.Context, r *api.Request, in *byTopicInput) (*subscriptionsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TopicArn, "ListSubscriptionsByTopic")
	if err != nil {
		return nil, err
	}
	out := &subscriptionsOutput{}
	out.add(t)
	return out, nil
}

func (s *Service) getSubscriptionAttributes(ctx context.Context, r *api.Request, in *subscriptionInput) (*attributesOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, err := s.openSubscription(ctx, r, in.SubscriptionArn, "GetSubscriptionAttributes")
	if err != nil {
		return nil, err
	}
	all := map[string]string{
		"SubscriptionArn": x.arn, "TopicArn": x.topic.arn, "Owner": x.owner, "Protocol": x.protocol, "Endpoint": x.endpoint,
		"PendingConfirmation": "false", "ConfirmationWasAuthenticated": "true", "RawMessageDelivery": "false",
	}
	if x.pending {
		all["PendingConfirmation"], all["ConfirmationWasAuthenticated"] = "true", "false"
	}
	for name, value := range x.attributes {
		all[name] = value
	}
	return attributesOf(all), nil
}

type setSubscriptionAttributesInput struct{ SubscriptionArn, AttributeName, AttributeValue string }

func (s *Service) setSubscriptionAttributes(ctx context.Context, r *api.Request, in *setSubscriptionAttributesInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, err := s.openSubscription(ctx, r, in.SubscriptionArn, "SetSubscriptionAttributes")
	if err != nil {
		return nil, err
	}
	if err := checkAttribute(in.AttributeName, ofSubscribe); err != nil {
		return nil, err
	}
	x.attributes[in.AttributeName] = in.AttributeValue
	return nil, nil
}
