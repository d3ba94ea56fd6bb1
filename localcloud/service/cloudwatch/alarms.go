package cloudwatch

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/clock"
)

// The states of an alarm.
const (
	stateOK           = "OK"
	stateAlarm        = "ALARM"
	stateInsufficient = "INSUFFICIENT_DATA"
)

// settings are what PutMetricAlarm sets and DescribeAlarms shows.
type settings struct {
	AlarmName                        string
	AlarmDescription                 string      `json:",omitempty"`
	ActionsEnabled                   *bool       `json:",omitempty"`
	OKActions                        []string    `json:",omitempty"`
	AlarmActions                     []string    `json:",omitempty"`
	InsufficientDataActions          []string    `json:",omitempty"`
	MetricName                       string      `json:",omitempty"`
	Namespace                        string      `json:",omitempty"`
	Statistic                        string      `json:",omitempty"`
	ExtendedStatistic                string      `json:",omitempty"`
	Dimensions                       []dimension `json:",omitempty"`
	Period                           int         `json:",omitempty"`
	Unit                             string      `json:",omitempty"`
	EvaluationPeriods                int
	DatapointsToAlarm                int      `json:",omitempty"`
	Threshold                        *float64 `json:",omitempty"`
	ComparisonOperator               string
	TreatMissingData                 string  `json:",omitempty"`
	EvaluateLowSampleCountPercentile string  `json:",omitempty"`
	Metrics                          []query `json:",omitempty"`
}

type alarm struct {
	settings
	place   place
	arn     string
	tags    map[string]string
	queries []query // also for an alarm on one metric
	timer   *clock.Timer

	updated      time.Time // the settings
	state        string
	reason       string
	reasonData   string
	stateUpdated time.Time
	transitioned time.Time
}

// watches tells whether the alarm's state depends on a metric.
func (a *alarm) watches(k metricKey) bool {
	return slices.ContainsFunc(a.queries, func(q query) bool { return q.MetricStat != nil && q.key() == k })
}

func (q query) key() metricKey {
	return keyOf(q.MetricStat.Metric.Namespace, q.MetricStat.Metric.MetricName, q.MetricStat.Metric.Dimensions)
}

type putMetricAlarmInput struct {
	settings
	Tags []tag
}

// The comparisons with a threshold, in the words of an alarm's reason.
var comparisons = map[string]struct {
	words string
	holds func(v, threshold float64) bool
}{
	"GreaterThanThreshold":          {"greater than", func(v, t float64) bool { return v > t }},
	"GreaterThanOrEqualToThreshold": {"greater than or equal to", func(v, t float64) bool { return v >= t }},
	"LessThanThreshold":             {"less than", func(v, t float64) bool { return v < t }},
	"LessThanOrEqualToThreshold":    {"less than or equal to", func(v, t float64) bool { return v <= t }},
}

func (in *settings) check() error {
	switch {
	case in.AlarmName == "":
		return missing("AlarmName")
	case in.EvaluationPeriods < 1:
		return invalid("The parameter EvaluationPeriods must be greater than or equal to 1.")
	case in.DatapointsToAlarm < 0 || in.DatapointsToAlarm > in.EvaluationPeriods:
		return invalid("The parameter DatapointsToAlarm must be between 1 and EvaluationPeriods.")
	case comparisons[in.ComparisonOperator].holds == nil:
		return invalid("The emulator knows no ComparisonOperator %q.", in.ComparisonOperator)
	case in.Threshold == nil:
		return missing("Threshold")
	case !slices.Contains([]string{"", "breaching", "notBreaching", "ignore", "missing"}, in.TreatMissingData):
		return invalid("The parameter TreatMissingData must be breaching, notBreaching, ignore or missing.")
	case !slices.Contains([]string{"", "evaluate"}, in.EvaluateLowSampleCountPercentile):
		return unsupported("EvaluateLowSampleCountPercentile " + strconv.Quote(in.EvaluateLowSampleCountPercentile))
	}
	for _, actions := range [][]string{in.AlarmActions, in.OKActions, in.InsufficientDataActions} {
		if len(actions) > 5 {
			return invalid("An alarm can have at most 5 actions for a state.")
		}
		for _, action := range actions {
			if !strings.HasPrefix(action, "arn:aws:sns:") && !strings.HasPrefix(action, "arn:aws:lambda:") {
				return unsupported("the alarm action " + strconv.Quote(action))
			}
		}
	}
	return nil
}

