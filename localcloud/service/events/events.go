// Package events is the local cloud's Amazon EventBridge: rules with patterns
// and schedules on the default bus, and targets in Lambda, SQS and SNS, and in
// ECS, where the emulator runs nothing. Custom buses, archives, pipes and other
// targets are refused.
package events

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/clock"
	"github.com/aistudio/secrets/localcloud/schedule"
)

const principal = "events.amazonaws.com"

// Service is Amazon EventBridge.
type Service struct {
	env       *api.Env
	functions functions
	queues    queues
	topics    topics
	metrics   metricSink

	mu    sync.Mutex
	rules map[place]map[string]*rule
}

type place struct{ account, region string }

type rule struct {
	place       place
	name, arn   string
	description string
	pattern     string
	parsed      map[string]any
	expression  string
	schedule    schedule.Schedule
	timer       *clock.Timer
	enabled     bool
	tags        map[string]string
	targets     []target
}

// functions, queues and topics are the targets that rules can have.
type functions interface {
	InvokeAsync(ctx context.Context, caller api.Caller, functionARN string, payload []byte) error
}

type queues interface {
	Send(ctx context.Context, caller api.Caller, queueARN string, body []byte) error
}

type topics interface {
	Publish(ctx context.Context, caller api.Caller, topicARN, subject, message string) error
}

// metricSink is CloudWatch, which hears how often a rule ran and with what
// success: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
type metricSink interface {
	Put(account, region, namespace, name, unit string, value float64, dimensions ...string)
}

// New makes an EventBridge without rules.
func New(env *api.Env, f functions, q queues, t topics, m metricSink) *Service {
	return &Service{env: env, functions: f, queues: q, topics: t, metrics: m, rules: map[place]map[string]*rule{}}
}

// Name implements api.Service.
func (s *Service) Name() string { return "events" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.JSONRPC{Version: "1.1"} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{
		"PutRule":               api.JSON(s.putRule),
		"DescribeRule":          api.JSON(s.describeRule),
		"DeleteRule":            api.JSON(s.deleteRule),
		"EnableRule":            api.JSON(s.enableRule),
		"DisableRule":           api.JSON(s.disableRule),
		"ListRules":             api.JSON(s.listRules),
		"PutTargets":            api.JSON(s.putTargets),
		"RemoveTargets":         api.JSON(s.removeTargets),
		"ListTargetsByRule":     api.JSON(s.listTargetsByRule),
		"ListRuleNamesByTarget": api.JSON(s.listRuleNamesByTarget),
		"PutEvents":             api.JSON(s.putEvents),
		"ListEventBuses":        api.JSON(s.listEventBuses),
		"TestEventPattern":      api.JSON(s.testEventPattern),
		"TagResource":           api.JSON(s.tagResource),
		"UntagResource":         api.JSON(s.untagResource),
		"ListTagsForResource":   api.JSON(s.listTagsForResource),
	}[operation]
}

