package logs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// maxEvents is AWS's limit of events in one request and in one page.
const maxEvents = 10000

type putLogEventsInput struct {
	LogEvents []struct {
		Message   string
		Timestamp int64
	}
	LogGroupName  string
	LogStreamName string
	SequenceToken string // taken and ignored, as on AWS since 2023
}

type putLogEventsOutput struct {
	NextSequenceToken string `json:"nextSequenceToken"`
}

func (s *Service) putLogEvents(ctx context.Context, r *api.Request, in *putLogEventsInput) (*putLogEventsOutput, error) {
	k := groupKey{r.Account, r.Region, in.LogGroupName}
	if err := s.authorize(ctx, r, "PutLogEvents", k, in.LogStreamName); err != nil {
		return nil, err
	}
	if n := len(in.LogEvents); n == 0 || n > maxEvents {
		return nil, invalid("A request has 1 to %d log events, not %d.", maxEvents, n)
	}
	for i, e := range in.LogEvents {
		if e.Message == "" {
			return nil, invalid("Log event message must not be empty.")
		}
		if i > 0 && e.Timestamp < in.LogEvents[i-1].Timestamp {
			return nil, invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, st, err := s.stream(k, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	now := s.env.Clock.Now().UnixMilli()
	for _, e := range in.LogEvents {
		st.add(event{Message: e.Message, Timestamp: e.Timestamp, IngestionTime: now})
		s.extract(k, e.Message, 0)
		g.count(s.metrics, e.Message, time.UnixMilli(e.Timestamp))
	}
	return &putLogEventsOutput{fmt.Sprintf("%056d", st.next)}, nil
}

type getLogEventsInput struct {
	EndTime       *int64
	Limit         int
	LogGroupName  string
	LogStreamName string
	NextToken     string
	StartFromHead bool
	StartTime     *int64
}

type getLogEventsOutput struct {
	Events            []event `json:"events"`
	NextBackwardToken string  `json:"nextBackwardToken"`
	NextForwardToken  string  `json:"nextForwardToken"`
}

func (s *Service) getLogEvents(ctx context.Context, r *api.Request, in *getLogEventsInput) (*getLogEventsOutput, error) {
	k := groupKey{r.Account, r.Region, in.LogGroupName}
	if err := s.authorize(ctx, r, "GetLogEvents", k, in.LogStreamName); err != nil {
		return nil, err
	}
	if in.Limit < 0 || in.Limit > maxEvents {
		return nil, invalid("limit must be between 1 and %d.", maxEvents)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, st, err := s.stream(k, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	events := between(s.current(g, st), in.StartTime, in.EndTime)
	start, end, err := window(len(events), cmp.Or(in.Limit, maxEvents), in.NextToken, in.StartFromHead)
	if err != nil {
		return nil, err
	}
	return &getLogEventsOutput{
		Events:            append([]event{}, events[start:end]...),
		NextForwardToken:  "f/" + strconv.Itoa(end),
		NextBackwardToken: "b/" + strconv.Itoa(start),
	}, nil
}

// window is the part of n events that a token means: f/5 the ones from the
// sixth on, b/5 the ones before it, and none the first or the last ones.
func window(n, limit int, token string, fromHead bool) (start, end int, err error) {
	direction, text, _ := strings.Cut(token, "/")
	var at int
	switch {
	case token == "" && fromHead:
		direction, at = "f", 0
	case token == "":
		direction, at = "b", n
	default:
		if at, err = strconv.Atoi(text); err != nil || at < 0 || at > n || (direction != "f" && direction != "b") {
			return 0, 0, invalid("The specified nextToken is invalid.")
		}
	}
	if direction == "f" {
		return at, min(at+limit, n), nil
	}
	return max(0, at-limit), at, nil
}

// between keeps the events from start on and before end.
func between(events []event, start, end *int64) []event {
	from, to := 0, len(events)
	if start != nil {
		from, _ = slices.BinarySearchFunc(events, *start, byTime)
	}
	if end != nil {
		to, _ = slices.BinarySearchFunc(events, *end, byTime)
	}
	return events[from:max(from, to)]
}

func byTime(e event, t int64) int { return cmp.Compare(e.Timestamp, t) }

type filterLogEventsInput struct {
	EndTime             *int64
	FilterPattern       string
	Interleaved         bool // always, as on AWS
	Limit               int
	LogGroupName        string
	LogStreamNamePrefix string
	LogStreamNames      []string
	NextToken           string
	StartTime           *int64
}

type filteredEvent struct {
	event
	EventID       string `json:"eventId"`
	LogStreamName string `json:"logStreamName"`
}

type filterLogEventsOutput struct {
	Events             []filteredEvent `json:"events"`
	NextToken          string          `json:"nextToken,omitempty"`
	SearchedLogStreams []any           `json:"searchedLogStreams"` // AWS leaves it empty since 2019
}

func (s *Service) filterLogEvents(ctx context.Context, r *api.Request, in *filterLogEventsInput) (*filterLogEventsOutput, error) {
	k := groupKey{r.Account, r.Region, in.LogGroupName}
	if err := s.authorize(ctx, r, "FilterLogEvents", k, ""); err != nil {
		return nil, err
	}
	if in.LogStreamNamePrefix != "" && len(in.LogStreamNames) > 0 {
		return nil, invalid("logStreamNames and logStreamNamePrefix can't be used together.")
	}
	matches, err := parsePattern(in.FilterPattern)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(k)
	if err != nil {
		return nil, err
	}
	var found []filteredEvent
	for name, st := range g.streams {
		if !strings.HasPrefix(name, in.LogStreamNamePrefix) || (len(in.LogStreamNames) > 0 && !slices.Contains(in.LogStreamNames, name)) {
			continue
		}
		for _, e := range between(s.current(g, st), in.StartTime, in.EndTime) {
			if matches(e.Message) {
				found = append(found, filteredEvent{e, fmt.Sprintf("%d-%s-%d", e.Timestamp, name, e.number), name})
			}
		}
	}
	slices.SortFunc(found, func(a, b filteredEvent) int {
		return cmp.Or(cmp.Compare(a.Timestamp, b.Timestamp), cmp.Compare(a.LogStreamName, b.LogStreamName), cmp.Compare(a.number, b.number))
	})
	page, next, err := paged(found, in.Limit, maxEvents, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &filterLogEventsOutput{Events: page, NextToken: next, SearchedLogStreams: []any{}}, nil
}
