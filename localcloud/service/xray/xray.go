// Package xray is the local cloud's AWS X-Ray: trace segments go in, by the API
// or from functions with active tracing, and come out by time or by trace.
// Filter expressions, sampling rules, groups and the service graph are refused.
package xray

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is AWS X-Ray.
type Service struct {
	env *api.Env

	mu     sync.Mutex
	traces map[place][]*trace // in the order of their first segments
}

type place struct{ account, region string }

type trace struct {
	id       string
	segments []segment
}

type segment struct {
	ID       string
	Document string

	start, end   float64
	fault, error bool
}

// New makes an X-Ray without traces.
func New(env *api.Env) *Service {
	return &Service{env: env, traces: map[place][]*trace{}}
}

// Name implements api.Service.
func (s *Service) Name() string { return "xray" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol {
	return api.REST{Routes: []api.Route{
		{Method: "POST", Path: "/TraceSegments", Operation: "PutTraceSegments"},
		{Method: "POST", Path: "/TelemetryRecords", Operation: "PutTelemetryRecords"},
		{Method: "POST", Path: "/TraceSummaries", Operation: "GetTraceSummaries"},
		{Method: "POST", Path: "/Traces", Operation: "BatchGetTraces"},
	}}
}

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{
		"PutTraceSegments":    api.JSON(s.putTraceSegments),
		"PutTelemetryRecords": api.JSON(s.putTelemetryRecords),
		"GetTraceSummaries":   api.JSON(s.getTraceSummaries),
		"BatchGetTraces":      api.JSON(s.batchGetTraces),
	}[operation]
}

// Put stores the segment document of another service in the caller's name: the
// caller needs xray:PutTraceSegments, as a function's role does
// (https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html).
func (s *Service) Put(ctx context.Context, caller api.Caller, region string, document []byte) error {
	err := s.env.IAM.Authorize(ctx, caller, region, api.Check{Action: "xray:PutTraceSegments", Resource: "*"})
	if err != nil {
		return err
	}
	return s.put(place{caller.Account, region}, document)
}

func (s *Service) put(p place, document []byte) error {
	var d struct {
		ID         string   `json:"id"`
		TraceID    string   `json:"trace_id"`
		Name       string   `json:"name"`
		StartTime  float64  `json:"start_time"`
		EndTime    *float64 `json:"end_time"`
		InProgress bool     `json:"in_progress"`
		Fault      bool     `json:"fault"`
		Error      bool     `json:"error"`
	}
	if err := json.Unmarshal(document, &d); err != nil {
		return fmt.Errorf("the segment document is not JSON: %w", err)
	}
	if d.ID == "" || d.TraceID == "" || d.Name == "" || d.StartTime == 0 || d.EndTime == nil && !d.InProgress {
		return fmt.Errorf("segment %q lacks one of id, trace_id, name, start_time and end_time", d.ID)
	}
	x := segment{ID: d.ID, Document: string(document), start: d.StartTime, end: d.StartTime, fault: d.Fault, error: d.Error}
	if d.EndTime != nil {
		x.end = *d.EndTime
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.traces[p], func(t *trace) bool { return t.id == d.TraceID })
	if i < 0 {
		s.traces[p] = append(s.traces[p], &trace{id: d.TraceID, segments: []segment{x}})
		return nil
	}
	t := s.traces[p][i]
	t.segments = append(slices.DeleteFunc(t.segments, func(old segment) bool { return old.ID == x.ID }), x)
	return nil
}

type putInput struct{ TraceSegmentDocuments []string }

type unprocessed struct {
	ID        string `json:"Id"`
	ErrorCode string
	Message   string
}

type putOutput struct{ UnprocessedTraceSegments []unprocessed }

func (s *Service) putTraceSegments(ctx context.Context, r *api.Request, in *putInput) (*putOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "xray:PutTraceSegments", Resource: "*"}); err != nil {
		return nil, err
	}
	out := &putOutput{UnprocessedTraceSegments: []unprocessed{}}
	for _, document := range in.TraceSegmentDocuments {
		if err := s.put(place{r.Account, r.Region}, []byte(document)); err != nil {
			out.UnprocessedTraceSegments = append(out.UnprocessedTraceSegments, unprocessed{uuid.NewString(), "InvalidSegment", err.Error()})
		}
	}
	return out, nil
}

