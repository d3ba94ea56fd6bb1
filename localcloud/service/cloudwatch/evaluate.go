package cloudwatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

// moreDatapoints are looked at beyond an alarm's evaluation periods, so that a
// late or missing datapoint is made up for by an older one: 5 in AWS's example
// of an alarm on 3 periods.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
const moreDatapoints = 2

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
}

// period is that of the alarm's queries.
func (a *alarm) period() time.Duration {
	for _, q := range a.queries {
		if q.MetricStat != nil {
			return time.Duration(q.MetricStat.Period) * time.Second
		}
	}
	return time.Duration(max(a.Period, 60)) * time.Second // an expression without a metric
}

// step is how often an alarm is evaluated: every minute, or every period if that
// is shorter. What is looked at by the hour or longer changes slowly, and is
// evaluated every five minutes, for AWS's rule would be much work for nothing when
// the clock moves by days.
func (a *alarm) step() time.Duration {
	if a.period() >= time.Hour {
		return 5 * time.Minute
	}
	return min(a.period(), time.Minute)
}

// plan has the alarm evaluated the next time. s.mu is held.
func (s *Service) plan(a *alarm) {
	a.stop()
	step := a.step()
	a.timer = s.env.Clock.AtFunc(s.env.Clock.Now().Truncate(step).Add(step), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.alarms[a.place][a.AlarmName] != a {
			return
		}
		a.timer = nil
		if s.evaluate(a) {
			s.plan(a)
		}
	})
}

// evaluate sets the alarm's state. It reports whether there are data left that
// a later evaluation would see differently. s.mu is held.
func (s *Service) evaluate(a *alarm) bool {
	period := a.period()
	now := s.env.Clock.Now().Truncate(min(period, time.Minute))
	n := a.EvaluationPeriods + moreDatapoints
	from := now.Add(-time.Duration(n) * period)
	results, err := s.run(a.place, a.queries, from, now, period)
	if err != nil {
		s.env.Log.Error("an alarm can't be evaluated", "alarm", a.arn, "error", err)
		return false
	}
	var found series
	more := false
	for _, q := range a.queries {
		if q.returned() {
			found = results[q.Id]
		}
		if q.MetricStat != nil {
			if m := s.metrics[a.place][q.key()]; m != nil && !m.newest.Before(from) {
				more = true
			}
		}
	}
	state, reason, data := a.judge(found, from, period)
	s.enter(a, state, reason, data)
	return more
}

// judge applies AWS's rules for M out of N datapoints and for missing ones: as
// many of the newest datapoints as there are evaluation periods count, wherever
// in the range they are, and only where there are fewer the setting for missing
// data does.
func (a *alarm) judge(found series, from time.Time, period time.Duration) (state, reason, data string) {
	m := a.DatapointsToAlarm
	if m == 0 {
		m = a.EvaluationPeriods
	}
	var points []float64
	var times []time.Time
	for i := a.EvaluationPeriods + moreDatapoints - 1; i >= 0 && len(points) < a.EvaluationPeriods; i-- {
		t := from.Add(time.Duration(i) * period)
		if v, ok := found[t.Unix()]; ok {
			points, times = append(points, v), append(times, t)
		}
	}
	breaching := 0
	for _, v := range points {
		if comparisons[a.ComparisonOperator].holds(v, *a.Threshold) {
			breaching++
		}
	}
	lacking := a.EvaluationPeriods - len(points)
	decided := stateOK
	switch {
	case breaching >= m:
		decided = stateAlarm
	case lacking == 0:
	case a.TreatMissingData == "breaching":
		if breaching+lacking >= m {
			decided = stateAlarm
		}
	case a.TreatMissingData == "notBreaching":
	case a.ignoresMissing():
		if len(points) == 0 || breaching >= min(m, len(points)) {
			return a.state, a.reason, a.reasonData
		}
	case len(points) == 0:
		return stateInsufficient, fmt.Sprintf("Insufficient Data: %d %s unknown.", a.EvaluationPeriods, plural(a.EvaluationPeriods, "datapoint was", "datapoints were")), ""
	case breaching >= min(m, len(points)):
		decided = stateAlarm
	}
	return decided, a.words(decided, points, times, lacking, m), a.data(points, times)
}

// ignoresMissing: alarms on DynamoDB's metrics do, whatever they are set to.
func (a *alarm) ignoresMissing() bool {
	return a.TreatMissingData == "ignore" || a.Namespace == "AWS/DynamoDB"
}

