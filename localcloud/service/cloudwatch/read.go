package cloudwatch

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

const (
	maxDatapoints = 1440 // of GetMetricStatistics
	maxQueries    = 500  // of GetMetricData
)

type metricStatisticsInput struct {
	Namespace, MetricName, Unit    string
	Dimensions                     []dimension
	StartTime, EndTime             *api.Time
	Period                         int
	Statistics, ExtendedStatistics []string
}

type metricStatisticsOutput struct {
	Label      string
	Datapoints []datapoint
}

type datapoint struct {
	Timestamp          *api.Time
	Unit               string
	SampleCount        *float64           `json:",omitempty"`
	Average            *float64           `json:",omitempty"`
	Sum                *float64           `json:",omitempty"`
	Minimum            *float64           `json:",omitempty"`
	Maximum            *float64           `json:",omitempty"`
	ExtendedStatistics map[string]float64 `json:",omitempty"`
}

func (d *datapoint) set(statistic string, v float64) {
	switch statistic {
	case "SampleCount":
		d.SampleCount = &v
	case "Average":
		d.Average = &v
	case "Sum":
		d.Sum = &v
	case "Minimum":
		d.Minimum = &v
	case "Maximum":
		d.Maximum = &v
	default:
		if d.ExtendedStatistics == nil {
			d.ExtendedStatistics = map[string]float64{}
		}
		d.ExtendedStatistics[statistic] = v
	}
}

func (s *Service) getMetricStatistics(ctx context.Context, r *api.Request, in *metricStatisticsInput) (*metricStatisticsOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "cloudwatch:GetMetricStatistics", Resource: "*"}); err != nil {
		return nil, err
	}
	statistics := slices.Concat(in.Statistics, in.ExtendedStatistics)
	if len(statistics) == 0 {
		return nil, combination("At least one of the parameters Statistics and ExtendedStatistics must be specified.")
	}
	for _, name := range statistics {
		if err := checkStatistic(name); err != nil {
			return nil, err
		}
	}
	from, to, period, err := timeRange(in.StartTime, in.EndTime, in.Period)
	if err != nil {
		return nil, err
	}
	if n := int(to.Sub(from) / period); n > maxDatapoints {
		return nil, combination("You have requested up to %d datapoints, which exceeds the limit of %d.", n, maxDatapoints)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.metrics[at(r)][keyOf(in.Namespace, in.MetricName, in.Dimensions)]
	out := &metricStatisticsOutput{Label: in.MetricName, Datapoints: []datapoint{}}
	for start := from; start.Before(to); start = start.Add(period) {
		for _, unit := range m.units(in.Unit) {
			sum := m.between(start, start.Add(period), unit)
			d := datapoint{Timestamp: api.NewTime(start), Unit: unit}
			found := false
			for _, name := range statistics {
				if v, ok := sum.statistic(name); ok {
					d.set(name, v)
					found = true
				}
			}
			if found {
				out.Datapoints = append(out.Datapoints, d)
			}
		}
	}
	return out, nil
}

