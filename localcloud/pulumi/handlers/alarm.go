package handlers

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// metricAlarm is a CloudWatch alarm on one metric or on arithmetic with several;
// its ID is its name. Periods are in seconds.
type metricAlarm struct {
	ActionsEnabled                    bool              `json:"actionsEnabled" prop:"in,default=true"`
	AlarmActions                      []string          `json:"alarmActions,omitempty" prop:"in,set"`
	AlarmDescription                  string            `json:"alarmDescription,omitempty" prop:"in"`
	ARN                               string            `json:"arn" prop:"out"`
	ComparisonOperator                string            `json:"comparisonOperator" prop:"in,required"`
	DatapointsToAlarm                 int32             `json:"datapointsToAlarm,omitempty" prop:"in"`
	Dimensions                        map[string]string `json:"dimensions,omitempty" prop:"in"`
	EvaluateLowSampleCountPercentiles string            `json:"evaluateLowSampleCountPercentiles" prop:"in,out"`
	EvaluationPeriods                 int32             `json:"evaluationPeriods" prop:"in,required"`
	ExtendedStatistic                 string            `json:"extendedStatistic,omitempty" prop:"in"`
	InsufficientDataActions           []string          `json:"insufficientDataActions,omitempty" prop:"in,set"`
	MetricName                        string            `json:"metricName,omitempty" prop:"in"`
	MetricQueries                     []metricQuery     `json:"metricQueries,omitempty" prop:"in,set"`
	Name                              string            `json:"name" prop:"in,replace,auto=255"`
	Namespace                         string            `json:"namespace,omitempty" prop:"in"`
	OKActions                         []string          `json:"okActions,omitempty" prop:"in,set"`
	Period                            int32             `json:"period,omitempty" prop:"in"`
	Statistic                         string            `json:"statistic,omitempty" prop:"in"`
	Threshold                         float64           `json:"threshold" prop:"in"`
	TreatMissingData                  string            `json:"treatMissingData" prop:"in,default=\"missing\""`
	Unit                              string            `json:"unit,omitempty" prop:"in"`
	tagged
}

type metricQuery struct {
	Expression string         `json:"expression,omitempty" prop:"in"`
	ID         string         `json:"id" prop:"in,required,key"`
	Label      string         `json:"label,omitempty" prop:"in"`
	Metric     *queriedMetric `json:"metric,omitempty" prop:"in"`
	Period     int32          `json:"period,omitempty" prop:"in"`
	ReturnData bool           `json:"returnData" prop:"in,default=false"`
}

type queriedMetric struct {
	Dimensions map[string]string `json:"dimensions,omitempty" prop:"in"`
	MetricName string            `json:"metricName" prop:"in,required"`
	Namespace  string            `json:"namespace,omitempty" prop:"in"`
	Period     int32             `json:"period" prop:"in,required"`
	Stat       string            `json:"stat" prop:"in,required"`
	Unit       string            `json:"unit,omitempty" prop:"in"`
}

func metricAlarmKind() resourceType {
	return kind[metricAlarm]{
		token: "aws:cloudwatch/metricAlarm:MetricAlarm",
		create: func(ctx context.Context, c *clients, a *metricAlarm) (string, error) {
			input := a.request()
			input.Tags = tagList(a.Tags, cloudwatchTag)
			if _, err := c.cloudwatch.PutMetricAlarm(ctx, input); err != nil {
				return "", err
			}
			return a.Name, nil
		},
		read: readMetricAlarm,
		update: func(ctx context.Context, c *clients, _ string, old, a *metricAlarm) error {
			if _, err := c.cloudwatch.PutMetricAlarm(ctx, a.request()); err != nil {
				return err
			}
			put, remove := tagChanges(old.Tags, a.Tags)
			if len(remove) > 0 {
				if _, err := c.cloudwatch.UntagResource(ctx, &cloudwatch.UntagResourceInput{ResourceARN: &old.ARN, TagKeys: remove}); err != nil {
					return err
				}
			}
			if len(put) > 0 {
				if _, err := c.cloudwatch.TagResource(ctx, &cloudwatch.TagResourceInput{ResourceARN: &old.ARN, Tags: tagList(put, cloudwatchTag)}); err != nil {
					return err
				}
			}
			return nil
		},
		remove: func(ctx context.Context, c *clients, id string, _ *metricAlarm) error {
			_, err := c.cloudwatch.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{id}})
			return unlessGone[*cwtypes.ResourceNotFound](err)
		},
	}
}

func cloudwatchTag(key, value string) cwtypes.Tag { return cwtypes.Tag{Key: &key, Value: &value} }

