package cloudwatch_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/faults"
)

// noon is when the worlds begin: on a minute, so that a test knows its periods.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type world struct {
	*testing.T
	cloud  *localcloud.Cloud
	client *cloudwatch.Client
}

func start(t *testing.T) world {
	cloud, err := localcloud.New(localcloud.WithStart(noon))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	return world{t, cloud, cloudwatch.NewFromConfig(cloud.Config("us-east-1"))}
}

func (w world) put(name string, values ...float64) {
	w.Helper()
	for _, v := range values {
		_, err := w.client.PutMetricData(w.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: []types.MetricDatum{
			{MetricName: &name, Value: aws.Float64(v), Unit: types.StandardUnitCount, Dimensions: []types.Dimension{{Name: aws.String("Kind"), Value: aws.String("a")}}},
		}})
		require.NoError(w, err)
	}
}

func (w world) advance(d time.Duration) {
	w.Helper()
	require.NoError(w, w.cloud.Advance(w.Context(), d))
}

func code(t *testing.T, err error) string {
	t.Helper()
	var e smithy.APIError
	require.ErrorAs(t, err, &e)
	return e.ErrorCode()
}

func TestStatisticsOfWhatWasReported(t *testing.T) {
	w := start(t)
	w.put("Reads", 1, 2, 3, 4)
	w.advance(time.Minute)
	w.put("Reads", 10)
	out, err := w.client.GetMetricStatistics(t.Context(), &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String("Test"), MetricName: aws.String("Reads"), Period: aws.Int32(60),
		Dimensions: []types.Dimension{{Name: aws.String("Kind"), Value: aws.String("a")}},
		StartTime:  aws.Time(noon), EndTime: aws.Time(noon.Add(10 * time.Minute)),
		Statistics:         []types.Statistic{"Sum", "Average", "Minimum", "Maximum", "SampleCount"},
		ExtendedStatistics: []string{"p50", "p99.9"},
	})
	require.NoError(t, err)
	require.Len(t, out.Datapoints, 2)
	out.Datapoints[0].Timestamp = aws.Time(out.Datapoints[0].Timestamp.UTC())
	assert.Equal(t, types.Datapoint{
		Timestamp: aws.Time(noon), Unit: "Count", Sum: aws.Float64(10), Average: aws.Float64(2.5), Minimum: aws.Float64(1),
		Maximum: aws.Float64(4), SampleCount: aws.Float64(4), ExtendedStatistics: map[string]float64{"p50": 2, "p99.9": 4},
	}, out.Datapoints[0])
	assert.InDelta(t, 10, *out.Datapoints[1].Sum, 0)

	data, err := w.client.GetMetricData(t.Context(), &cloudwatch.GetMetricDataInput{
		StartTime: aws.Time(noon), EndTime: aws.Time(noon.Add(10 * time.Minute)), ScanBy: types.ScanByTimestampAscending,
		MetricDataQueries: []types.MetricDataQuery{
			{Id: aws.String("r"), ReturnData: aws.Bool(false), MetricStat: &types.MetricStat{Period: aws.Int32(60), Stat: aws.String("Sum"), Metric: &types.Metric{
				Namespace: aws.String("Test"), MetricName: aws.String("Reads"), Dimensions: []types.Dimension{{Name: aws.String("Kind"), Value: aws.String("a")}},
			}}},
			{Id: aws.String("double"), Expression: aws.String("2 * r"), Label: aws.String("twice")},
		},
	})
	require.NoError(t, err)
	require.Len(t, data.MetricDataResults, 1)
	assert.Equal(t, []float64{20, 20}, data.MetricDataResults[0].Values)
	require.Len(t, data.MetricDataResults[0].Timestamps, 2)
	assert.WithinDuration(t, noon, data.MetricDataResults[0].Timestamps[0], 0)
	assert.Equal(t, "twice", *data.MetricDataResults[0].Label)

	list, err := w.client.ListMetrics(t.Context(), &cloudwatch.ListMetricsInput{Dimensions: []types.DimensionFilter{{Name: aws.String("Kind")}}})
	require.NoError(t, err)
	require.Len(t, list.Metrics, 1)
	assert.Equal(t, "Reads", *list.Metrics[0].MetricName)
	w.advance(15 * 24 * time.Hour)
	list, err = w.client.ListMetrics(t.Context(), &cloudwatch.ListMetricsInput{})
	require.NoError(t, err)
	assert.Empty(t, list.Metrics, "metrics without data for two weeks aren't listed")
}

