// Package sns is the local cloud's Amazon Simple Notification Service: standard
// topics with policies and subscriptions. Messages go to SQS queues and Lambda
// functions; for people (email, sms) and addresses on the Internet (http,
// https) it keeps them, to be looked at with Sent. FIFO topics, filter policies,
// mobile push and message attributes are refused.
package sns

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

// principal is who calls the targets of subscriptions.
const principal = "sns.amazonaws.com"

// Service is Amazon Simple Notification Service.
type Service struct {
	env       *api.Env
	queues    queues
	functions functions
	keys      keys

	mu     sync.Mutex
	topics map[string]*topic // by ARN
	sent   []Message
}

type topic struct {
	arn, account  string
	attributes    map[string]string
	tags          map[string]string
	subscriptions []*subscription // in the order in which they were made
}

type subscription struct {
	arn, owner         string
	topic              *topic
	protocol, endpoint string
	attributes         map[string]string
	pending            bool
	token              string // that confirms it
}

// Message is one that a topic sent to somebody outside of the local cloud.
type Message struct {
	TopicARN, Protocol, Endpoint string
	Subject, Text                string
	Time                         time.Time
}

type queues interface {
	Send(ctx context.Context, caller api.Caller, queueARN string, body []byte) error
}

type functions interface {
	InvokeAsync(ctx context.Context, caller api.Caller, functionARN string, payload []byte) error
}

// keys is what SNS needs of KMS for topics that are encrypted: who publishes
// must be able to use the topic's key.
type keys interface {
	Encrypt(ctx context.Context, caller api.Caller, region, keyID string, plaintext []byte, encryptionContext map[string]string) (ciphertext []byte, keyARN string, err error)
}

// New makes an SNS without topics.
func New(env *api.Env, q queues, f functions, k keys) *Service {
	return &Service{env: env, queues: q, functions: f, keys: k, topics: map[string]*topic{}}
}

// Name implements api.Service.
func (s *Service) Name() string { return "sns" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol {
	return api.Query{Namespace: "http://sns.amazonaws.com/doc/2010-03-31/"}
}

// SensitiveMembers implements api.Sensitive.
func (s *Service) SensitiveMembers() []string { return []string{"Message"} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{
		"CreateTopic":               api.FormXML(s.createTopic),
		"DeleteTopic":               api.FormXML(s.deleteTopic),
		"ListTopics":                api.FormXML(s.listTopics),
		"GetTopicAttributes":        api.FormXML(s.getTopicAttributes),
		"SetTopicAttributes":        api.FormXML(s.setTopicAttributes),
		"Subscribe":                 api.FormXML(s.subscribe),
		"ConfirmSubscription":       api.FormXML(s.confirm),
		"Unsubscribe":               api.FormXML(s.unsubscribe),
		"ListSubscriptions":         api.FormXML(s.listSubscriptions),
		"ListSubscriptionsByTopic":  api.FormXML(s.listSubscriptionsByTopic),
		"GetSubscriptionAttributes": api.FormXML(s.getSubscriptionAttributes),
		"SetSubscriptionAttributes": api.FormXML(s.setSubscriptionAttributes),
		"Publish":                   api.FormXML(s.publish),
		"TagResource":               api.FormXML(s.tagResource),
		"UntagResource":             api.FormXML(s.untagResource),
		"ListTagsForResource":       api.FormXML(s.listTags),
	}[operation]
}

// Sent returns the messages that went to people or out of the local cloud,
// oldest first.
func (s *Service) Sent() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

var (
	nameForm    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)
	settable    = []string{"DeliveryPolicy", "DisplayName", "KmsMasterKeyId", "Policy", "SignatureVersion", "TracingConfig"}
	ofSubscribe = []string{"DeliveryPolicy", "RawMessageDelivery", "RedrivePolicy"}
)

func invalid(format string, args ...any) error {
	return api.Errorf("InvalidParameter", format, args...)
}

func errNoTopic() error {
	return api.StatusErrorf(http.StatusNotFound, "NotFound", "Topic does not exist")
}