// Deliver offers an event to the rules of the account's default bus in region.
// What EventBridge adds to an event (id, time, account, region, version,
// resources) is filled in where it is missing. It returns at once.
func (s *Service) Deliver(ctx context.Context, account, region string, event map[string]any) {
	full := map[string]any{
		"version": "0", "id": uuid.NewString(), "time": s.env.Clock.Now().Format(time.RFC3339),
		"account": account, "region": region, "resources": []any{},
	}
	maps.Copy(full, event)
	// A round trip gives the types that patterns are matched against.
	raw, err := json.Marshal(full)
	if err != nil {
		s.env.Log.ErrorContext(ctx, "event not delivered", "error", err)
		return
	}
	var plain map[string]any
	if err := json.Unmarshal(raw, &plain); err != nil {
		s.env.Log.ErrorContext(ctx, "event not delivered", "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.rules[place{account, region}])) {
		r := s.rules[place{account, region}][name]
		if r.enabled && r.parsed != nil && matches(r.parsed, plain) {
			s.send(ctx, r, raw, plain)
		}
	}
}

// send hands an event to the targets of a rule, in the background. s.mu is
// held.
func (s *Service) send(ctx context.Context, r *rule, raw []byte, event map[string]any) {
	caller := api.Caller{Account: r.place.account, Service: principal, SourceARN: r.arn}
	ctx = context.WithoutCancel(ctx)
	s.measure(r.place, r.name, "MatchedEvents")
	s.measure(r.place, r.name, "TriggeredRules")
	for _, t := range r.targets {
		payload := t.input(raw, event)
		s.env.Clock.Go(func() {
			s.measure(r.place, r.name, "Invocations")
			if err := s.sendTo(ctx, caller, t, payload); err != nil {
				s.measure(r.place, r.name, "FailedInvocations")
			}
		})
	}
}

func (s *Service) measure(p place, rule, name string) {
	s.metrics.Put(p.account, p.region, "AWS/Events", name, "Count", 1, "RuleName", rule)
}

func (s *Service) sendTo(ctx context.Context, caller api.Caller, t target, payload []byte) error {
	var err error
	switch {
	case strings.Contains(t.Arn, ":lambda:"):
		err = s.functions.InvokeAsync(ctx, caller, t.Arn, payload)
	case t.cluster(): // would run a task
	case strings.Contains(t.Arn, ":sns:"):
		// A topic's policy can't ask for the rule: EventBridge supports no condition
		// there (user guide, "Amazon SNS permissions"), nor the source's in the policy
		// of the topic's key.
		unnamed := caller
		unnamed.SourceARN = ""
		err = s.topics.Publish(ctx, unnamed, t.Arn, "", string(payload))
	default:
		err = s.queues.Send(ctx, caller, t.Arn, payload)
	}
	if err == nil {
		return nil
	}
	s.env.Log.WarnContext(ctx, "event not delivered", "rule", caller.SourceARN, "target", t.Arn, "error", err)
	if t.DeadLetterConfig != nil {
		if err := s.queues.Send(ctx, caller, t.DeadLetterConfig.Arn, payload); err != nil {
			s.env.Log.WarnContext(ctx, "event not delivered to the dead-letter queue", "rule", caller.SourceARN, "error", err)
		}
	}
	return err
}

// plan sets the timer of a scheduled rule. s.mu is held.
func (s *Service) plan(r *rule) {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	if r.expression == "" || !r.enabled {
		return
	}
	next := r.schedule.Next(s.env.Clock.Now())
	if next.IsZero() {
		return
	}
	r.timer = s.env.Clock.AtFunc(next, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.rules[r.place][r.name] != r || !r.enabled {
			return
		}
		event := map[string]any{
			"version": "0", "id": uuid.NewString(), "detail-type": "Scheduled Event", "source": "aws.events",
			"account": r.place.account, "time": next.Format(time.RFC3339), "region": r.place.region,
			"resources": []any{r.arn}, "detail": map[string]any{},
		}
		if raw, err := json.Marshal(event); err == nil {
			s.send(context.Background(), r, raw, event)
		}
		s.plan(r)
	})
}

type putRuleInput struct {
	Name               string
	Description        string
	EventPattern       string
	ScheduleExpression string
	State              string
	EventBusName       string
	RoleArn            string
	Tags               []tag
}

type tag struct{ Key, Value string }

type putRuleOutput struct{ RuleArn string }

func at(r *api.Request) place { return place{r.Account, r.Region} }

func checkBus(name string) error {
	if name != "" && name != "default" {
		return api.Errorf("ResourceNotFoundException", "Event bus %s does not exist.", name)
	}
	return nil
}

