// Package cloudwatch is the local cloud's Amazon CloudWatch: metrics with their
// statistics, percentiles and arithmetic, metric alarms and dashboards.
// Composite alarms, anomaly detection, metric streams and Insights are refused.
//
// An alarm is evaluated on the minute, or every five when its period is an hour
// or longer, by the local cloud's clock, as long as its metrics have data that it
// could see: without any its state can't change.
package cloudwatch

import (
	"context"
	"net/http"
	"regexp"
	"sync"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is Amazon CloudWatch.
type Service struct {
	env      *api.Env
	handlers map[string]api.Handler
	actions  actions

	mu         sync.Mutex
	metrics    map[place]map[metricKey]*metric
	alarms     map[place]map[string]*alarm
	dashboards map[string]map[string]*dashboard // by account: they have no region
}

type place struct{ account, region string }

// Topics are the SNS topics that alarms tell.
type Topics interface {
	Publish(ctx context.Context, caller api.Caller, topicARN, subject, message string) error
}

// Functions are the Lambda functions that alarms call.
type Functions interface {
	InvokeAsync(ctx context.Context, caller api.Caller, functionARN string, payload []byte) error
}

// Bus is the EventBridge that hears of every change of an alarm's state.
type Bus interface {
	Deliver(ctx context.Context, account, region string, event map[string]any)
}

type actions struct {
	topics    Topics
	functions Functions
	bus       Bus
}

// New makes a CloudWatch without metrics. Whoever reports metrics can be made
// with it, and is then told to Connect.
func New(env *api.Env) *Service {
	s := &Service{
		env:     env,
		metrics: map[place]map[metricKey]*metric{}, alarms: map[place]map[string]*alarm{},
		dashboards: map[string]map[string]*dashboard{},
	}
	s.handlers = map[string]api.Handler{
		"PutMetricData":       api.CBOR(s.putMetricData),
		"ListMetrics":         api.CBOR(s.listMetrics),
		"GetMetricStatistics": api.CBOR(s.getMetricStatistics),
		"GetMetricData":       api.CBOR(s.getMetricData),
		"PutMetricAlarm":      api.CBOR(s.putMetricAlarm),
		"DescribeAlarms":      api.CBOR(s.describeAlarms),
		"DeleteAlarms":        api.CBOR(s.deleteAlarms),
		"SetAlarmState":       api.CBOR(s.setAlarmState),
		"EnableAlarmActions":  api.CBOR(s.enableAlarmActions),
		"DisableAlarmActions": api.CBOR(s.disableAlarmActions),
		"PutDashboard":        api.CBOR(s.putDashboard),
		"GetDashboard":        api.CBOR(s.getDashboard),
		"ListDashboards":      api.CBOR(s.listDashboards),
		"DeleteDashboards":    api.CBOR(s.deleteDashboards),
		"TagResource":         api.CBOR(s.tagResource),
		"UntagResource":       api.CBOR(s.untagResource),
		"ListTagsForResource": api.CBOR(s.listTagsForResource),
	}
	return s
}

// Connect says what alarms act on. It is called before the first request. nil
// means that there is none.
func (s *Service) Connect(t Topics, f Functions, b Bus) { s.actions = actions{t, f, b} }

// Name implements api.Service.
func (s *Service) Name() string { return "monitoring" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.CBORRPC{} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler { return s.handlers[operation] }

func at(r *api.Request) place { return place{r.Account, r.Region} }

// shape makes an error by the name that Smithy has for it, with the code that
// it had in the query protocol, by which clients know it.
func shape(status int, name, queryCode, format string, args ...any) error {
	e := api.StatusErrorf(status, name, format, args...)
	e.Fields = map[string]any{api.QueryCode: queryCode}
	return e
}

func invalid(format string, args ...any) error {
	return shape(http.StatusBadRequest, "InvalidParameterValueException", "InvalidParameterValue", format, args...)
}

func missing(name string) error {
	return shape(http.StatusBadRequest, "MissingRequiredParameterException", "MissingParameter", "The parameter %s is required.", name)
}

func combination(format string, args ...any) error {
	return shape(http.StatusBadRequest, "InvalidParameterCombinationException", "InvalidParameterCombination", format, args...)
}

func notFound(format string, args ...any) error {
	return shape(http.StatusNotFound, "ResourceNotFoundException", "ResourceNotFoundException", format, args...)
}

func unsupported(what string) error {
	return api.StatusErrorf(http.StatusNotImplemented, api.ErrUnsupportedMember, "The emulator does not support %s.", what)
}

type empty struct{}

type tag struct{ Key, Value string }

type tagsInput struct {
	ResourceARN string
	Tags        []tag
	TagKeys     []string
}

type tagsOutput struct{ Tags []tag }

var alarmARN = regexp.MustCompile(`^arn:aws:cloudwatch:([a-z0-9-]+):([0-9]{12}):alarm:(.+)$`)

// openTags finds the alarm whose tags a call is about. s.mu is held.
func (s *Service) openTags(ctx context.Context, r *api.Request, arn, action string) (*alarm, error) {
	r.TrailResources = []string{arn}
	if err := r.Authorize(ctx, api.Check{Action: "cloudwatch:" + action, Resource: arn}); err != nil {
		return nil, err
	}
	parts := alarmARN.FindStringSubmatch(arn)
	if parts == nil {
		return nil, unsupported("tags of " + arn)
	}
	if a := s.alarms[place{parts[2], parts[1]}][parts[3]]; a != nil {
		return a, nil
	}
	return nil, notFound("Resource %s not found.", arn)
}

func (s *Service) tagResource(ctx context.Context, r *api.Request, in *tagsInput) (*empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.openTags(ctx, r, in.ResourceARN, "TagResource")
	if err != nil {
		return nil, err
	}
	for _, t := range in.Tags {
		a.tags[t.Key] = t.Value
	}
	return nil, nil //nolint:nilnil // an operation without a result
}

func (s *Service) untagResource(ctx context.Context, r *api.Request, in *tagsInput) (*empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.openTags(ctx, r, in.ResourceARN, "UntagResource")
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(a.tags, k)
	}
	return nil, nil //nolint:nilnil // an operation without a result
}

func (s *Service) listTagsForResource(ctx context.Context, r *api.Request, in *tagsInput) (*tagsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.openTags(ctx, r, in.ResourceARN, "ListTagsForResource")
	if err != nil {
		return nil, err
	}
	out := &tagsOutput{Tags: []tag{}}
	for _, k := range sortedKeys(a.tags) {
		out.Tags = append(out.Tags, tag{k, a.tags[k]})
	}
	return out, nil
}
