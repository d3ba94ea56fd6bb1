// Package logs is the local cloud's Amazon CloudWatch Logs: log groups, streams
// and their events.
//
// It stores keys of groups without encrypting anything, and takes events of any
// time: the programs that write them may not know the cloud's clock, which AWS's
// limits (14 days back, 2 hours ahead) would be about. Filter patterns are those
// for unstructured events (terms, quoted phrases, ?optional and -excluded ones)
// and those for JSON. Metric filters count what comes, under the time of the
// event.
package logs

import (
	"context"
	"sync"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is Amazon CloudWatch Logs.
type Service struct {
	env      *api.Env
	metrics  metricSink
	handlers map[string]api.Handler

	mu     sync.Mutex
	groups map[groupKey]*group
}

type groupKey struct{ account, region, name string }

type group struct {
	groupKey
	created   time.Time
	class     string
	kmsKey    string
	retention int // days; 0 keeps events for ever
	tags      map[string]string
	streams   map[string]*stream
	filters   map[string]*metricFilter
}

type stream struct {
	name    string
	created time.Time
	events  []event // by time
	next    int     // number of the next event
}

// event has its times in milliseconds since 1970.
type event struct {
	Message       string `json:"message"`
	Timestamp     int64  `json:"timestamp"`
	IngestionTime int64  `json:"ingestionTime"`
	number        int
}

// Name implements api.Service.
func (s *Service) Name() string { return "logs" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.JSONRPC{Version: "1.1"} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler { return s.handlers[operation] }

// SensitiveMembers implements api.Sensitive: what CloudTrail never shows.
func (s *Service) SensitiveMembers() []string { return []string{"logEvents"} }

// New makes a CloudWatch Logs without groups.
func New(env *api.Env, m metricSink) *Service {
	s := &Service{env: env, metrics: m, groups: map[groupKey]*group{}}
	s.handlers = map[string]api.Handler{
		"CreateLogGroup":        api.JSON(s.createLogGroup),
		"DeleteLogGroup":        api.JSON(s.deleteLogGroup),
		"DescribeLogGroups":     api.JSON(s.describeLogGroups),
		"PutRetentionPolicy":    api.JSON(s.putRetentionPolicy),
		"DeleteRetentionPolicy": api.JSON(s.deleteRetentionPolicy),
		"AssociateKmsKey":       api.JSON(s.associateKMSKey),
		"DisassociateKmsKey":    api.JSON(s.disassociateKMSKey),
		"CreateLogStream":       api.JSON(s.createLogStream),
		"DeleteLogStream":       api.JSON(s.deleteLogStream),
		"DescribeLogStreams":    api.JSON(s.describeLogStreams),
		"PutLogEvents":          api.JSON(s.putLogEvents),
		"GetLogEvents":          api.JSON(s.getLogEvents),
		"FilterLogEvents":       api.JSON(s.filterLogEvents),
		"PutMetricFilter":       api.JSON(s.putMetricFilter),
		"DeleteMetricFilter":    api.JSON(s.deleteMetricFilter),
		"DescribeMetricFilters": api.JSON(s.describeMetricFilters),
		"TestMetricFilter":      api.JSON(s.testMetricFilter),
		"TagResource":           api.JSON(s.tagResource),
		"UntagResource":         api.JSON(s.untagResource),
		"ListTagsForResource":   api.JSON(s.listTagsForResource),
	}
	return s
}

// HasGroup tells whether a log group exists.
func (s *Service) HasGroup(account, region, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.groups[groupKey{account, region, name}] != nil
}

// Put appends lines for a service; group and stream are made when missing. The
// metrics in them have times of the machine's clock, by which functions run, and
// get those of the local cloud's.
func (s *Service) Put(_ context.Context, account, region, name, streamName string, lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := groupKey{account, region, name}
	g := s.groups[k]
	if g == nil {
		g = s.newGroup(k)
		s.groups[k] = g
	}
	st := g.streams[streamName]
	if st == nil {
		st = s.newStream(streamName)
		g.streams[streamName] = st
	}
	now := s.env.Clock.Now()
	for _, line := range lines {
		st.add(event{Message: line, Timestamp: now.UnixMilli(), IngestionTime: now.UnixMilli()})
		s.extract(k, line, time.Until(now))
		g.count(s.metrics, line, now)
	}
}

func (s *Service) newGroup(k groupKey) *group {
	return &group{groupKey: k, created: s.env.Clock.Now(), class: "STANDARD", tags: map[string]string{}, streams: map[string]*stream{}, filters: map[string]*metricFilter{}}
}

func (s *Service) newStream(name string) *stream {
	return &stream{name: name, created: s.env.Clock.Now()}
}

// add keeps the events in the order of their times.
func (st *stream) add(e event) {
	e.number = st.next
	st.next++
	i := len(st.events)
	for i > 0 && st.events[i-1].Timestamp > e.Timestamp {
		i--
	}
	st.events = append(st.events, event{})
	copy(st.events[i+1:], st.events[i:])
	st.events[i] = e
}

// current are the events that the group's retention hasn't ended. The lock is
// held.
func (s *Service) current(g *group, st *stream) []event {
	if g.retention == 0 {
		return st.events
	}
	oldest := s.env.Clock.Now().AddDate(0, 0, -g.retention).UnixMilli()
	for i, e := range st.events {
		if e.Timestamp >= oldest {
			return st.events[i:]
		}
	}
	return nil
}

// arn is the group's as the operations on tags have it. Everywhere else in IAM
// it goes on: ":log-stream:" and, where there is one, a stream.
func (k groupKey) arn() string {
	return api.ARN("logs", k.region, k.account, "log-group:"+k.name)
}

// authorize asks about an operation on a group, or on a stream of it.
func (s *Service) authorize(ctx context.Context, r *api.Request, action string, k groupKey, streamName string) error {
	r.TrailResources = []string{k.arn()}
	c := api.Check{Action: "logs:" + action, Resource: k.arn() + ":log-stream:" + streamName, Context: map[string][]string{}}
	s.mu.Lock()
	if g := s.groups[k]; g != nil {
		for key, value := range g.tags {
			c.Context["aws:ResourceTag/"+key] = []string{value}
		}
	}
	s.mu.Unlock()
	return r.Authorize(ctx, c)
}

// group finds a group. The lock is held.
func (s *Service) group(k groupKey) (*group, error) {
	if g := s.groups[k]; g != nil {
		return g, nil
	}
	return nil, api.Errorf("ResourceNotFoundException", "The specified log group does not exist.")
}

// stream finds a stream. The lock is held.
func (s *Service) stream(k groupKey, name string) (*group, *stream, error) {
	g, err := s.group(k)
	if err != nil {
		return nil, nil, err
	}
	if st := g.streams[name]; st != nil {
		return g, st, nil
	}
	return nil, nil, api.Errorf("ResourceNotFoundException", "The specified log stream does not exist.")
}

func invalid(format string, args ...any) error {
	return api.Errorf("InvalidParameterException", format, args...)
}

type empty struct{}