func (s *Service) putRule(ctx context.Context, r *api.Request, in *putRuleInput) (*putRuleOutput, error) {
	arn := r.ARN("events", "rule/"+in.Name)
	if err := r.Authorize(ctx, api.Check{Action: "events:PutRule", Resource: arn}); err != nil {
		return nil, err
	}
	if err := checkBus(in.EventBusName); err != nil {
		return nil, err
	}
	if in.EventPattern == "" && in.ScheduleExpression == "" {
		return nil, api.Errorf("ValidationException", "Parameter(s) EventPattern or ScheduleExpression must be specified.")
	}
	fresh := &rule{
		place: at(r), name: in.Name, arn: arn, description: in.Description, pattern: in.EventPattern,
		expression: in.ScheduleExpression, enabled: in.State != "DISABLED", tags: map[string]string{},
	}
	if in.EventPattern != "" {
		parsed, err := parsePattern(in.EventPattern)
		if err != nil {
			return nil, api.Errorf("InvalidEventPatternException", "Event pattern is not valid. Reason: %v", err)
		}
		fresh.parsed = parsed
	}
	if in.ScheduleExpression != "" {
		parsed, err := schedule.Parse(in.ScheduleExpression)
		if err != nil {
			return nil, api.Errorf("ValidationException", "Parameter ScheduleExpression is not valid.")
		}
		fresh.schedule = parsed
	}
	for _, t := range in.Tags {
		fresh.tags[t.Key] = t.Value
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rules[fresh.place] == nil {
		s.rules[fresh.place] = map[string]*rule{}
	}
	if old := s.rules[fresh.place][in.Name]; old != nil {
		fresh.targets, fresh.tags = old.targets, old.tags
		if old.timer != nil {
			old.timer.Stop()
		}
	}
	s.rules[fresh.place][in.Name] = fresh
	s.plan(fresh)
	return &putRuleOutput{arn}, nil
}

// open finds a rule and asks whether the caller may do action. s.mu is held.
func (s *Service) open(ctx context.Context, r *api.Request, name, bus, action string) (*rule, error) {
	arn := r.ARN("events", "rule/"+name)
	if err := r.Authorize(ctx, api.Check{Action: "events:" + action, Resource: arn}); err != nil {
		return nil, err
	}
	if err := checkBus(bus); err != nil {
		return nil, err
	}
	found := s.rules[at(r)][name]
	if found == nil {
		return nil, api.Errorf("ResourceNotFoundException", "Rule %s does not exist on EventBus default.", name)
	}
	return found, nil
}

type ruleInput struct {
	Name         string
	EventBusName string
	Force        bool
}

type ruleOutput struct {
	Name, Arn, Description, EventPattern, ScheduleExpression, State, EventBusName string
}

func (r *rule) output() *ruleOutput {
	state := "DISABLED"
	if r.enabled {
		state = "ENABLED"
	}
	return &ruleOutput{r.name, r.arn, r.description, r.pattern, r.expression, state, "default"}
}

func (s *Service) describeRule(ctx context.Context, r *api.Request, in *ruleInput) (*ruleOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.open(ctx, r, in.Name, in.EventBusName, "DescribeRule")
	if err != nil {
		return nil, err
	}
	return found.output(), nil
}

func (s *Service) deleteRule(ctx context.Context, r *api.Request, in *ruleInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.open(ctx, r, in.Name, in.EventBusName, "DeleteRule")
	if err != nil {
		return nil, err
	}
	if len(found.targets) > 0 {
		return nil, api.Errorf("ValidationException", "Rule can't be deleted since it has targets.")
	}
	found.enabled = false
	s.plan(found)
	delete(s.rules[found.place], found.name)
	return nil, nil
}

func (s *Service) enableRule(ctx context.Context, r *api.Request, in *ruleInput) (*struct{}, error) {
	return s.setEnabled(ctx, r, in, "EnableRule", true)
}

func (s *Service) disableRule(ctx context.Context, r *api.Request, in *ruleInput) (*struct{}, error) {
	return s.setEnabled(ctx, r, in, "DisableRule", false)
}

func (s *Service) setEnabled(ctx context.Context, r *api.Request, in *ruleInput, action string, enabled bool) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.open(ctx, r, in.Name, in.EventBusName, action)
	if err != nil {
		return nil, err
	}
	found.enabled = enabled
	s.plan(found)
	return nil, nil
}

type listRulesInput struct {
	NamePrefix, EventBusName, NextToken string
	Limit                               *int
}

type listRulesOutput struct {
	Rules     []*ruleOutput
	NextToken string `json:",omitempty"`
}

func (s *Service) listRules(ctx context.Context, r *api.Request, in *listRulesInput) (*listRulesOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "events:ListRules", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &listRulesOutput{Rules: []*ruleOutput{}}
	for _, name := range slices.Sorted(maps.Keys(s.rules[at(r)])) {
		if strings.HasPrefix(name, in.NamePrefix) {
			out.Rules = append(out.Rules, s.rules[at(r)][name].output())
		}
	}
	var err error
	out.Rules, out.NextToken, err = page(out.Rules, in.Limit, in.NextToken)
	return out, err
}

// page cuts a list at a token. A page has 100 entries unless a limit says less.
func page[T any](all []T, limit *int, token string) (part []T, next string, _ error) {
	size, start := 100, 0
	if limit != nil {
		size = *limit
	}
	if size < 1 || size > 100 {
		return nil, "", api.Errorf("ValidationException", "Limit must be between 1 and 100.")
	}
	if token != "" {
		var err error
		if start, err = strconv.Atoi(token); err != nil || start < 0 || start > len(all) {
			return nil, "", api.Errorf("ValidationException", "NextToken is not valid.")
		}
	}
	end := min(len(all), start+size)
	if end < len(all) {
		next = strconv.Itoa(end)
	}
	return all[start:end], next, nil
}

type listBusesInput struct {
	NamePrefix, NextToken string
	Limit                 *int
}

type bus struct{ Arn, Name string }

type listBusesOutput struct{ EventBuses []bus }

