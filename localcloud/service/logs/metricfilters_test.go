package logs_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const trailEvent = `{"eventName": "GetSecretValue", "errorCode": "AccessDenied", "readOnly": true, "responseElements": null, "latency": 250,
	"userIdentity": {"arn": "arn:aws:sts::1:assumed-role/a/b"}, "resources": [{"ARN": "arn:aws:kms:r:1:key/k"}], "errorMessage": "no right on org/prod/x because"}`

// The examples of the user guide's page on filter patterns, and what CloudTrail's
// events need.
func TestJSONPatterns(t *testing.T) {
	_, client := newCloud(t)
	for pattern, matches := range map[string]bool{
		`{ $.eventName = "GetSecretValue" }`:                                     true,
		`{ $.eventName = GetSecretValue }`:                                       true,
		`{ $.eventName = "Get*" }`:                                               true,
		`{ $.eventName = "*Value" }`:                                             true,
		`{ $.errorMessage = "*org/prod/*" }`:                                     true,
		`{ $.errorMessage = "org/prod/*" }`:                                      false,
		`{ $.eventName = "Get*Value" }`:                                          false, // an asterisk inside is one
		`{ $.eventName = "*" }`:                                                  true,
		`{ $.eventName != "DeleteSecret" }`:                                      true,
		`{ $.missing != "x" }`:                                                   false,
		`{ $.missing NOT EXISTS }`:                                               true,
		`{ $.errorCode NOT EXISTS }`:                                             false,
		`{ $.responseElements IS NULL }`:                                         true,
		`{ $.missing IS NULL }`:                                                  false,
		`{ $.readOnly IS TRUE }`:                                                 true,
		`{ $.resources[0].ARN = "*:key/k" }`:                                     true,
		`{ $.resources[1].ARN = "*" }`:                                           false,
		`{ $.userIdentity = "*" }`:                                               false, // an object is no value
		`{ $.latency >= 250 && $.latency < 1e3 }`:                                true,
		`{ $.latency > 250 }`:                                                    false,
		`{ $.eventName = x || $.eventName = "Get*" && $.errorCode = "Access*" }`: true,
		`{ ($.eventName = x || $.eventName = "Get*") && $.errorCode = nothing }`: false,
		`{($.eventName="GetSecretValue")&&(($.errorCode="x")||($.errorCode="AccessDenied"))}`: true,
	} {
		out, err := client.TestMetricFilter(t.Context(), &cloudwatchlogs.TestMetricFilterInput{FilterPattern: aws.String(pattern), LogEventMessages: []string{trailEvent}})
		require.NoError(t, err, pattern)
		assert.Equal(t, matches, len(out.Matches) == 1, pattern)
	}
	for _, pattern := range []string{`{ $.a = 1`, `{ a = 1 }`, `{ $.a }`, `{ $.a ~ 1 }`, `{ ($.a = 1 }`, `{ $.a = 1 } x`, `{ $.a IS 1 }`, `{ $. = 1 }`, `{ $.a > b }`, `{}`} {
		_, err := client.TestMetricFilter(t.Context(), &cloudwatchlogs.TestMetricFilterInput{FilterPattern: aws.String(pattern), LogEventMessages: []string{"x"}})
		requireCode(t, err, "InvalidParameterException")
	}
}

// A filter counts what comes after it was made.
func TestMetricFilters(t *testing.T) {
	cloud, client := newCloud(t)
	_, err := client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("trail")})
	require.NoError(t, err)
	_, err = client.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: aws.String("trail"), LogStreamName: aws.String("s")})
	require.NoError(t, err)
	put := func(messages ...string) {
		var events []types.InputLogEvent
		for _, message := range messages {
			events = append(events, types.InputLogEvent{Message: aws.String(message), Timestamp: aws.Int64(cloud.Clock().Now().UnixMilli())})
		}
		_, err := client.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: aws.String("trail"), LogStreamName: aws.String("s"), LogEvents: events})
		require.NoError(t, err)
	}
	filter := func(name, pattern, namespace string) error {
		_, err := client.PutMetricFilter(t.Context(), &cloudwatchlogs.PutMetricFilterInput{
			LogGroupName: aws.String("trail"), FilterName: &name, FilterPattern: &pattern,
			MetricTransformations: []types.MetricTransformation{{
				MetricName: aws.String("Denied"), MetricNamespace: &namespace, MetricValue: aws.String("1"), DefaultValue: aws.Float64(0), Unit: types.StandardUnitCount,
			}},
		})
		return err
	}
	put(trailEvent)
	require.NoError(t, filter("denied", `{ $.errorCode = "AccessDenied" }`, "Mine"))
	put(trailEvent, `{"eventName": "x"}`, "no JSON", trailEvent)

	got, err := cloudwatch.NewFromConfig(cloud.Config("us-east-1")).GetMetricStatistics(t.Context(), &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String("Mine"), MetricName: aws.String("Denied"), Period: aws.Int32(60),
		StartTime: aws.Time(cloud.Clock().Now().Add(-time.Hour)), EndTime: aws.Time(cloud.Clock().Now().Add(time.Hour)),
		Statistics: []cwtypes.Statistic{cwtypes.StatisticSum, cwtypes.StatisticSampleCount},
	})
	require.NoError(t, err)
	require.Len(t, got.Datapoints, 1)
	assert.InDelta(t, 2, *got.Datapoints[0].Sum, 0)
	assert.InDelta(t, 4, *got.Datapoints[0].SampleCount, 0, "the default value of what doesn't match")

	listed, err := client.DescribeMetricFilters(t.Context(), &cloudwatchlogs.DescribeMetricFiltersInput{LogGroupName: aws.String("trail")})
	require.NoError(t, err)
	require.Len(t, listed.MetricFilters, 1)
	assert.Equal(t, "denied", *listed.MetricFilters[0].FilterName)
	groups, err := client.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("trail")})
	require.NoError(t, err)
	assert.EqualValues(t, 1, *groups.LogGroups[0].MetricFilterCount)

	requireCode(t, filter("a:b", "x", "Mine"), "InvalidParameterException")
	requireCode(t, filter("long", "{ $.a = "+strings.Repeat("x", 1024)+" }", "Mine"), "InvalidParameterException")
	requireCode(t, filter("aws", "x", "AWS/Mine"), "InvalidParameterException")
	for i := range 99 {
		require.NoError(t, filter(fmt.Sprintf("f%d", i), "x", "Mine"))
	}
	requireCode(t, filter("one more", "x", "Mine"), "LimitExceededException")

	_, err = client.DeleteMetricFilter(t.Context(), &cloudwatchlogs.DeleteMetricFilterInput{LogGroupName: aws.String("trail"), FilterName: aws.String("denied")})
	require.NoError(t, err)
	_, err = client.DeleteMetricFilter(t.Context(), &cloudwatchlogs.DeleteMetricFilterInput{LogGroupName: aws.String("trail"), FilterName: aws.String("denied")})
	requireCode(t, err, "ResourceNotFoundException")
}