type telemetryInput struct {
	TelemetryRecords []any
	EC2InstanceID    string `json:"EC2InstanceId"`
	Hostname         string
	ResourceARN      string
}

// putTelemetryRecords takes what the X-Ray daemon says of itself; nothing reads
// it, on AWS neither.
func (s *Service) putTelemetryRecords(ctx context.Context, r *api.Request, _ *telemetryInput) (*struct{}, error) {
	return nil, r.Authorize(ctx, api.Check{Action: "xray:PutTelemetryRecords", Resource: "*"})
}

type summariesInput struct {
	StartTime, EndTime *api.Time
	TimeRangeType      string
	NextToken          string
}

type summary struct {
	ID           string `json:"Id"`
	StartTime    *api.Time
	Duration     float64
	ResponseTime float64
	HasFault     bool
	HasError     bool
	IsPartial    bool
}

type summariesOutput struct {
	TraceSummaries       []summary
	TracesProcessedCount int
	ApproximateTime      *api.Time
}

func (s *Service) getTraceSummaries(ctx context.Context, r *api.Request, in *summariesInput) (*summariesOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "xray:GetTraceSummaries", Resource: "*"}); err != nil {
		return nil, err
	}
	if in.StartTime == nil || in.EndTime == nil || !in.StartTime.Before(in.EndTime.Time) {
		return nil, api.Errorf("InvalidRequestException", "StartTime and EndTime are required, in this order.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &summariesOutput{TraceSummaries: []summary{}, ApproximateTime: api.NewTime(r.Time)}
	for _, t := range s.traces[place{r.Account, r.Region}] {
		one := t.summary()
		if one.StartTime.Before(in.StartTime.Time) || one.StartTime.After(in.EndTime.Time) {
			continue
		}
		out.TraceSummaries = append(out.TraceSummaries, one)
	}
	out.TracesProcessedCount = len(out.TraceSummaries)
	return out, nil
}

func (t *trace) summary() summary {
	first, last := t.segments[0].start, t.segments[0].end
	out := summary{ID: t.id}
	for _, x := range t.segments {
		first, last = min(first, x.start), max(last, x.end)
		out.HasFault = out.HasFault || x.fault
		out.HasError = out.HasError || x.error
	}
	out.StartTime = api.NewTime(time.UnixMicro(int64(first * 1e6)))
	out.Duration, out.ResponseTime = last-first, last-first
	return out
}

type batchInput struct {
	TraceIDs  []string `json:"TraceIds"`
	NextToken string
}

type wholeTrace struct {
	ID       string `json:"Id"`
	Duration float64
	Segments []wholeSegment
}

type wholeSegment struct {
	ID       string `json:"Id"`
	Document string
}

type batchOutput struct {
	Traces              []wholeTrace
	UnprocessedTraceIDs []string `json:"UnprocessedTraceIds"`
}

func (s *Service) batchGetTraces(ctx context.Context, r *api.Request, in *batchInput) (*batchOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "xray:BatchGetTraces", Resource: "*"}); err != nil {
		return nil, err
	}
	if len(in.TraceIDs) > 5 {
		return nil, api.Errorf("InvalidRequestException", "BatchGetTraces takes at most 5 trace ids.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &batchOutput{Traces: []wholeTrace{}, UnprocessedTraceIDs: []string{}}
	for _, t := range s.traces[place{r.Account, r.Region}] {
		if !slices.Contains(in.TraceIDs, t.id) {
			continue
		}
		whole := wholeTrace{ID: t.id, Duration: t.summary().Duration}
		for _, x := range t.segments {
			whole.Segments = append(whole.Segments, wholeSegment{x.ID, x.Document})
		}
		out.Traces = append(out.Traces, whole)
	}
	return out, nil
}