// words says in CloudWatch's way why an alarm is in a state.
func (a *alarm) words(state string, points []float64, times []time.Time, lacking, m int) string {
	if len(points) == 0 {
		treated := "NonBreaching"
		if state == stateAlarm {
			treated = "Breaching"
		}
		return fmt.Sprintf("Threshold Crossed: no datapoints were received for %d %s and %d missing %s treated as [%s].",
			lacking, plural(lacking, "period", "periods"), lacking, plural(lacking, "datapoint was", "datapoints were"), treated)
	}
	list := make([]string, len(points))
	for i, v := range points {
		list[i] = fmt.Sprintf("%s (%s)", number(v), times[i].UTC().Format("02/01/06 15:04:05"))
	}
	not := ""
	if state == stateOK {
		not = "not "
	}
	return fmt.Sprintf("Threshold Crossed: %d out of the last %d datapoints [%s] %s %s%s the threshold (%s) (minimum %d %s for %s transition).",
		len(points), a.EvaluationPeriods, strings.Join(list, ", "), plural(len(points), "was", "were"), not,
		comparisons[a.ComparisonOperator].words, number(*a.Threshold), m, plural(m, "datapoint", "datapoints"), transition(state))
}

func transition(state string) string {
	if state == stateAlarm {
		return "OK -> ALARM"
	}
	return "ALARM -> OK"
}