func TestWhatIsNoMetricIsRefused(t *testing.T) {
	w := start(t)
	value := aws.Float64(1)
	for name, c := range map[string]struct {
		namespace string
		datum     types.MetricDatum
		code      string
	}{
		"a namespace of AWS": {"AWS/Lambda", types.MetricDatum{MetricName: aws.String("m"), Value: value}, "InvalidParameterValue"},
		"no value":           {"Test", types.MetricDatum{MetricName: aws.String("m")}, "InvalidParameterCombination"},
		"no name":            {"Test", types.MetricDatum{MetricName: aws.String(""), Value: value}, "MissingParameter"},
		"too old":            {"Test", types.MetricDatum{MetricName: aws.String("m"), Value: value, Timestamp: aws.Time(noon.AddDate(0, 0, -15))}, "InvalidParameterValue"},
		"too early":          {"Test", types.MetricDatum{MetricName: aws.String("m"), Value: value, Timestamp: aws.Time(noon.Add(3 * time.Hour))}, "InvalidParameterValue"},
		"a resolution":       {"Test", types.MetricDatum{MetricName: aws.String("m"), Value: value, StorageResolution: aws.Int32(5)}, "InvalidParameterValue"},
		"two dimensions of one name": {"Test", types.MetricDatum{MetricName: aws.String("m"), Value: value, Dimensions: []types.Dimension{
			{Name: aws.String("a"), Value: aws.String("1")}, {Name: aws.String("a"), Value: aws.String("2")}}}, "InvalidParameterValue"},
	} {
		_, err := w.client.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: &c.namespace, MetricData: []types.MetricDatum{c.datum}})
		require.Error(t, err, name)
		assert.Equal(t, c.code, code(t, err), name)
	}
	assert.Empty(t, w.cloud.Unsupported())
}

func TestAThousandDataInOneCompressedRequest(t *testing.T) {
	w := start(t)
	data := make([]types.MetricDatum, 1000)
	for i := range data {
		data[i] = types.MetricDatum{MetricName: aws.String(fmt.Sprintf("m%d", i)), Values: []float64{1, 2}, Counts: []float64{1, 3}}
	}
	_, err := w.client.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: data})
	require.NoError(t, err)
	pages := cloudwatch.NewListMetricsPaginator(w.client, &cloudwatch.ListMetricsInput{Namespace: aws.String("Test")})
	n := 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		require.NoError(t, err)
		n += len(page.Metrics)
	}
	assert.Equal(t, 1000, n)
	_, err = w.client.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: slices.Concat(data, data[:1])})
	assert.Equal(t, "InvalidParameterValue", code(t, err))
}

func (w world) alarm(change func(*cloudwatch.PutMetricAlarmInput)) {
	w.Helper()
	in := &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String("many"), Namespace: aws.String("Test"), MetricName: aws.String("Failures"), Statistic: types.StatisticSum,
		Dimensions: []types.Dimension{{Name: aws.String("Kind"), Value: aws.String("a")}},
		Period:     aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(0),
		ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, TreatMissingData: aws.String("notBreaching"),
		Tags: []types.Tag{{Key: aws.String("Owner"), Value: aws.String("team")}},
	}
	change(in)
	_, err := w.client.PutMetricAlarm(w.Context(), in)
	require.NoError(w, err)
}