// resolve turns the settings into queries with a common period.
func (in *settings) resolve() ([]query, int, error) {
	queries, period := in.Metrics, in.Period
	if len(queries) == 0 {
		switch {
		case in.MetricName == "":
			return nil, 0, missing("MetricName")
		case in.Namespace == "":
			return nil, 0, missing("Namespace")
		case (in.Statistic == "") == (in.ExtendedStatistic == ""):
			return nil, 0, combination("Exactly one of Statistic and ExtendedStatistic must be specified.")
		}
		if err := checkDimensions("PutMetricAlarm", in.Dimensions); err != nil {
			return nil, 0, err
		}
		queries = []query{{Id: "m1", MetricStat: &stat{
			Metric: metricOutput{in.Namespace, in.MetricName, in.Dimensions},
			Period: in.Period, Stat: cmp.Or(in.Statistic, in.ExtendedStatistic), Unit: in.Unit,
		}}}
	} else if in.MetricName != "" || in.Namespace != "" || in.Statistic != "" || in.ExtendedStatistic != "" || in.Period != 0 || in.Unit != "" || len(in.Dimensions) > 0 {
		return nil, 0, combination("Metrics and the parameters of one metric can't be used together.")
	}
	// Expressions may stand before the metrics that they are about.
	queries = slices.Clone(queries)
	slices.SortStableFunc(queries, func(a, b query) int { return strings.Compare(a.Expression, "") - strings.Compare(b.Expression, "") })
	p, err := checkQueries(queries)
	if err != nil {
		return nil, 0, err
	}
	period = max(period, p)
	results := 0
	known := map[string]series{}
	for _, q := range queries {
		if q.returned() {
			results++
		}
		if q.Expression != "" {
			if _, err := compute(q.Expression, known, nil); err != nil {
				return nil, 0, invalid("Error in expression %q of %s: %v", q.Expression, q.Id, err)
			}
		}
		known[q.Id] = nil
	}
	if results != 1 {
		return nil, 0, invalid("Exactly one element of Metrics must return data, not %d.", results)
	}
	if !slices.Contains([]int{10, 20, 30}, period) && (period <= 0 || period%60 != 0) {
		return nil, 0, invalid("The parameter Period must be 10, 20, 30 or a multiple of 60.")
	}
	if total := period * in.EvaluationPeriods; total > 7*86400 || (total > 86400 && period < 3600) {
		return nil, 0, invalid("Metrics cannot be checked across more than seven days, or a day for periods under an hour (EvaluationPeriods * Period).")
	}
	return queries, period, nil
}