func (s *Service) listEventBuses(ctx context.Context, r *api.Request, in *listBusesInput) (*listBusesOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "events:ListEventBuses", Resource: "*"}); err != nil {
		return nil, err
	}
	out := &listBusesOutput{EventBuses: []bus{}}
	if strings.HasPrefix("default", in.NamePrefix) {
		out.EventBuses = append(out.EventBuses, bus{r.ARN("events", "event-bus/default"), "default"})
	}
	return out, nil
}

type putEventsInput struct {
	Entries []struct {
		Source, DetailType, Detail, EventBusName string
		Time                                     *api.Time
		Resources                                []string
		TraceHeader                              string
	}
}

type putEventsOutput struct {
	FailedEntryCount int
	Entries          []putEventsEntry
}

type putEventsEntry struct {
	EventID      string `json:"EventId,omitempty"`
	ErrorCode    string `json:",omitempty"`
	ErrorMessage string `json:",omitempty"`
}

func (s *Service) putEvents(ctx context.Context, r *api.Request, in *putEventsInput) (*putEventsOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "events:PutEvents", Resource: r.ARN("events", "event-bus/default")}); err != nil {
		return nil, err
	}
	if n := len(in.Entries); n < 1 || n > 10 {
		return nil, api.Errorf("ValidationException", "PutEvents takes 1 to 10 entries, not %d.", n)
	}
	out := &putEventsOutput{}
	for _, e := range in.Entries {
		var detail map[string]any
		switch err := json.Unmarshal([]byte(e.Detail), &detail); {
		case err != nil:
			out.Entries = append(out.Entries, putEventsEntry{ErrorCode: "MalformedDetail", ErrorMessage: "Detail is malformed."})
		case e.Source == "" || e.DetailType == "" || strings.HasPrefix(e.Source, "aws."):
			out.Entries = append(out.Entries, putEventsEntry{ErrorCode: "InvalidArgument", ErrorMessage: "Source and DetailType are required, and sources that begin with aws. are reserved."})
		default:
			id := uuid.NewString()
			event := map[string]any{"id": id, "source": e.Source, "detail-type": e.DetailType, "detail": detail}
			if len(e.Resources) > 0 {
				event["resources"] = e.Resources
			}
			if e.Time != nil {
				event["time"] = e.Time.Format(time.RFC3339)
			}
			s.Deliver(ctx, r.Account, r.Region, event)
			out.Entries = append(out.Entries, putEventsEntry{EventID: id})
			continue
		}
		out.FailedEntryCount++
	}
	return out, nil
}

type testEventPatternInput struct{ EventPattern, Event string }

type testEventPatternOutput struct{ Result bool }

func (s *Service) testEventPattern(ctx context.Context, r *api.Request, in *testEventPatternInput) (*testEventPatternOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "events:TestEventPattern", Resource: "*"}); err != nil {
		return nil, err
	}
	pattern, err := parsePattern(in.EventPattern)
	if err != nil {
		return nil, api.Errorf("InvalidEventPatternException", "Event pattern is not valid. Reason: %v", err)
	}
	var event map[string]any
	if err := json.Unmarshal([]byte(in.Event), &event); err != nil {
		return nil, api.Errorf("ValidationException", "Parameter Event is not valid.")
	}
	return &testEventPatternOutput{matches(pattern, event)}, nil
}

type resourceInput struct {
	ResourceARN string
	Tags        []tag
	TagKeys     []string
}

func (s *Service) openARN(ctx context.Context, r *api.Request, arn, action string) (*rule, error) {
	_, name, _ := strings.Cut(arn, ":rule/")
	return s.open(ctx, r, name, "", action)
}

func (s *Service) tagResource(ctx context.Context, r *api.Request, in *resourceInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.openARN(ctx, r, in.ResourceARN, "TagResource")
	if err != nil {
		return nil, err
	}
	for _, t := range in.Tags {
		found.tags[t.Key] = t.Value
	}
	return nil, nil
}

func (s *Service) untagResource(ctx context.Context, r *api.Request, in *resourceInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.openARN(ctx, r, in.ResourceARN, "UntagResource")
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(found.tags, k)
	}
	return nil, nil
}

type tagsOutput struct{ Tags []tag }

func (s *Service) listTagsForResource(ctx context.Context, r *api.Request, in *resourceInput) (*tagsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.openARN(ctx, r, in.ResourceARN, "ListTagsForResource")
	if err != nil {
		return nil, err
	}
	out := &tagsOutput{Tags: []tag{}}
	for _, k := range slices.Sorted(maps.Keys(found.tags)) {
		out.Tags = append(out.Tags, tag{k, found.tags[k]})
	}
	return out, nil
}

func errTarget(format string, args ...any) error {
	return api.Errorf("ValidationException", "%s", fmt.Sprintf(format, args...))
}
