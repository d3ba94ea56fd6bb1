package alarms

import (
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Periods of metrics, in seconds.
const (
	fiveMinutes = 300
	hour        = 3600
)

// alarm is a line of the table.
type alarm struct {
	name    string // within the stack's
	tells   string // what happened, and what to do
	when    condition
	metrics []metric // of several, the expression joins their IDs
	math    string
}

// metric is a number of CloudWatch's.
type metric struct {
	id         string // in the expression
	namespace  string
	name       string
	dimensions map[string]string
	statistic  string
}

// condition is when an alarm is on.
type condition struct {
	comparison string
	threshold  float64
	period     int // seconds
	of         int // periods that count
	breaching  int // among them; 0: all
	missing    string

	// unknown has an alarm that lacks data tell the topic too.
	unknown bool
}

// Conditions that several alarms share. Metrics of events have no data where
// nothing happened.
var (
	happened = condition{"GreaterThanThreshold", 0, fiveMinutes, 1, 0, "notBreaching", false}

	// An audit's numbers bear the time at which it began, up to a quarter of an
	// hour before they are there. Until the next audit the alarm stays as it is.
	found = condition{"GreaterThanThreshold", 0, hour, 2, 1, "ignore", false}
)

// more is happened for what has to happen more often.
func (c condition) more(than float64) condition {
	c.threshold = than
	return c
}

func (a alarm) inputs(args Args) *cloudwatch.MetricAlarmArgs {
	inputs := &cloudwatch.MetricAlarmArgs{
		Name:               pulumi.String(args.Prefix + "-" + a.name),
		AlarmDescription:   pulumi.String(a.tells),
		ComparisonOperator: pulumi.String(a.when.comparison),
		Threshold:          pulumi.Float64(a.when.threshold),
		EvaluationPeriods:  pulumi.Int(a.when.of),
		TreatMissingData:   pulumi.String(a.when.missing),
		AlarmActions:       pulumi.Array{args.TopicARN},
		Tags:               pulumi.ToStringMap(args.Tags),
	}
	if a.when.breaching > 0 {
		inputs.DatapointsToAlarm = pulumi.Int(a.when.breaching)
	}
	if a.when.unknown {
		inputs.InsufficientDataActions = pulumi.Array{args.TopicARN}
	}
	if a.math == "" {
		m := a.metrics[0]
		inputs.Namespace, inputs.MetricName = pulumi.String(m.namespace), pulumi.String(m.name)
		inputs.Statistic, inputs.Period = pulumi.String(m.statistic), pulumi.Int(a.when.period)
		if len(m.dimensions) > 0 {
			inputs.Dimensions = pulumi.ToStringMap(m.dimensions)
		}
		return inputs
	}
	queries := cloudwatch.MetricAlarmMetricQueryArray{cloudwatch.MetricAlarmMetricQueryArgs{
		Id: pulumi.String("result"), Expression: pulumi.String(a.math), Label: pulumi.String(a.name), ReturnData: pulumi.Bool(true),
	}}
	for _, m := range a.metrics {
		query := cloudwatch.MetricAlarmMetricQueryMetricArgs{
			Namespace: pulumi.String(m.namespace), MetricName: pulumi.String(m.name), Stat: pulumi.String(m.statistic), Period: pulumi.Int(a.when.period),
		}
		if len(m.dimensions) > 0 {
			query.Dimensions = pulumi.ToStringMap(m.dimensions)
		}
		queries = append(queries, cloudwatch.MetricAlarmMetricQueryArgs{Id: pulumi.String(m.id), Metric: query, ReturnData: pulumi.Bool(false)})
	}
	inputs.MetricQueries = queries
	return inputs
}