// putMetricAlarm makes an alarm or replaces its settings. Its state stays, or
// begins as INSUFFICIENT_DATA; tags count only when it is new.
func (s *Service) putMetricAlarm(ctx context.Context, r *api.Request, in *putMetricAlarmInput) (*empty, error) {
	arn := r.ARN("cloudwatch", "alarm:"+in.AlarmName)
	r.TrailResources = []string{arn}
	if err := r.Authorize(ctx, api.Check{Action: "cloudwatch:PutMetricAlarm", Resource: arn}); err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 {
		if err := r.Authorize(ctx, api.Check{Action: "cloudwatch:TagResource", Resource: arn}); err != nil {
			return nil, err
		}
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	queries, _, err := in.resolve()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alarms[at(r)] == nil {
		s.alarms[at(r)] = map[string]*alarm{}
	}
	a := s.alarms[at(r)][in.AlarmName]
	if a == nil {
		a = &alarm{
			place: at(r), arn: arn, tags: map[string]string{}, state: stateInsufficient,
			reason: "Unchecked: Initial alarm creation", stateUpdated: r.Time, transitioned: r.Time,
		}
		for _, t := range in.Tags {
			a.tags[t.Key] = t.Value
		}
		s.alarms[at(r)][in.AlarmName] = a
	}
	a.settings, a.queries, a.updated = in.settings, queries, r.Time
	if a.ActionsEnabled == nil {
		yes := true
		a.ActionsEnabled = &yes
	}
	s.plan(a)
	return nil, nil //nolint:nilnil // an operation without a result
}

type describeAlarmsInput struct {
	AlarmNames                                           []string
	AlarmTypes                                           []string
	AlarmNamePrefix, StateValue, ActionPrefix, NextToken string
	MaxRecords                                           int
}

type describeAlarmsOutput struct {
	MetricAlarms    []alarmOutput
	CompositeAlarms []empty
	NextToken       string `json:",omitempty"`
}

type alarmOutput struct {
	settings
	AlarmArn                           string
	AlarmConfigurationUpdatedTimestamp *api.Time
	StateValue, StateReason            string
	StateReasonData                    string `json:",omitempty"`
	StateUpdatedTimestamp              *api.Time
	StateTransitionedTimestamp         *api.Time
}

func (a *alarm) output() alarmOutput {
	return alarmOutput{
		settings: a.settings, AlarmArn: a.arn, AlarmConfigurationUpdatedTimestamp: api.NewTime(a.updated),
		StateValue: a.state, StateReason: a.reason, StateReasonData: a.reasonData,
		StateUpdatedTimestamp: api.NewTime(a.stateUpdated), StateTransitionedTimestamp: api.NewTime(a.transitioned),
	}
}

func (s *Service) describeAlarms(ctx context.Context, r *api.Request, in *describeAlarmsInput) (*describeAlarmsOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "cloudwatch:DescribeAlarms", Resource: r.ARN("cloudwatch", "alarm:*")}); err != nil {
		return nil, err
	}
	if len(in.AlarmNames) > 0 && in.AlarmNamePrefix != "" {
		return nil, combination("AlarmNames and AlarmNamePrefix can't be used together.")
	}
	if in.MaxRecords < 0 || in.MaxRecords > 100 {
		return nil, invalid("The parameter MaxRecords must be between 1 and 100.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []alarmOutput{}
	for _, name := range sortedKeys(s.alarms[at(r)]) {
		a := s.alarms[at(r)][name]
		if (len(in.AlarmNames) == 0 || slices.Contains(in.AlarmNames, name)) && strings.HasPrefix(name, in.AlarmNamePrefix) &&
			(len(in.AlarmTypes) == 0 || slices.Contains(in.AlarmTypes, "MetricAlarm")) &&
			(in.StateValue == "" || in.StateValue == a.state) && a.actsOn(in.ActionPrefix) {
			found = append(found, a.output())
		}
	}
	start, err := offset(in.NextToken, len(found))
	if err != nil {
		return nil, err
	}
	end := min(start+cmp.Or(in.MaxRecords, 50), len(found))
	out := &describeAlarmsOutput{MetricAlarms: found[start:end], CompositeAlarms: []empty{}}
	if end < len(found) {
		out.NextToken = strconv.Itoa(end)
	}
	return out, nil
}

func (a *alarm) actsOn(prefix string) bool {
	return prefix == "" || slices.ContainsFunc(slices.Concat(a.AlarmActions, a.OKActions, a.InsufficientDataActions),
		func(action string) bool { return strings.HasPrefix(action, prefix) })
}

type alarmNamesInput struct{ AlarmNames []string }

// each authorizes a call for alarms by name and does it for those that exist.
func (s *Service) each(ctx context.Context, r *api.Request, action string, names []string, do func(*alarm)) (*empty, error) {
	if len(names) == 0 {
		return nil, missing("AlarmNames")
	}
	if len(names) > 100 {
		return nil, invalid("The collection AlarmNames must not have a size greater than 100.")
	}
	for _, name := range names {
		arn := r.ARN("cloudwatch", "alarm:"+name)
		r.TrailResources = append(r.TrailResources, arn)
		if err := r.Authorize(ctx, api.Check{Action: "cloudwatch:" + action, Resource: arn}); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if a := s.alarms[at(r)][name]; a != nil {
			do(a)
		}
	}
	return nil, nil //nolint:nilnil // an operation without a result
}

func (s *Service) deleteAlarms(ctx context.Context, r *api.Request, in *alarmNamesInput) (*empty, error) {
	return s.each(ctx, r, "DeleteAlarms", in.AlarmNames, func(a *alarm) {
		a.stop()
		delete(s.alarms[a.place], a.AlarmName)
	})
}

func (s *Service) enableAlarmActions(ctx context.Context, r *api.Request, in *alarmNamesInput) (*empty, error) {
	yes := true
	return s.each(ctx, r, "EnableAlarmActions", in.AlarmNames, func(a *alarm) { a.ActionsEnabled = &yes })
}

func (s *Service) disableAlarmActions(ctx context.Context, r *api.Request, in *alarmNamesInput) (*empty, error) {
	no := false
	return s.each(ctx, r, "DisableAlarmActions", in.AlarmNames, func(a *alarm) { a.ActionsEnabled = &no })
}

type setAlarmStateInput struct {
	AlarmName, StateValue, StateReason, StateReasonData string
}

// setAlarmState sets a state until the next evaluation finds another.
func (s *Service) setAlarmState(ctx context.Context, r *api.Request, in *setAlarmStateInput) (*empty, error) {
	arn := r.ARN("cloudwatch", "alarm:"+in.AlarmName)
	r.TrailResources = []string{arn}
	if err := r.Authorize(ctx, api.Check{Action: "cloudwatch:SetAlarmState", Resource: arn}); err != nil {
		return nil, err
	}
	if !slices.Contains([]string{stateOK, stateAlarm, stateInsufficient}, in.StateValue) {
		return nil, invalid("The parameter StateValue must be OK, ALARM or INSUFFICIENT_DATA.")
	}
	if in.StateReason == "" {
		return nil, missing("StateReason")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.alarms[at(r)][in.AlarmName]
	if a == nil {
		return nil, shape(http.StatusNotFound, "ResourceNotFound", "ResourceNotFound", "The alarm %s doesn't exist.", in.AlarmName)
	}
	s.enter(a, in.StateValue, in.StateReason, in.StateReasonData)
	s.plan(a)
	return nil, nil //nolint:nilnil // an operation without a result
}