func (w world) state() (types.StateValue, string) {
	w.Helper()
	out, err := w.client.DescribeAlarms(w.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"many"}})
	require.NoError(w, err)
	require.Len(w, out.MetricAlarms, 1)
	return out.MetricAlarms[0].StateValue, *out.MetricAlarms[0].StateReason
}

func TestAnAlarmGoesOnAndOff(t *testing.T) {
	w := start(t)
	events := w.stateChanges()
	w.alarm(func(*cloudwatch.PutMetricAlarmInput) {})
	state, _ := w.state()
	assert.Equal(t, types.StateValueInsufficientData, state)
	w.advance(time.Minute)
	state, reason := w.state()
	assert.Equal(t, types.StateValueOk, state)
	assert.Contains(t, reason, "missing datapoint was treated as [NonBreaching]")

	w.put("Failures", 1, 1)
	w.advance(time.Minute)
	state, reason = w.state()
	assert.Equal(t, types.StateValueAlarm, state)
	assert.Contains(t, reason, "[2.0 (01/03/26 12:01:00)] was greater than the threshold (0.0)")

	w.advance(10 * time.Minute)
	state, _ = w.state()
	assert.Equal(t, types.StateValueOk, state)
	assert.Equal(t, []string{"INSUFFICIENT_DATA→OK", "OK→ALARM", "ALARM→OK"}, events())
	runs, err := w.client.GetMetricStatistics(t.Context(), &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String("AWS/Events"), MetricName: aws.String("TriggeredRules"), Period: aws.Int32(3600), Statistics: []types.Statistic{types.StatisticSum},
		Dimensions: []types.Dimension{{Name: aws.String("RuleName"), Value: aws.String("changes")}}, StartTime: &noon, EndTime: aws.Time(noon.Add(time.Hour)),
	})
	require.NoError(t, err)
	require.Len(t, runs.Datapoints, 1)
	assert.InDelta(t, 3, *runs.Datapoints[0].Sum, 0, "EventBridge's own metrics")
	w.advance(30 * 24 * time.Hour)
	assert.Empty(t, events())

	_, err = w.client.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("many"), StateValue: types.StateValueAlarm, StateReason: aws.String("a test")})
	require.NoError(t, err)
	state, reason = w.state()
	assert.Equal(t, types.StateValueAlarm, state)
	assert.Equal(t, "a test", reason)
	w.advance(time.Minute)
	state, _ = w.state()
	assert.Equal(t, types.StateValueOk, state, "the next evaluation finds that it isn't so")

	_, err = w.client.DeleteAlarms(t.Context(), &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"many"}})
	require.NoError(t, err)
	out, err := w.client.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{})
	require.NoError(t, err)
	assert.Empty(t, out.MetricAlarms)
	assert.Empty(t, w.cloud.Unsupported())
}

