// Package sqs is the local cloud's Amazon Simple Queue Service: standard queues
// with visibility timeouts, delays, retention, long polling, queue policies and
// dead-letter queues. FIFO queues are refused.
package sqs

import (
	"context"
	"crypto/md5" //nolint:gosec // SQS's checksum, no protection
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/clock"
)

// Service is Amazon Simple Queue Service.
type Service struct {
	env     *api.Env
	metrics metricSink

	mu     sync.Mutex
	queues map[string]*queue // by ARN
	// changed is closed and made anew when a message arrives.
	changed chan struct{}
}

type queue struct {
	arn, name  string
	created    time.Time
	attributes map[string]string
	tags       map[string]string
	messages   []*message
	report     *clock.Timer // of its metrics; nil while it is empty
}

type message struct {
	id       string
	body     string
	sent     time.Time
	visible  time.Time
	receipt  string
	received int
}

// New makes an SQS without queues.
func New(env *api.Env, m metricSink) *Service {
	return &Service{env: env, metrics: m, queues: map[string]*queue{}, changed: make(chan struct{})}
}

// Name implements api.Service.
func (s *Service) Name() string { return "sqs" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.JSONRPC{Version: "1.0"} }

// SensitiveMembers implements api.Sensitive.
func (s *Service) SensitiveMembers() []string { return []string{"MessageBody"} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{
		"CreateQueue":             api.JSON(s.createQueue),
		"DeleteQueue":             api.JSON(s.deleteQueue),
		"GetQueueUrl":             api.JSON(s.getQueueURL),
		"ListQueues":              api.JSON(s.listQueues),
		"GetQueueAttributes":      api.JSON(s.getQueueAttributes),
		"SetQueueAttributes":      api.JSON(s.setQueueAttributes),
		"SendMessage":             api.JSON(s.sendMessage),
		"ReceiveMessage":          api.JSON(s.receiveMessage),
		"DeleteMessage":           api.JSON(s.deleteMessage),
		"ChangeMessageVisibility": api.JSON(s.changeMessageVisibility),
		"PurgeQueue":              api.JSON(s.purgeQueue),
		"TagQueue":                api.JSON(s.tagQueue),
		"UntagQueue":              api.JSON(s.untagQueue),
		"ListQueueTags":           api.JSON(s.listQueueTags),
	}[operation]
}

// defaults are the attributes that can be set, with the values of a queue that
// is made without them.
var defaults = map[string]string{
	"VisibilityTimeout":             "30",
	"DelaySeconds":                  "0",
	"MessageRetentionPeriod":        "345600",
	"MaximumMessageSize":            "1048576",
	"ReceiveMessageWaitTimeSeconds": "0",
	"Policy":                        "",
	"RedrivePolicy":                 "",
	"RedriveAllowPolicy":            "",
	"KmsMasterKeyId":                "",
	"KmsDataKeyReusePeriodSeconds":  "300",
	"SqsManagedSseEnabled":          "true",
}

func checkAttributes(attributes map[string]string) error {
	for name := range attributes {
		if _, ok := defaults[name]; !ok {
			return api.Errorf("InvalidAttributeName", "Unknown Attribute %s.", name)
		}
	}
	return nil
}

func errNoQueue() error {
	return &api.Error{Status: http.StatusBadRequest, Code: "QueueDoesNotExist", Message: "The specified queue does not exist."}
}

func (q *queue) attribute(name string) string {
	if v, ok := q.attributes[name]; ok {
		return v
	}
	return defaults[name]
}

func (q *queue) seconds(name string) time.Duration {
	n, _ := strconv.Atoi(q.attribute(name)) // checked when it was set, or a default
	return time.Duration(n) * time.Second
}