func number(v float64) string {
	text := fmt.Sprintf("%v", v)
	if !strings.ContainsAny(text, ".eN") {
		text += ".0"
	}
	return text
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// data is StateReasonData.
func (a *alarm) data(points []float64, times []time.Time) string {
	evaluated := make([]map[string]any, len(points))
	for i, v := range points {
		evaluated[i] = map[string]any{"timestamp": times[i].UTC().Format("2006-01-02T15:04:05.000-0700"), "value": v}
	}
	recent := slices.Clone(points)
	slices.Reverse(recent)
	text, _ := json.Marshal(map[string]any{ // numbers and strings can always be encoded
		"version": "1.0", "period": int(a.period().Seconds()), "threshold": *a.Threshold,
		"recentDatapoints": recent, "evaluatedDatapoints": evaluated,
	})
	return string(text)
}

// enter puts the alarm into a state. If it is another, the actions for it are
// carried out and EventBridge hears of it. s.mu is held.
func (s *Service) enter(a *alarm, state, reason, data string) {
	now := s.env.Clock.Now()
	old := a.output()
	if state == old.StateValue {
		return
	}
	a.state, a.reason, a.reasonData, a.stateUpdated, a.transitioned = state, reason, data, now, now
	current := a.output()
	caller := api.Caller{Account: a.place.account, Service: "cloudwatch.amazonaws.com", SourceARN: a.arn}
	ctx := context.Background() // outlives every request
	event := stateChange(a, old, current)
	s.env.Clock.Go(func() { s.actions.bus.Deliver(ctx, a.place.account, a.place.region, event) })
	if !*a.ActionsEnabled {
		return
	}
	subject, message, payload := notification(a, old, current), newMessage(a, old, current), invocation(a, event)
	for _, action := range a.actionsFor(state) {
		s.env.Clock.Go(func() {
			var err error
			switch {
			case strings.HasPrefix(action, "arn:aws:lambda:"):
				lambda := caller
				lambda.Service = "lambda.alarms.cloudwatch.amazonaws.com"
				err = s.actions.functions.InvokeAsync(ctx, lambda, action, payload)
			case s.actions.topics == nil:
				err = errors.New("there is no SNS")
			default:
				err = s.actions.topics.Publish(ctx, caller, action, subject, message)
			}
			if err != nil {
				s.env.Log.WarnContext(ctx, "an alarm's action failed", "alarm", current.AlarmName, "action", action, "error", err)
			}
		})
	}
}

func (a *alarm) actionsFor(state string) []string {
	return slices.Clone(map[string][]string{
		stateOK: a.OKActions, stateAlarm: a.AlarmActions, stateInsufficient: a.InsufficientDataActions,
	}[state])
}

// stateChange is the event for EventBridge.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
func stateChange(a *alarm, old, current alarmOutput) map[string]any {
	at := func(o alarmOutput) map[string]any {
		state := map[string]any{
			"value": o.StateValue, "reason": o.StateReason,
			"timestamp": o.StateUpdatedTimestamp.UTC().Format("2006-01-02T15:04:05.000-0700"),
		}
		if o.StateReasonData != "" {
			state["reasonData"] = o.StateReasonData
		}
		return state
	}
	metrics := make([]any, len(a.queries))
	for i, q := range a.queries {
		m := map[string]any{"id": q.Id, "returnData": q.returned()}
		if q.MetricStat != nil {
			dimensions := map[string]string{}
			for _, d := range q.MetricStat.Metric.Dimensions {
				dimensions[d.Name] = d.Value
			}
			m["metricStat"] = map[string]any{
				"metric": map[string]any{"namespace": q.MetricStat.Metric.Namespace, "name": q.MetricStat.Metric.MetricName, "dimensions": dimensions},
				"period": q.MetricStat.Period, "stat": q.MetricStat.Stat,
			}
		} else {
			m["expression"] = q.Expression
		}
		metrics[i] = m
	}
	return map[string]any{
		"id": uuid.NewString(), "detail-type": "CloudWatch Alarm State Change", "source": "aws.cloudwatch",
		"resources": []string{a.arn},
		"detail": map[string]any{
			"alarmName": a.AlarmName, "state": at(current), "previousState": at(old),
			"configuration": map[string]any{"description": a.AlarmDescription, "metrics": metrics},
		},
	}
}

// notification is the subject of the message to a topic.
func notification(a *alarm, _, current alarmOutput) string {
	subject := fmt.Sprintf("%s: %q in %s", current.StateValue, a.AlarmName, a.place.region)
	return subject[:min(len(subject), 100)] // SNS's limit
}

// newMessage is what a topic gets.
func newMessage(a *alarm, old, current alarmOutput) string {
	type namedDimension struct {
		Value string `json:"value"`
		Name  string `json:"name"`
	}
	trigger := map[string]any{
		"Period": int(a.period().Seconds()), "EvaluationPeriods": a.EvaluationPeriods, "ComparisonOperator": a.ComparisonOperator,
		"Threshold": *a.Threshold, "TreatMissingData": a.TreatMissingData,
		"EvaluateLowSampleCountPercentile": a.EvaluateLowSampleCountPercentile,
	}
	if a.DatapointsToAlarm != 0 {
		trigger["DatapointsToAlarm"] = a.DatapointsToAlarm
	}
	if a.MetricName != "" {
		dimensions := []namedDimension{}
		for _, d := range a.Dimensions {
			dimensions = append(dimensions, namedDimension{d.Value, d.Name})
		}
		trigger["MetricName"], trigger["Namespace"], trigger["Dimensions"], trigger["Unit"] = a.MetricName, a.Namespace, dimensions, orNull(a.Unit)
		trigger["StatisticType"], trigger["Statistic"] = "Statistic", strings.ToUpper(a.Statistic)
		if a.ExtendedStatistic != "" {
			trigger["StatisticType"], trigger["Statistic"] = "ExtendedStatistic", a.ExtendedStatistic
		}
	} else {
		trigger["Metrics"] = a.Metrics
	}
	text, _ := json.Marshal(map[string]any{ // all of it came from JSON
		"AlarmName": a.AlarmName, "AlarmDescription": orNull(a.AlarmDescription), "AWSAccountId": a.place.account,
		"AlarmConfigurationUpdatedTimestamp": a.updated.UTC().Format("2006-01-02T15:04:05.000-0700"),
		"NewStateValue":                      current.StateValue, "NewStateReason": current.StateReason,
		"StateChangeTime": current.StateUpdatedTimestamp.UTC().Format("2006-01-02T15:04:05.000-0700"),
		"Region":          a.place.region, "AlarmArn": a.arn, "OldStateValue": old.StateValue,
		"OKActions": list(a.OKActions), "AlarmActions": list(a.AlarmActions), "InsufficientDataActions": list(a.InsufficientDataActions),
		"Trigger": trigger,
	})
	return string(text)
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func list(s []string) []string { return append([]string{}, s...) }

// invocation is what a Lambda function gets.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html
func invocation(a *alarm, event map[string]any) []byte {
	payload, _ := json.Marshal(map[string]any{ // made of strings and numbers
		"source": "aws.cloudwatch", "alarmArn": a.arn, "accountId": a.place.account, "region": a.place.region,
		"time": a.stateUpdated.UTC().Format("2006-01-02T15:04:05.000-0700"), "alarmData": event["detail"],
	})
	return payload
}