// stateChanges collects the changes that EventBridge hears of.
func (w world) stateChanges() func() []string {
	queues, bus := sqs.NewFromConfig(w.cloud.Config("us-east-1")), eventbridge.NewFromConfig(w.cloud.Config("us-east-1"))
	arn := "arn:aws:sqs:us-east-1:123456789012:changes"
	queue, err := queues.CreateQueue(w.Context(), &sqs.CreateQueueInput{QueueName: aws.String("changes"), Attributes: map[string]string{
		"Policy": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"` + arn + `"}}`,
	}})
	require.NoError(w, err)
	_, err = bus.PutRule(w.Context(), &eventbridge.PutRuleInput{Name: aws.String("changes"), EventPattern: aws.String(`{"source":["aws.cloudwatch"]}`)})
	require.NoError(w, err)
	_, err = bus.PutTargets(w.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("changes"), Targets: []eventtypes.Target{{Id: aws.String("q"), Arn: &arn}}})
	require.NoError(w, err)
	return func() []string {
		out, err := queues.ReceiveMessage(w.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, MaxNumberOfMessages: 10})
		require.NoError(w, err)
		var changes []string
		for _, m := range out.Messages {
			var event struct {
				Detail struct{ State, PreviousState struct{ Value string } }
			}
			require.NoError(w, json.Unmarshal([]byte(*m.Body), &event))
			changes = append(changes, event.Detail.PreviousState.Value+"→"+event.Detail.State.Value)
			_, err := queues.DeleteMessage(w.Context(), &sqs.DeleteMessageInput{QueueUrl: queue.QueueUrl, ReceiptHandle: m.ReceiptHandle})
			require.NoError(w, err)
		}
		return changes
	}
}

// TestAnAlarmTellsATopic goes all the way to a subscriber, past the topic's policy.
func TestAnAlarmTellsATopic(t *testing.T) {
	w := start(t)
	cfg := w.cloud.Config("us-east-1")
	topics, queues := sns.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	topic, err := topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("alerts")})
	require.NoError(t, err)
	queue, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("alerts"), Attributes: map[string]string{
		"Policy": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*"}}`,
	}})
	require.NoError(t, err)
	_, err = topics.Subscribe(t.Context(), &sns.SubscribeInput{
		TopicArn: topic.TopicArn, Protocol: aws.String("sqs"), Endpoint: aws.String("arn:aws:sqs:us-east-1:123456789012:alerts"), Attributes: map[string]string{"RawMessageDelivery": "true"},
	})
	require.NoError(t, err)
	allow := func(source string) {
		_, err := topics.SetTopicAttributes(t.Context(), &sns.SetTopicAttributesInput{TopicArn: topic.TopicArn, AttributeName: aws.String("Policy"), AttributeValue: aws.String(
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"cloudwatch.amazonaws.com"},"Action":"sns:Publish","Resource":"` + *topic.TopicArn + `","Condition":{"ArnEquals":{"aws:SourceArn":"` + source + `"}}}}`)})
		require.NoError(t, err)
	}
	received := func() []string {
		out, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, MaxNumberOfMessages: 10})
		require.NoError(t, err)
		var bodies []string
		for _, m := range out.Messages {
			bodies = append(bodies, *m.Body)
		}
		return bodies
	}
	allow("arn:aws:cloudwatch:us-east-1:123456789012:alarm:other")
	w.alarm(func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmActions = []string{*topic.TopicArn} })
	w.put("Failures", 1)
	w.advance(time.Minute)
	assert.Empty(t, received(), "the topic's policy names another alarm")
	w.advance(10 * time.Minute)
	allow("arn:aws:cloudwatch:us-east-1:123456789012:alarm:many")
	w.put("Failures", 1)
	w.advance(time.Minute)
	bodies := received()
	require.Len(t, bodies, 1)
	var message struct {
		AlarmName, NewStateValue, OldStateValue, Region, AlarmArn string
		Trigger                                                   struct{ MetricName, Statistic string }
	}
	require.NoError(t, json.Unmarshal([]byte(bodies[0]), &message))
	assert.Equal(t, "many", message.AlarmName)
	assert.Equal(t, "ALARM", message.NewStateValue)
	assert.Equal(t, "OK", message.OldStateValue)
	assert.Equal(t, "arn:aws:cloudwatch:us-east-1:123456789012:alarm:many", message.AlarmArn)
	assert.Equal(t, "SUM", message.Trigger.Statistic)

	_, err = queues.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: queue.QueueUrl})
	require.NoError(t, err)
	w.advance(10 * time.Minute)
	_, err = w.client.DisableAlarmActions(t.Context(), &cloudwatch.DisableAlarmActionsInput{AlarmNames: []string{"many"}})
	require.NoError(t, err)
	w.put("Failures", 1)
	w.advance(time.Minute)
	assert.Empty(t, received())
}

func TestAnAlarmOnARatio(t *testing.T) {
	w := start(t)
	query := func(name string) *types.MetricStat {
		return &types.MetricStat{Period: aws.Int32(60), Stat: aws.String("Sum"), Metric: &types.Metric{
			Namespace: aws.String("Test"), MetricName: &name, Dimensions: []types.Dimension{{Name: aws.String("Kind"), Value: aws.String("a")}}}}
	}
	w.alarm(func(in *cloudwatch.PutMetricAlarmInput) {
		in.Namespace, in.MetricName, in.Statistic, in.Dimensions, in.Period = nil, nil, "", nil, nil
		in.Threshold = aws.Float64(50)
		in.Metrics = []types.MetricDataQuery{
			{Id: aws.String("stale"), MetricStat: query("Stale"), ReturnData: aws.Bool(false)},
			{Id: aws.String("reads"), MetricStat: query("Reads"), ReturnData: aws.Bool(false)},
			{Id: aws.String("ratio"), Expression: aws.String("100 * FILL(stale, 0) / reads"), ReturnData: aws.Bool(true)},
		}
	})
	w.put("Reads", 10)
	w.put("Stale", 4)
	w.advance(time.Minute)
	state, _ := w.state()
	assert.Equal(t, types.StateValueOk, state)
	w.put("Reads", 10)
	w.put("Stale", 6)
	w.advance(time.Minute)
	state, reason := w.state()
	assert.Equal(t, types.StateValueAlarm, state)
	assert.Contains(t, reason, "[60.0 ")
}

func TestAnAlarmKeepsItsTagsAndTellsItsSettings(t *testing.T) {
	w := start(t)
	w.alarm(func(*cloudwatch.PutMetricAlarmInput) {})
	w.alarm(func(in *cloudwatch.PutMetricAlarmInput) {
		in.Tags = []types.Tag{{Key: aws.String("Ignored"), Value: aws.String("on an update")}}
		in.AlarmDescription = aws.String("text")
	})
	out, err := w.client.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNamePrefix: aws.String("ma")})
	require.NoError(t, err)
	require.Len(t, out.MetricAlarms, 1)
	a := out.MetricAlarms[0]
	assert.Equal(t, "text", *a.AlarmDescription)
	assert.Equal(t, "arn:aws:cloudwatch:us-east-1:123456789012:alarm:many", *a.AlarmArn)
	assert.True(t, *a.ActionsEnabled)
	assert.Zero(t, *a.Threshold)
	_, err = w.client.DisableAlarmActions(t.Context(), &cloudwatch.DisableAlarmActionsInput{AlarmNames: []string{"many"}})
	require.NoError(t, err)
	_, err = w.client.UntagResource(t.Context(), &cloudwatch.UntagResourceInput{ResourceARN: a.AlarmArn, TagKeys: []string{"Owner"}})
	require.NoError(t, err)
	_, err = w.client.TagResource(t.Context(), &cloudwatch.TagResourceInput{ResourceARN: a.AlarmArn, Tags: []types.Tag{{Key: aws.String("New"), Value: aws.String("1")}}})
	require.NoError(t, err)
	tags, err := w.client.ListTagsForResource(t.Context(), &cloudwatch.ListTagsForResourceInput{ResourceARN: a.AlarmArn})
	require.NoError(t, err)
	assert.Equal(t, []types.Tag{{Key: aws.String("New"), Value: aws.String("1")}}, tags.Tags)

	for name, change := range map[string]func(*cloudwatch.PutMetricAlarmInput){
		"InvalidParameterValue":       func(in *cloudwatch.PutMetricAlarmInput) { in.Period = aws.Int32(61) },
		"MissingParameter":            func(in *cloudwatch.PutMetricAlarmInput) { in.MetricName = nil },
		"InvalidParameterCombination": func(in *cloudwatch.PutMetricAlarmInput) { in.ExtendedStatistic = aws.String("p99") },
	} {
		in := &cloudwatch.PutMetricAlarmInput{
			AlarmName: aws.String("bad"), Namespace: aws.String("Test"), MetricName: aws.String("m"), Statistic: types.StatisticSum,
			Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(0), ComparisonOperator: "GreaterThanThreshold",
		}
		change(in)
		_, err := w.client.PutMetricAlarm(t.Context(), in)
		require.Error(t, err)
		assert.Equal(t, name, code(t, err))
	}
	var gone *types.ResourceNotFound
	_, err = w.client.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("none"), StateValue: "OK", StateReason: aws.String("r")})
	require.ErrorAs(t, err, &gone)
}

func TestDashboards(t *testing.T) {
	w := start(t)
	body := `{"widgets":[{"type":"text","x":0,"y":0,"width":24,"height":2,"properties":{"markdown":"hello"}}]}`
	_, err := w.client.PutDashboard(t.Context(), &cloudwatch.PutDashboardInput{DashboardName: aws.String("secrets"), DashboardBody: &body})
	require.NoError(t, err)
	west := cloudwatch.NewFromConfig(w.cloud.Config("us-west-2"))
	got, err := west.GetDashboard(t.Context(), &cloudwatch.GetDashboardInput{DashboardName: aws.String("secrets")})
	require.NoError(t, err, "dashboards have no region")
	assert.Equal(t, body, *got.DashboardBody)
	assert.Equal(t, "arn:aws:cloudwatch::123456789012:dashboard/secrets", *got.DashboardArn)
	list, err := w.client.ListDashboards(t.Context(), &cloudwatch.ListDashboardsInput{DashboardNamePrefix: aws.String("sec")})
	require.NoError(t, err)
	require.Len(t, list.DashboardEntries, 1)
	assert.EqualValues(t, len(body), *list.DashboardEntries[0].Size)

	var bad *types.DashboardInvalidInputError
	for _, body := range []string{`nothing`, `{"widgets":[{"type":"text"}]}`, `{"widgets":[{"type":"pie","properties":{}}]}`, `{"widgets":[{"type":"text","width":25,"properties":{}}]}`} {
		_, err = w.client.PutDashboard(t.Context(), &cloudwatch.PutDashboardInput{DashboardName: aws.String("bad"), DashboardBody: &body})
		require.ErrorAs(t, err, &bad, body)
		assert.NotEmpty(t, bad.DashboardValidationMessages, body)
	}
	var missing *types.DashboardNotFoundError
	_, err = w.client.DeleteDashboards(t.Context(), &cloudwatch.DeleteDashboardsInput{DashboardNames: []string{"secrets", "none"}})
	require.ErrorAs(t, err, &missing)
	_, err = w.client.DeleteDashboards(t.Context(), &cloudwatch.DeleteDashboardsInput{DashboardNames: []string{"secrets"}})
	require.NoError(t, err, "a dashboard that is deleted together with one that doesn't exist stays")
	_, err = w.client.GetDashboard(t.Context(), &cloudwatch.GetDashboardInput{DashboardName: aws.String("secrets")})
	require.ErrorAs(t, err, &missing)
}

func TestLinesOfLogsEmbedMetrics(t *testing.T) {
	w := start(t)
	logs := cloudwatchlogs.NewFromConfig(w.cloud.Config("us-east-1"))
	_, err := logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("g")})
	require.NoError(t, err)
	_, err = logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("s")})
	require.NoError(t, err)
	line := func(dimensions, members string) logtypes.InputLogEvent {
		return logtypes.InputLogEvent{Timestamp: aws.Int64(noon.UnixMilli()), Message: aws.String(strings.NewReplacer("$T", fmt.Sprint(noon.UnixMilli()), "$D", dimensions, "$M", members).Replace(
			`{"_aws":{"Timestamp":$T,"CloudWatchMetrics":[{"Namespace":"Secrets","Dimensions":$D,"Metrics":[{"Name":"Age","Unit":"Seconds"},{"Name":"Lag"}]}]},$M}`))}
	}
	_, err = logs.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("s"), LogEvents: []logtypes.InputLogEvent{
		line(`[["Kind"],["Kind","Step"]]`, `"Kind":"oauth","Step":"set","Age":[1,3],"Lag":5`),
		line(`[]`, `"Age":7,"Lag":5`),
		line(`[["Kind"]]`, `"Age":7,"Lag":5`),        // the dimension isn't there
		line(`[["Kind"]]`, `"Kind":"oauth","Age":7`), // a metric isn't there
		{Timestamp: aws.Int64(noon.UnixMilli()), Message: aws.String(`{"_aws":{"Timestamp":"now"}}`)},
		{Timestamp: aws.Int64(noon.UnixMilli()), Message: aws.String(`"_aws" is only mentioned`)},
	}})
	require.NoError(t, err)
	list, err := w.client.ListMetrics(t.Context(), &cloudwatch.ListMetricsInput{})
	require.NoError(t, err)
	var names []string
	for _, m := range list.Metrics {
		name := *m.Namespace + " " + *m.MetricName
		for _, d := range m.Dimensions {
			name += " " + *d.Name + "=" + *d.Value
		}
		names = append(names, name)
	}
	assert.ElementsMatch(t, []string{
		"AWS/Logs EMFParsingErrors LogGroupName=g", "AWS/Logs EMFValidationErrors LogGroupName=g",
		"Secrets Age Kind=oauth", "Secrets Age Kind=oauth Step=set", "Secrets Age",
		"Secrets Lag Kind=oauth", "Secrets Lag Kind=oauth Step=set", "Secrets Lag",
	}, names)
	out, err := w.client.GetMetricStatistics(t.Context(), &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String("Secrets"), MetricName: aws.String("Age"), Period: aws.Int32(60), Statistics: []types.Statistic{"Average", "Maximum"},
		Dimensions: []types.Dimension{{Name: aws.String("Kind"), Value: aws.String("oauth")}}, StartTime: aws.Time(noon), EndTime: aws.Time(noon.Add(time.Minute)),
	})
	require.NoError(t, err)
	require.Len(t, out.Datapoints, 1)
	assert.InDelta(t, 2, *out.Datapoints[0].Average, 0)
	assert.InDelta(t, 3, *out.Datapoints[0].Maximum, 0)
	assert.Equal(t, types.StandardUnitSeconds, out.Datapoints[0].Unit)
}

func TestOnlyWhoMayReportsMetrics(t *testing.T) {
	w := start(t)
	users := iam.NewFromConfig(w.cloud.Config("us-east-1"))
	_, err := users.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("u")})
	require.NoError(t, err)
	_, err = users.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("u"), PolicyName: aws.String("p"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"cloudwatch:PutMetricData","Resource":"*","Condition":{"StringEquals":{"cloudwatch:namespace":"Mine"}}}}`)})
	require.NoError(t, err)
	key, err := users.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("u")})
	require.NoError(t, err)
	client := cloudwatch.NewFromConfig(w.cloud.ConfigFor("us-east-1", *key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, ""))
	put := func(namespace string) error {
		_, err := client.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: &namespace, MetricData: []types.MetricDatum{{MetricName: aws.String("m"), Value: aws.Float64(1)}}})
		return err
	}
	require.NoError(t, put("Mine"))
	assert.Contains(t, code(t, put("Yours")), "AccessDenied")
	_, err = client.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{})
	assert.Contains(t, code(t, err), "AccessDenied")
}

func TestTheTrailHasAlarmsAndFaultsHitThem(t *testing.T) {
	w := start(t)
	_, err := w.cloud.Faults.Add(faults.Fault{Kind: faults.Throttle, Service: "monitoring", Operation: "PutMetricAlarm", Times: 1})
	require.NoError(t, err)
	w.alarm(func(*cloudwatch.PutMetricAlarmInput) {}) // the SDK tries again
	out, err := cloudtrail.NewFromConfig(w.cloud.Config("us-east-1")).LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{})
	require.NoError(t, err)
	require.Len(t, out.Events, 2)
	assert.Contains(t, *out.Events[0].CloudTrailEvent, `"alarmName":"many"`)
	assert.Contains(t, *out.Events[0].CloudTrailEvent, `"eventSource":"monitoring.amazonaws.com"`)
	assert.Contains(t, *out.Events[1].CloudTrailEvent, `"errorCode":"ThrottlingException"`)
}