func checkAttribute(name string, known []string) error {
	if !slices.Contains(known, name) {
		return invalid("Invalid parameter: Attributes Reason: Unknown attribute %s", name)
	}
	return nil
}

// defaultPolicy lets the owner's account use the topic.
func defaultPolicy(arn, owner string) string {
	return `{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":"__default_statement_ID","Effect":"Allow","Principal":{"AWS":"*"},` +
		`"Action":["SNS:GetTopicAttributes","SNS:SetTopicAttributes","SNS:AddPermission","SNS:RemovePermission","SNS:DeleteTopic","SNS:Subscribe","SNS:ListSubscriptionsByTopic","SNS:Publish"],` +
		`"Resource":"` + arn + `","Condition":{"StringEquals":{"AWS:SourceOwner":"` + owner + `"}}}]}`
}

type tag struct{ Key, Value string }

type createTopicInput struct {
	Name       string
	Attributes map[string]string
	Tags       []tag
}

type topicOutput struct{ TopicArn string }

func (s *Service) createTopic(ctx context.Context, r *api.Request, in *createTopicInput) (*topicOutput, error) {
	arn := r.ARN("sns", in.Name)
	if err := r.Authorize(ctx, api.Check{Action: "sns:CreateTopic", Resource: arn}); err != nil {
		return nil, err
	}
	if !nameForm.MatchString(in.Name) {
		return nil, invalid("Invalid parameter: Topic Name; the emulator has no FIFO topics")
	}
	for name := range in.Attributes {
		if err := checkAttribute(name, settable); err != nil {
			return nil, err
		}
	}
	tags := map[string]string{}
	for _, t := range in.Tags {
		tags[t.Key] = t.Value
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.topics[arn]; t != nil {
		for name, value := range in.Attributes {
			if t.attribute(name) != value {
				return nil, invalid("Invalid parameter: Attributes Reason: Topic already exists with different attributes")
			}
		}
		if len(in.Tags) > 0 && !maps.Equal(tags, t.tags) {
			return nil, invalid("Invalid parameter: Tags Reason: Topic already exists with different tags")
		}
		return &topicOutput{arn}, nil
	}
	attributes := map[string]string{}
	maps.Copy(attributes, in.Attributes)
	s.topics[arn] = &topic{arn: arn, account: r.Account, attributes: attributes, tags: tags}
	return &topicOutput{arn}, nil
}

// attribute returns what a topic's attribute is, set or by default.
func (t *topic) attribute(name string) string {
	if v := t.attributes[name]; v != "" {
		return v
	}
	if name == "Policy" {
		return defaultPolicy(t.arn, t.account)
	}
	return ""
}

// open finds a topic and asks whether the caller may do action to it. s.mu is
// held.
func (s *Service) open(ctx context.Context, r *api.Request, arn, action string) (*topic, error) {
	t := s.topics[arn]
	check := api.Check{Action: "sns:" + action, Resource: arn, Context: map[string][]string{}}
	if t != nil {
		check.ResourcePolicy = t.attribute("Policy")
		for k, v := range t.tags {
			check.Context["aws:ResourceTag/"+k] = []string{v}
		}
		check.Context["aws:SourceOwner"] = []string{r.Account}
	}
	if err := r.Authorize(ctx, check); err != nil {
		return nil, err
	}
	r.TrailResources = append(r.TrailResources, arn)
	if t == nil || !strings.HasPrefix(arn, "arn:aws:sns:"+r.Region+":") {
		return nil, errNoTopic()
	}
	return t, nil
}

type topicInput struct{ TopicArn string }

func (s *Service) deleteTopic(ctx context.Context, r *api.Request, in *topicInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TopicArn, "DeleteTopic")
	if err != nil {
		return nil, err
	}
	delete(s.topics, t.arn)
	return nil, nil
}

type listInput struct{ NextToken string }

type listTopicsOutput struct {
	Topics []topicOutput `xml:"Topics>member"`
}