func (s *Service) url(account, name string) string {
	return s.env.Endpoint() + "/" + account + "/" + name
}

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,80}$`)

type createQueueInput struct {
	QueueName  string
	Attributes map[string]string
	Tags       map[string]string `json:"tags"`
}

type queueURLOutput struct {
	QueueURL string `json:"QueueUrl"`
}

func (s *Service) createQueue(ctx context.Context, r *api.Request, in *createQueueInput) (*queueURLOutput, error) {
	arn := r.ARN("sqs", in.QueueName)
	if err := r.Authorize(ctx, api.Check{Action: "sqs:CreateQueue", Resource: arn}); err != nil {
		return nil, err
	}
	if !namePattern.MatchString(in.QueueName) {
		return nil, api.Errorf("InvalidParameterValue", "A queue's name holds 1 to 80 letters, digits, _ and -; the emulator has no FIFO queues.")
	}
	if err := checkAttributes(in.Attributes); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.queues[arn]; q != nil {
		for name, value := range in.Attributes {
			if q.attribute(name) != value {
				return nil, api.Errorf("QueueNameExists", "A queue already exists with the same name and a different value for attribute %s", name)
			}
		}
		return &queueURLOutput{s.url(r.Account, q.name)}, nil
	}
	s.queues[arn] = &queue{
		arn: arn, name: in.QueueName, created: s.env.Clock.Now(),
		attributes: clone(in.Attributes), tags: clone(in.Tags),
	}
	return &queueURLOutput{s.url(r.Account, in.QueueName)}, nil
}

func clone(m map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, m)
	return out
}

// open finds the queue of a URL and asks whether the caller may do action.
// s.mu is held.
func (s *Service) open(ctx context.Context, r *api.Request, queueURL, action string) (*queue, error) {
	u, err := url.Parse(queueURL)
	if err != nil {
		r.AllowAll()
		return nil, errNoQueue()
	}
	account, name, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	arn := api.ARN("sqs", r.Region, account, name)
	q := s.queues[arn]
	check := api.Check{Action: "sqs:" + action, Resource: arn}
	if q != nil {
		check.ResourcePolicy = q.attribute("Policy")
	}
	if err := r.Authorize(ctx, check); err != nil {
		return nil, err
	}
	if q == nil {
		return nil, errNoQueue()
	}
	return q, nil
}

type queueURLInput struct {
	QueueURL string `json:"QueueUrl"`
}

func (s *Service) deleteQueue(ctx context.Context, r *api.Request, in *queueURLInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.open(ctx, r, in.QueueURL, "DeleteQueue")
	if err != nil {
		return nil, err
	}
	delete(s.queues, q.arn)
	return nil, nil
}

type getQueueURLInput struct {
	QueueName              string
	QueueOwnerAWSAccountID string `json:"QueueOwnerAWSAccountId"`
}

func (s *Service) getQueueURL(ctx context.Context, r *api.Request, in *getQueueURLInput) (*queueURLOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	account := in.QueueOwnerAWSAccountID
	if account == "" {
		account = r.Account
	}
	q, err := s.open(ctx, r, s.url(account, in.QueueName), "GetQueueUrl")
	if err != nil {
		return nil, err
	}
	return &queueURLOutput{s.url(account, q.name)}, nil
}

type listQueuesInput struct {
	QueueNamePrefix string
	MaxResults      *int
	NextToken       string
}

type listQueuesOutput struct {
	QueueURLs []string `json:"QueueUrls,omitempty"`
}

func (s *Service) listQueues(ctx context.Context, r *api.Request, in *listQueuesInput) (*listQueuesOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "sqs:ListQueues", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &listQueuesOutput{}
	prefix := r.ARN("sqs", in.QueueNamePrefix)
	for _, arn := range slices.Sorted(maps.Keys(s.queues)) {
		if strings.HasPrefix(arn, prefix) {
			out.QueueURLs = append(out.QueueURLs, s.url(r.Account, s.queues[arn].name))
		}
	}
	return out, nil
}

type getQueueAttributesInput struct {
	QueueURL       string `json:"QueueUrl"`
	AttributeNames []string
}

type attributesOutput struct{ Attributes map[string]string }

func (s *Service) getQueueAttributes(ctx context.Context, r *api.Request, in *getQueueAttributesInput) (*attributesOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.open(ctx, r, in.QueueURL, "GetQueueAttributes")
	if err != nil {
		return nil, err
	}
	all := map[string]string{"QueueArn": q.arn, "CreatedTimestamp": strconv.FormatInt(q.created.Unix(), 10)}
	for name := range defaults {
		if v := q.attribute(name); v != "" {
			all[name] = v
		}
	}
	visible, hidden := 0, 0
	s.expire(q)
	for _, m := range q.messages {
		if m.visible.After(s.env.Clock.Now()) {
			hidden++
		} else {
			visible++
		}
	}
	all["ApproximateNumberOfMessages"] = strconv.Itoa(visible)
	all["ApproximateNumberOfMessagesNotVisible"] = strconv.Itoa(hidden)
	if slices.Contains(in.AttributeNames, "All") {
		return &attributesOutput{all}, nil
	}
	maps.DeleteFunc(all, func(name, _ string) bool { return !slices.Contains(in.AttributeNames, name) })
	return &attributesOutput{all}, nil
}

type setQueueAttributesInput struct {
	QueueURL   string `json:"QueueUrl"`
	Attributes map[string]string
}

func (s *Service) setQueueAttributes(ctx context.Context, r *api.Request, in *setQueueAttributesInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.open(ctx, r, in.QueueURL, "SetQueueAttributes")
	if err != nil {
		return nil, err
	}
	if err := checkAttributes(in.Attributes); err != nil {
		return nil, err
	}
	maps.Copy(q.attributes, in.Attributes)
	return nil, nil
}

type sendMessageInput struct {
	QueueURL     string `json:"QueueUrl"`
	MessageBody  string
	DelaySeconds *int
}

type sendMessageOutput struct {
	MessageID        string `json:"MessageId"`
	MD5OfMessageBody string
}

func (s *Service) sendMessage(ctx context.Context, r *api.Request, in *sendMessageInput) (*sendMessageOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.open(ctx, r, in.QueueURL, "SendMessage")
	if err != nil {
		return nil, err
	}
	if in.MessageBody == "" {
		return nil, api.Errorf("MissingParameter", "The request must contain the parameter MessageBody.")
	}
	delay := q.seconds("DelaySeconds")
	if in.DelaySeconds != nil {
		delay = time.Duration(*in.DelaySeconds) * time.Second
	}
	m := s.put(q, in.MessageBody, delay)
	return &sendMessageOutput{m.id, md5Hex(m.body)}, nil
}

func md5Hex(body string) string {
	sum := md5.Sum([]byte(body)) //nolint:gosec // SQS's checksum, no protection
	return hex.EncodeToString(sum[:])
}

func (s *Service) put(q *queue, body string, delay time.Duration) *message {
	now := s.env.Clock.Now()
	m := &message{id: uuid.NewString(), body: body, sent: now, visible: now.Add(delay)}
	q.messages = append(q.messages, m)
	s.measure(q, "NumberOfMessagesSent", "Count", 1)
	if q.report == nil {
		s.report(q)
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return m
}

// Send puts a message into a queue for another service, whose principal the
// queue's policy must allow.
func (s *Service) Send(ctx context.Context, caller api.Caller, queueARN string, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[queueARN]
	if q == nil {
		return errNoQueue()
	}
	region := strings.Split(queueARN, ":")[3]
	if err := s.env.IAM.Authorize(ctx, caller, region, api.Check{
		Action: "sqs:SendMessage", Resource: q.arn, ResourcePolicy: q.attribute("Policy"),
	}); err != nil {
		return err
	}
	s.put(q, string(body), q.seconds("DelaySeconds"))
	return nil
}

// expire drops messages older than the retention period.
func (s *Service) expire(q *queue) {
	oldest := s.env.Clock.Now().Add(-q.seconds("MessageRetentionPeriod"))
	q.messages = slices.DeleteFunc(q.messages, func(m *message) bool { return m.sent.Before(oldest) })
}

type receiveMessageInput struct {
	QueueURL                    string `json:"QueueUrl"`
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             *int
	AttributeNames              []string
	MessageSystemAttributeNames []string
	MessageAttributeNames       []string
}

type receivedMessage struct {
	MessageID     string `json:"MessageId"`
	ReceiptHandle string
	MD5OfBody     string
	Body          string
	Attributes    map[string]string
}

type receiveMessageOutput struct {
	Messages []receivedMessage `json:",omitempty"`
}

func (s *Service) receiveMessage(ctx context.Context, r *api.Request, in *receiveMessageInput) (*receiveMessageOutput, error) {
	limit := 1
	if in.MaxNumberOfMessages != nil {
		limit = *in.MaxNumberOfMessages
	}
	if limit < 1 || limit > 10 {
		return nil, api.Errorf("InvalidParameterValue", "MaxNumberOfMessages must be between 1 and 10.")
	}
	var deadline <-chan time.Time
	for {
		s.mu.Lock()
		q, err := s.open(ctx, r, in.QueueURL, "ReceiveMessage")
		if err != nil {
			s.mu.Unlock()
			return nil, err
		}
		out, changed := s.take(q, in, limit), s.changed
		wait := q.seconds("ReceiveMessageWaitTimeSeconds")
		s.mu.Unlock()
		if in.WaitTimeSeconds != nil {
			wait = time.Duration(*in.WaitTimeSeconds) * time.Second
		}
		if len(out.Messages) > 0 || wait == 0 {
			return out, nil
		}
		if deadline == nil {
			// Real time: the client really waits.
			deadline = time.After(wait)
		}
		select {
		case <-changed:
		case <-deadline:
			return out, nil
		case <-ctx.Done():
			return out, nil
		}
	}
}

func (s *Service) take(q *queue, in *receiveMessageInput, limit int) *receiveMessageOutput {
	s.expire(q)
	now, hide := s.env.Clock.Now(), q.seconds("VisibilityTimeout")
	if in.VisibilityTimeout != nil {
		hide = time.Duration(*in.VisibilityTimeout) * time.Second
	}
	out := &receiveMessageOutput{}
	for _, m := range slices.Clone(q.messages) {
		if len(out.Messages) == limit {
			break
		}
		if m.visible.After(now) || s.redrive(q, m) {
			continue
		}
		m.received++
		m.receipt = uuid.NewString()
		m.visible = now.Add(hide)
		out.Messages = append(out.Messages, receivedMessage{
			MessageID: m.id, ReceiptHandle: m.receipt, MD5OfBody: md5Hex(m.body), Body: m.body,
			Attributes: map[string]string{
				"ApproximateReceiveCount": strconv.Itoa(m.received),
				"SentTimestamp":           strconv.FormatInt(m.sent.UnixMilli(), 10),
			},
		})
	}
	return out
}

// redrive moves a message that was received too often to the dead-letter queue.
func (s *Service) redrive(q *queue, m *message) bool {
	var policy struct {
		DeadLetterTargetArn string      `json:"deadLetterTargetArn"`
		MaxReceiveCount     json.Number `json:"maxReceiveCount"`
	}
	if json.Unmarshal([]byte(q.attribute("RedrivePolicy")), &policy) != nil {
		return false
	}
	limit, err := policy.MaxReceiveCount.Int64()
	target := s.queues[policy.DeadLetterTargetArn]
	if err != nil || target == nil || int64(m.received) < limit {
		return false
	}
	q.messages = slices.DeleteFunc(q.messages, func(x *message) bool { return x == m })
	m.visible = s.env.Clock.Now()
	target.messages = append(target.messages, m)
	return true
}

type receiptInput struct {
	QueueURL          string `json:"QueueUrl"`
	ReceiptHandle     string
	VisibilityTimeout *int
}

func (s *Service) deleteMessage(ctx context.Context, r *api.Request, in *receiptInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.open(ctx, r, in.QueueURL, "DeleteMessage")
	if err != nil {
		return nil, err
	}
	q.messages = slices.DeleteFunc(q.messages, func(m *message) bool { return m.receipt != "" && m.receipt == in.ReceiptHandle })
	return nil, nil
}

func (s *Service) changeMessageVisibility(ctx context.Context, r *api.Request, in *receiptInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.open(ctx, r, in.QueueURL, "ChangeMessageVisibility")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(q.messages, func(m *message) bool { return m.receipt != "" && m.receipt == in.ReceiptHandle })
	if i < 0 || in.VisibilityTimeout == nil {
		return nil, api.Errorf("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
	}
	q.messages[i].visible = s.env.Clock.Now().Add(time.Duration(*in.VisibilityTimeout) * time.Second)
	return nil, nil
}

func (s *Service) purgeQueue(ctx context.Context, r *api.Request, in *queueURLInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.open(ctx, r, in.QueueURL, "PurgeQueue")
	if err != nil {
		return nil, err
	}
	q.messages = nil
	return nil, nil
}

type tagQueueInput struct {
	QueueURL string `json:"QueueUrl"`
	Tags     map[string]string
}

func (s *Service) tagQueue(ctx context.Context, r *api.Request, in *tagQueueInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.open(ctx, r, in.QueueURL, "TagQueue")
	if err != nil {
		return nil, err
	}
	maps.Copy(q.tags, in.Tags)
	return nil, nil
}

type untagQueueInput struct {
	QueueURL string `json:"QueueUrl"`
	TagKeys  []string
}

func (s *Service) untagQueue(ctx context.Context, r *api.Request, in *untagQueueInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.open(ctx, r, in.QueueURL, "UntagQueue")
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(q.tags, k)
	}
	return nil, nil
}

type listQueueTagsOutput struct{ Tags map[string]string }

func (s *Service) listQueueTags(ctx context.Context, r *api.Request, in *queueURLInput) (*listQueueTagsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.open(ctx, r, in.QueueURL, "ListQueueTags")
	if err != nil {
		return nil, err
	}
	return &listQueueTagsOutput{maps.Clone(q.tags)}, nil
}