func (a *metricAlarm) request() *cloudwatch.PutMetricAlarmInput {
	input := &cloudwatch.PutMetricAlarmInput{
		ActionsEnabled:                   &a.ActionsEnabled,
		AlarmActions:                     a.AlarmActions,
		AlarmDescription:                 optional(a.AlarmDescription),
		AlarmName:                        &a.Name,
		ComparisonOperator:               cwtypes.ComparisonOperator(a.ComparisonOperator),
		EvaluateLowSampleCountPercentile: optional(a.EvaluateLowSampleCountPercentiles),
		EvaluationPeriods:                &a.EvaluationPeriods,
		ExtendedStatistic:                optional(a.ExtendedStatistic),
		InsufficientDataActions:          a.InsufficientDataActions,
		MetricName:                       optional(a.MetricName),
		Namespace:                        optional(a.Namespace),
		OKActions:                        a.OKActions,
		Statistic:                        cwtypes.Statistic(a.Statistic),
		Threshold:                        &a.Threshold,
		TreatMissingData:                 optional(a.TreatMissingData),
		Unit:                             cwtypes.StandardUnit(a.Unit),
		Dimensions:                       tagList(a.Dimensions, cloudwatchDimension),
	}
	for _, q := range a.MetricQueries {
		input.Metrics = append(input.Metrics, q.request())
	}
	if a.DatapointsToAlarm != 0 {
		input.DatapointsToAlarm = &a.DatapointsToAlarm
	}
	if a.Period != 0 {
		input.Period = &a.Period
	}
	return input
}

func cloudwatchDimension(name, value string) cwtypes.Dimension {
	return cwtypes.Dimension{Name: &name, Value: &value}
}

func dimensionMap(list []cwtypes.Dimension) map[string]string {
	if len(list) == 0 {
		return nil
	}
	return tagMap(list, func(d cwtypes.Dimension) (key, value *string) { return d.Name, d.Value })
}

func (q metricQuery) request() cwtypes.MetricDataQuery {
	out := cwtypes.MetricDataQuery{
		Expression: optional(q.Expression), Id: &q.ID, Label: optional(q.Label), Period: positive(q.Period), ReturnData: &q.ReturnData,
	}
	if m := q.Metric; m != nil {
		out.MetricStat = &cwtypes.MetricStat{
			Metric: &cwtypes.Metric{MetricName: &m.MetricName, Namespace: optional(m.Namespace), Dimensions: tagList(m.Dimensions, cloudwatchDimension)},
			Period: &m.Period, Stat: &m.Stat, Unit: cwtypes.StandardUnit(m.Unit),
		}
	}
	return out
}

func readQuery(q cwtypes.MetricDataQuery) metricQuery {
	out := metricQuery{
		Expression: aws.ToString(q.Expression), ID: aws.ToString(q.Id), Label: aws.ToString(q.Label), Period: aws.ToInt32(q.Period), ReturnData: aws.ToBool(q.ReturnData),
	}
	if m := q.MetricStat; m != nil {
		out.Metric = &queriedMetric{
			dimensionMap(m.Metric.Dimensions), aws.ToString(m.Metric.MetricName), aws.ToString(m.Metric.Namespace), aws.ToInt32(m.Period), aws.ToString(m.Stat), string(m.Unit),
		}
	}
	return out
}

func readMetricAlarm(ctx context.Context, c *clients, id string, a *metricAlarm) error {
	got, err := c.cloudwatch.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{id}})
	if err != nil {
		return err
	}
	if len(got.MetricAlarms) == 0 {
		return errNotFound
	}
	m := got.MetricAlarms[0]
	*a = metricAlarm{
		ActionsEnabled:                    aws.ToBool(m.ActionsEnabled),
		AlarmActions:                      m.AlarmActions,
		AlarmDescription:                  aws.ToString(m.AlarmDescription),
		ARN:                               aws.ToString(m.AlarmArn),
		ComparisonOperator:                string(m.ComparisonOperator),
		DatapointsToAlarm:                 aws.ToInt32(m.DatapointsToAlarm),
		EvaluateLowSampleCountPercentiles: aws.ToString(m.EvaluateLowSampleCountPercentile),
		EvaluationPeriods:                 aws.ToInt32(m.EvaluationPeriods),
		ExtendedStatistic:                 aws.ToString(m.ExtendedStatistic),
		InsufficientDataActions:           m.InsufficientDataActions,
		MetricName:                        aws.ToString(m.MetricName),
		Name:                              aws.ToString(m.AlarmName),
		Namespace:                         aws.ToString(m.Namespace),
		OKActions:                         m.OKActions,
		Period:                            aws.ToInt32(m.Period),
		Statistic:                         string(m.Statistic),
		Threshold:                         aws.ToFloat64(m.Threshold),
		TreatMissingData:                  aws.ToString(m.TreatMissingData),
		Unit:                              string(m.Unit),
	}
	a.Dimensions = dimensionMap(m.Dimensions)
	for _, q := range m.Metrics {
		a.MetricQueries = append(a.MetricQueries, readQuery(q))
	}
	listed, err := c.cloudwatch.ListTagsForResource(ctx, &cloudwatch.ListTagsForResourceInput{ResourceARN: m.AlarmArn})
	if err != nil {
		return gone[*cwtypes.ResourceNotFoundException](err)
	}
	a.setTags(tagMap(listed.Tags, func(tag cwtypes.Tag) (key, value *string) { return tag.Key, tag.Value }))
	return nil
}