func (s *Service) listTopics(ctx context.Context, r *api.Request, _ *listInput) (*listTopicsOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "sns:ListTopics", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &listTopicsOutput{}
	for _, arn := range slices.Sorted(maps.Keys(s.topics)) {
		if strings.HasPrefix(arn, r.ARN("sns", "")) {
			out.Topics = append(out.Topics, topicOutput{arn})
		}
	}
	return out, nil
}

// entry is a member of a map in a reply.
type entry struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

type attributesOutput struct {
	Attributes []entry `xml:"Attributes>entry"`
}

func attributesOf(all map[string]string) *attributesOutput {
	out := &attributesOutput{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name] != "" {
			out.Attributes = append(out.Attributes, entry{name, all[name]})
		}
	}
	return out
}

func (s *Service) getTopicAttributes(ctx context.Context, r *api.Request, in *topicInput) (*attributesOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TopicArn, "GetTopicAttributes")
	if err != nil {
		return nil, err
	}
	all := maps.Clone(t.attributes)
	all["TopicArn"], all["Owner"], all["Policy"] = t.arn, t.account, t.attribute("Policy")
	return attributesOf(all), nil
}

type setTopicAttributesInput struct{ TopicArn, AttributeName, AttributeValue string }

func (s *Service) setTopicAttributes(ctx context.Context, r *api.Request, in *setTopicAttributesInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TopicArn, "SetTopicAttributes")
	if err != nil {
		return nil, err
	}
	if err := checkAttribute(in.AttributeName, settable); err != nil {
		return nil, err
	}
	if in.AttributeName == "Policy" && !json.Valid([]byte(in.AttributeValue)) {
		return nil, invalid("Invalid parameter: Policy Error: null")
	}
	t.attributes[in.AttributeName] = in.AttributeValue
	return nil, nil
}

type publishInput struct {
	TopicArn, Message, Subject string
	MessageAttributes          map[string]messageAttribute
}

// messageAttribute is of the type String; others are refused.
type messageAttribute struct{ DataType, StringValue string }

type publishOutput struct{ MessageId string }

func (s *Service) publish(ctx context.Context, r *api.Request, in *publishInput) (*publishOutput, error) {
	s.mu.Lock()
	t, err := s.open(ctx, r, in.TopicArn, "Publish")
	s.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case in.Message == "":
		return nil, invalid("Invalid parameter: Empty message")
	case len(in.Message) > 256<<10:
		return nil, invalid("Invalid parameter: Message too long")
	case len(in.Subject) > 100 || strings.ContainsAny(in.Subject, "\n\r"):
		return nil, invalid("Invalid parameter: Subject")
	}
	for name, attribute := range in.MessageAttributes {
		if attribute.DataType != "String" || attribute.StringValue == "" {
			return nil, invalid("Invalid parameter: the message attribute %s must be a String that isn't empty", name)
		}
	}
	id, err := s.accept(ctx, r.Caller, t, in.Subject, in.Message, in.MessageAttributes)
	if err != nil {
		return nil, err
	}
	return &publishOutput{id}, nil
}

// Publish sends a message for another service, whose principal the topic's
// policy, and its key's, must allow.
func (s *Service) Publish(ctx context.Context, caller api.Caller, topicARN, subject, message string) error {
	s.mu.Lock()
	t := s.topics[topicARN]
	s.mu.Unlock()
	if t == nil {
		return errNoTopic()
	}
	if err := s.env.IAM.Authorize(ctx, caller, region(topicARN), api.Check{
		Action: "sns:Publish", Resource: t.arn, ResourcePolicy: t.attribute("Policy"),
	}); err != nil {
		return err
	}
	_, err := s.accept(ctx, caller, t, subject, message, nil)
	return err
}

func region(arn string) string { return strings.Split(arn, ":")[3] }