// units are those of the metric's data, or the one that is asked for.
func (m *metric) units(only string) []string {
	if only != "" {
		return []string{only}
	}
	if m == nil {
		return nil
	}
	found := map[string]bool{}
	for _, b := range m.buckets {
		found[b.unit] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// timeRange checks a period and the times around it. The start is rounded down
// to the minute, or to the period if that is shorter.
func timeRange(start, end *api.Time, seconds int) (from, to time.Time, period time.Duration, err error) {
	period = time.Duration(seconds) * time.Second
	switch {
	case start == nil:
		return from, to, period, missing("StartTime")
	case end == nil:
		return from, to, period, missing("EndTime")
	case !start.Before(end.Time):
		return from, to, period, invalid("The parameter StartTime must be less than the parameter EndTime.")
	case !slices.Contains([]int{1, 5, 10, 20, 30}, seconds) && (seconds <= 0 || seconds%60 != 0):
		return from, to, period, invalid("The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
	}
	return start.Truncate(min(period, time.Minute)), end.Time, period, nil
}

type metricDataInput struct {
	MetricDataQueries  []query
	StartTime, EndTime *api.Time
	ScanBy, NextToken  string
	MaxDatapoints      int
}

// query is a member of GetMetricData, and of an alarm on several metrics: a
// metric with a statistic, or arithmetic with the results of others.
type query struct {
	Id         string
	Label      string `json:",omitempty"`
	Expression string `json:",omitempty"`
	ReturnData *bool  `json:",omitempty"`
	Period     int    `json:",omitempty"`
	MetricStat *stat  `json:",omitempty"`
}

type stat struct {
	Metric metricOutput
	Period int
	Stat   string
	Unit   string `json:",omitempty"`
}

func (q query) returned() bool { return q.ReturnData == nil || *q.ReturnData }

type metricDataOutput struct {
	MetricDataResults []metricDataResult
	Messages          []empty
}

type metricDataResult struct {
	Id         string
	Label      string
	Timestamps []*api.Time
	Values     []float64
	StatusCode string
}

func (s *Service) getMetricData(ctx context.Context, r *api.Request, in *metricDataInput) (*metricDataOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "cloudwatch:GetMetricData", Resource: "*"}); err != nil {
		return nil, err
	}
	if n := len(in.MetricDataQueries); n == 0 || n > maxQueries {
		return nil, invalid("The collection MetricDataQueries must have a size between 1 and %d.", maxQueries)
	}
	period, err := checkQueries(in.MetricDataQueries)
	if err != nil {
		return nil, err
	}
	from, to, step, err := timeRange(in.StartTime, in.EndTime, period)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.run(at(r), in.MetricDataQueries, from, to, step)
	if err != nil {
		return nil, err
	}
	out := &metricDataOutput{MetricDataResults: []metricDataResult{}, Messages: []empty{}}
	for _, q := range in.MetricDataQueries {
		if !q.returned() {
			continue
		}
		result := metricDataResult{Id: q.Id, Label: q.Label, StatusCode: "Complete", Timestamps: []*api.Time{}, Values: []float64{}}
		if result.Label == "" && q.MetricStat != nil {
			result.Label = q.MetricStat.Metric.MetricName
		}
		result.Label = cmp.Or(result.Label, q.Id)
		times := slices.Sorted(maps.Keys(found[q.Id]))
		if in.ScanBy != "TimestampAscending" {
			slices.Reverse(times)
		}
		for _, t := range times {
			result.Timestamps = append(result.Timestamps, api.NewTime(time.Unix(t, 0)))
			result.Values = append(result.Values, found[q.Id][t])
		}
		out.MetricDataResults = append(out.MetricDataResults, result)
	}
	return out, nil
}

// series is a result: values by the start of their period.
type series map[int64]float64

// checkQueries returns the period that the queries have in common.
func checkQueries(queries []query) (int, error) {
	period := 0
	seen := map[string]bool{}
	for _, q := range queries {
		if q.Id == "" || seen[q.Id] {
			return 0, invalid("The queries need ids, each once; %q is none.", q.Id)
		}
		seen[q.Id] = true
		p := q.Period
		switch {
		case (q.MetricStat == nil) == (q.Expression == ""):
			return 0, combination("Exactly one of MetricStat and Expression must be given for %s.", q.Id)
		case q.MetricStat != nil:
			if err := checkStatistic(q.MetricStat.Stat); err != nil {
				return 0, err
			}
			p = q.MetricStat.Period
		}
		if p != 0 && period != 0 && p != period {
			return 0, unsupported("queries of several periods in one call")
		}
		period = max(period, p)
	}
	return period, nil
}

// run computes the queries for the periods since from and before to. s.mu is
// held.
func (s *Service) run(p place, queries []query, from, to time.Time, period time.Duration) (map[string]series, error) {
	results := map[string]series{}
	for _, q := range queries {
		if q.MetricStat == nil {
			continue
		}
		wanted := q.MetricStat
		m := s.metrics[p][keyOf(wanted.Metric.Namespace, wanted.Metric.MetricName, wanted.Metric.Dimensions)]
		found := series{}
		for start := from; start.Before(to); start = start.Add(period) {
			sum := m.between(start, start.Add(period), wanted.Unit)
			if v, ok := sum.statistic(wanted.Stat); ok {
				found[start.Unix()] = v
			}
		}
		results[q.Id] = found
	}
	var times []int64
	for start := from; start.Before(to); start = start.Add(period) {
		times = append(times, start.Unix())
	}
	for _, q := range queries {
		if q.Expression == "" {
			continue
		}
		found, err := compute(q.Expression, results, times)
		if err != nil {
			return nil, shape(400, "ValidationError", "ValidationError", "Error in expression %q of %s: %v", q.Expression, q.Id, err)
		}
		results[q.Id] = found
	}
	return results, nil
}
