package logs

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

type streamInput struct{ LogGroupName, LogStreamName string }

func (s *Service) createLogStream(ctx context.Context, r *api.Request, in *streamInput) (*empty, error) {
	k := groupKey{r.Account, r.Region, in.LogGroupName}
	if err := s.authorize(ctx, r, "CreateLogStream", k, in.LogStreamName); err != nil {
		return nil, err
	}
	if in.LogStreamName == "" || len(in.LogStreamName) > 512 || strings.ContainsAny(in.LogStreamName, ":*") {
		return nil, invalid("1 validation error detected: Value '%s' at 'logStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]*", in.LogStreamName)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(k)
	if err != nil {
		return nil, err
	}
	if g.streams[in.LogStreamName] != nil {
		return nil, api.Errorf("ResourceAlreadyExistsException", "The specified log stream already exists")
	}
	g.streams[in.LogStreamName] = s.newStream(in.LogStreamName)
	return nil, nil
}

func (s *Service) deleteLogStream(ctx context.Context, r *api.Request, in *streamInput) (*empty, error) {
	k := groupKey{r.Account, r.Region, in.LogGroupName}
	if err := s.authorize(ctx, r, "DeleteLogStream", k, in.LogStreamName); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, st, err := s.stream(k, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	delete(g.streams, st.name)
	return nil, nil
}

type describeLogStreamsInput struct {
	Descending          bool
	Limit               int
	LogGroupName        string
	LogStreamNamePrefix string
	NextToken           string
	OrderBy             string
}

type streamOutput struct {
	ARN                 string `json:"arn"`
	CreationTime        int64  `json:"creationTime"`
	FirstEventTimestamp int64  `json:"firstEventTimestamp,omitempty"`
	LastEventTimestamp  int64  `json:"lastEventTimestamp,omitempty"`
	LastIngestionTime   int64  `json:"lastIngestionTime,omitempty"`
	LogStreamName       string `json:"logStreamName"`
}

type describeLogStreamsOutput struct {
	LogStreams []streamOutput `json:"logStreams"`
	NextToken  string         `json:"nextToken,omitempty"`
}

func (s *Service) describeLogStreams(ctx context.Context, r *api.Request, in *describeLogStreamsInput) (*describeLogStreamsOutput, error) {
	k := groupKey{r.Account, r.Region, in.LogGroupName}
	if err := s.authorize(ctx, r, "DescribeLogStreams", k, ""); err != nil {
		return nil, err
	}
	order := cmp.Or(in.OrderBy, "LogStreamName")
	if order != "LogStreamName" && order != "LastEventTime" {
		return nil, invalid("orderBy must be LogStreamName or LastEventTime.")
	}
	if order == "LastEventTime" && in.LogStreamNamePrefix != "" {
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(k)
	if err != nil {
		return nil, err
	}
	var list []streamOutput
	for name, st := range g.streams {
		if strings.HasPrefix(name, in.LogStreamNamePrefix) {
			list = append(list, s.showStream(g, st))
		}
	}
	slices.SortFunc(list, func(a, b streamOutput) int {
		c := cmp.Compare(a.LogStreamName, b.LogStreamName)
		if order == "LastEventTime" {
			c = cmp.Or(cmp.Compare(a.LastEventTimestamp, b.LastEventTimestamp), c)
		}
		if in.Descending {
			c = -c
		}
		return c
	})
	page, next, err := paged(list, in.Limit, 50, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &describeLogStreamsOutput{page, next}, nil
}

func (s *Service) showStream(g *group, st *stream) streamOutput {
	out := streamOutput{
		ARN:          g.arn() + ":log-stream:" + st.name,
		CreationTime: st.created.UnixMilli(), LogStreamName: st.name,
	}
	if events := s.current(g, st); len(events) > 0 {
		last := events[len(events)-1]
		out.FirstEventTimestamp = events[0].Timestamp
		out.LastEventTimestamp, out.LastIngestionTime = last.Timestamp, last.IngestionTime
	}
	return out
}
