package logs

import (
	"cmp"
	"context"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// Limits of metric filters (API reference, PutMetricFilter; user guide,
// "CloudWatch Logs quotas").
const (
	maxFilters       = 100 // of a group
	maxFilterPattern = 1024
)

// metricFilter makes a metric of the events that it matches.
type metricFilter struct {
	CreationTime          int64                  `json:"creationTime"`
	FilterName            string                 `json:"filterName"`
	FilterPattern         string                 `json:"filterPattern"`
	LogGroupName          string                 `json:"logGroupName"`
	MetricTransformations []metricTransformation `json:"metricTransformations"`

	matches func(message string) bool
}

type metricTransformation struct {
	DefaultValue    *float64          `json:"defaultValue,omitempty"`
	Dimensions      map[string]string `json:"dimensions,omitempty"`
	MetricName      string            `json:"metricName"`
	MetricNamespace string            `json:"metricNamespace"`
	MetricValue     string            `json:"metricValue"`
	Unit            string            `json:"unit,omitempty"`
}

var (
	filterNameForm = regexp.MustCompile(`^[^:*]{1,512}$`)
	metricNameForm = regexp.MustCompile(`^[^:*$]{1,255}$`)
)

type putMetricFilterInput struct {
	FilterName            string
	FilterPattern         *string
	LogGroupName          string
	MetricTransformations []metricTransformation
}

func (in *putMetricFilterInput) check() error {
	switch {
	case !filterNameForm.MatchString(in.FilterName):
		return invalid("1 validation error detected: Value '%s' at 'filterName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]*", in.FilterName)
	case in.FilterPattern == nil:
		return invalid("filterPattern is required.")
	case len(*in.FilterPattern) > maxFilterPattern:
		return invalid("1 validation error detected: Value at 'filterPattern' failed to satisfy constraint: Member must have length less than or equal to %d", maxFilterPattern)
	case len(in.MetricTransformations) != 1:
		return invalid("A metric filter has exactly one metric transformation, not %d.", len(in.MetricTransformations))
	}
	t := in.MetricTransformations[0]
	switch {
	case !metricNameForm.MatchString(t.MetricName) || !metricNameForm.MatchString(t.MetricNamespace):
		return invalid("The names of a metric and its namespace have 1 to 255 characters, none of them : * or $.")
	case strings.HasPrefix(t.MetricNamespace, "AWS/"):
		return invalid("The namespace %s is AWS's own.", t.MetricNamespace)
	case t.MetricValue == "" || len(t.MetricValue) > 100:
		return invalid("metricValue has 1 to 100 characters.")
	case len(t.Dimensions) > 3:
		return invalid("A metric filter can have at most 3 dimensions.")
	case len(t.Dimensions) > 0 && t.DefaultValue != nil:
		return invalid("A metric filter with dimensions can't have a default value.")
	}
	return nil
}

func (s *Service) putMetricFilter(ctx context.Context, r *api.Request, in *putMetricFilterInput) (*empty, error) {
	k := groupKey{r.Account, r.Region, in.LogGroupName}
	if err := s.authorize(ctx, r, "PutMetricFilter", k, ""); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	matches, err := parsePattern(*in.FilterPattern)
	if err != nil {
		return nil, err
	}
	if _, ok := parseNumber(in.MetricTransformations[0].MetricValue); !ok {
		return nil, api.StatusErrorf(http.StatusNotImplemented, api.ErrUnsupportedMember, "The emulator does not support values out of events.")
	}
	if len(in.MetricTransformations[0].Dimensions) > 0 {
		return nil, api.StatusErrorf(http.StatusNotImplemented, api.ErrUnsupportedMember, "The emulator does not support dimensions of metric filters.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(k)
	if err != nil {
		return nil, err
	}
	if g.class != "STANDARD" {
		return nil, api.Errorf("InvalidOperationException", "Metric filters need a log group of the class STANDARD.")
	}
	if g.filters[in.FilterName] == nil && len(g.filters) >= maxFilters {
		return nil, api.Errorf("LimitExceededException", "Resource limit exceeded.")
	}
	g.filters[in.FilterName] = &metricFilter{
		CreationTime: s.env.Clock.Now().UnixMilli(), FilterName: in.FilterName, FilterPattern: *in.FilterPattern,
		LogGroupName: in.LogGroupName, MetricTransformations: in.MetricTransformations, matches: matches,
	}
	return nil, nil
}

type deleteMetricFilterInput struct{ FilterName, LogGroupName string }

func (s *Service) deleteMetricFilter(ctx context.Context, r *api.Request, in *deleteMetricFilterInput) (*empty, error) {
	k := groupKey{r.Account, r.Region, in.LogGroupName}
	if err := s.authorize(ctx, r, "DeleteMetricFilter", k, ""); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(k)
	if err != nil {
		return nil, err
	}
	if g.filters[in.FilterName] == nil {
		return nil, api.Errorf("ResourceNotFoundException", "The specified metric filter does not exist.")
	}
	delete(g.filters, in.FilterName)
	return nil, nil
}

type describeMetricFiltersInput struct {
	FilterNamePrefix            string
	Limit                       int
	LogGroupName                string
	MetricName, MetricNamespace string
	NextToken                   string
}

type describeMetricFiltersOutput struct {
	MetricFilters []*metricFilter `json:"metricFilters"`
	NextToken     string          `json:"nextToken,omitempty"`
}

func (s *Service) describeMetricFilters(ctx context.Context, r *api.Request, in *describeMetricFiltersInput) (*describeMetricFiltersOutput, error) {
	k := groupKey{r.Account, r.Region, in.LogGroupName}
	if err := s.authorize(ctx, r, "DescribeMetricFilters", k, ""); err != nil {
		return nil, err
	}
	if (in.MetricName == "") != (in.MetricNamespace == "") {
		return nil, invalid("metricName and metricNamespace must be given together.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.LogGroupName != "" {
		if _, err := s.group(k); err != nil {
			return nil, err
		}
	}
	var found []*metricFilter
	for _, g := range s.groups {
		if g.account != r.Account || g.region != r.Region || in.LogGroupName != "" && g.name != in.LogGroupName {
			continue
		}
		for _, f := range g.filters {
			t := f.MetricTransformations[0]
			if strings.HasPrefix(f.FilterName, in.FilterNamePrefix) &&
				(in.MetricName == "" || t.MetricName == in.MetricName && t.MetricNamespace == in.MetricNamespace) {
				found = append(found, f)
			}
		}
	}
	slices.SortFunc(found, func(a, b *metricFilter) int {
		return cmp.Or(cmp.Compare(a.LogGroupName, b.LogGroupName), cmp.Compare(a.FilterName, b.FilterName))
	})
	page, next, err := paged(found, in.Limit, 50, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &describeMetricFiltersOutput{page, next}, nil
}

type testMetricFilterInput struct {
	FilterPattern    *string
	LogEventMessages []string
}

type testMetricFilterOutput struct {
	Matches []filterMatch `json:"matches"`
}

type filterMatch struct {
	EventMessage    string            `json:"eventMessage"`
	EventNumber     int64             `json:"eventNumber"`
	ExtractedValues map[string]string `json:"extractedValues"`
}

// testMetricFilter tells which messages a pattern matches.
func (s *Service) testMetricFilter(ctx context.Context, r *api.Request, in *testMetricFilterInput) (*testMetricFilterOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "logs:TestMetricFilter", Resource: "*"}); err != nil {
		return nil, err
	}
	if in.FilterPattern == nil || len(in.LogEventMessages) == 0 || len(in.LogEventMessages) > 50 {
		return nil, invalid("filterPattern and 1 to 50 logEventMessages are required.")
	}
	matches, err := parsePattern(*in.FilterPattern)
	if err != nil {
		return nil, err
	}
	out := &testMetricFilterOutput{Matches: []filterMatch{}}
	for i, message := range in.LogEventMessages {
		if matches(message) {
			out.Matches = append(out.Matches, filterMatch{message, int64(i + 1), map[string]string{}})
		}
	}
	return out, nil
}

// count reports to the group's metric filters that an event came. s.mu is held.
func (g *group) count(sink metricSink, message string, at time.Time) {
	for _, f := range g.filters {
		t := f.MetricTransformations[0]
		switch value, _ := strconv.ParseFloat(t.MetricValue, 64); {
		case f.matches(message):
			sink.PutAt(g.account, g.region, t.MetricNamespace, t.MetricName, t.Unit, []float64{value}, at, false)
		case t.DefaultValue != nil:
			sink.PutAt(g.account, g.region, t.MetricNamespace, t.MetricName, t.Unit, []float64{*t.DefaultValue}, at, false)
		}
	}
}

// Event is a log event of a service that writes with a role.
type Event struct {
	Time    time.Time
	Message string
}

// Write appends an event in a caller's name, as CloudTrail does with the role of
// a trail; the stream is made when missing, the group is not.
func (s *Service) Write(ctx context.Context, caller api.Caller, region, groupName, streamName string, e Event) error {
	r := api.NewRequest(api.Request{Service: s.Name(), Region: region, Account: caller.Account, Caller: caller, Time: s.env.Clock.Now()}, s.env.IAM)
	k := groupKey{caller.Account, region, groupName}
	s.mu.Lock()
	_, _, missing := s.stream(k, streamName)
	s.mu.Unlock()
	if missing != nil {
		if _, err := s.createLogStream(ctx, r, &streamInput{groupName, streamName}); err != nil {
			return err
		}
	}
	in := &putLogEventsInput{LogGroupName: groupName, LogStreamName: streamName}
	in.LogEvents = append(in.LogEvents, struct {
		Message   string
		Timestamp int64
	}{e.Message, e.Time.UnixMilli()})
	_, err := s.putLogEvents(ctx, r, in)
	return err
}