// accept takes a message and delivers it in the background.
func (s *Service) accept(ctx context.Context, caller api.Caller, t *topic, subject, message string, attributes map[string]messageAttribute) (id string, err error) {
	s.mu.Lock()
	key := t.attribute("KmsMasterKeyId")
	targets := slices.Clone(t.subscriptions)
	s.mu.Unlock()
	if key != "" {
		if caller.Service == "" {
			caller.Via = "sns." + region(t.arn) + ".amazonaws.com"
		}
		if _, _, err := s.keys.Encrypt(ctx, caller, region(t.arn), key, []byte(message), map[string]string{"aws:sns:topicArn": t.arn}); err != nil {
			return "", api.StatusErrorf(http.StatusBadRequest, "KMSAccessDenied", "The publisher can't use the topic's key: %v", err)
		}
	}
	id = uuid.NewString()
	ctx = context.WithoutCancel(ctx)
	for _, to := range targets {
		if !to.pending {
			s.env.Clock.Go(func() { s.deliver(ctx, to, id, subject, message, attributes) })
		}
	}
	return id, nil
}

func (s *Service) deliver(ctx context.Context, to *subscription, id, subject, message string, attributes map[string]messageAttribute) {
	now := s.env.Clock.Now()
	caller := api.Caller{Account: to.topic.account, Service: principal, SourceARN: to.topic.arn}
	// The members of a notification:
	// https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html.
	notification := map[string]any{
		"Type": "Notification", "MessageId": id, "TopicArn": to.topic.arn, "Message": message,
		"Timestamp": now.UTC().Format("2006-01-02T15:04:05.000Z"), "SignatureVersion": "1",
	}
	if subject != "" {
		notification["Subject"] = subject
	}
	if len(attributes) > 0 {
		shown := map[string]any{}
		for name, attribute := range attributes {
			shown[name] = map[string]string{"Type": attribute.DataType, "Value": attribute.StringValue}
		}
		notification["MessageAttributes"] = shown
	}
	var err error
	switch to.protocol {
	case "sqs":
		body := []byte(message)
		if to.attributes["RawMessageDelivery"] != "true" {
			body, _ = json.Marshal(notification) // strings only
		}
		err = s.queues.Send(ctx, caller, to.endpoint, body)
	case "lambda":
		event, _ := json.Marshal(map[string]any{"Records": []any{map[string]any{
			"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": to.arn, "Sns": notification,
		}}})
		err = s.functions.InvokeAsync(ctx, caller, to.endpoint, event)
	default:
		s.mu.Lock()
		s.sent = append(s.sent, Message{to.topic.arn, to.protocol, to.endpoint, subject, message, now})
		s.mu.Unlock()
	}
	if err != nil {
		s.env.Log.WarnContext(ctx, "notification not delivered", "topic", to.topic.arn, "protocol", to.protocol, "error", err)
	}
}

type tagResourceInput struct {
	ResourceArn string
	Tags        []tag
}

func (s *Service) tagResource(ctx context.Context, r *api.Request, in *tagResourceInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.ResourceArn, "TagResource")
	if err != nil {
		return nil, err
	}
	for _, x := range in.Tags {
		t.tags[x.Key] = x.Value
	}
	return &struct{}{}, nil // an empty result, where others have none
}

type untagResourceInput struct {
	ResourceArn string
	TagKeys     []string
}

func (s *Service) untagResource(ctx context.Context, r *api.Request, in *untagResourceInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.ResourceArn, "UntagResource")
	if err != nil {
		return nil, err
	}
	for _, key := range in.TagKeys {
		delete(t.tags, key)
	}
	return &struct{}{}, nil // an empty result, where others have none
}

type resourceInput struct{ ResourceArn string }

type tagsOutput struct {
	Tags []tag `xml:"Tags>member"`
}

func (s *Service) listTags(ctx context.Context, r *api.Request, in *resourceInput) (*tagsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.ResourceArn, "ListTagsForResource")
	if err != nil {
		return nil, err
	}
	out := &tagsOutput{}
	for _, key := range slices.Sorted(maps.Keys(t.tags)) {
		out.Tags = append(out.Tags, tag{key, t.tags[key]})
	}
	return out, nil
}
