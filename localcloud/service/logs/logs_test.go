package logs_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

func newCloud(t *testing.T) (*localcloud.Cloud, *cloudwatchlogs.Client) {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	return cloud, cloudwatchlogs.NewFromConfig(cloud.Config("us-east-1"))
}

func requireCode(t *testing.T, err error, code string) {
	t.Helper()
	var e smithy.APIError
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.ErrorCode(), e.ErrorMessage())
}

// write makes a stream in the group app and writes messages, a millisecond apart.
func write(t *testing.T, client *cloudwatchlogs.Client, start time.Time, stream string, messages ...string) {
	t.Helper()
	group := "app"
	_, err := client.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &stream})
	require.NoError(t, err)
	var events []types.InputLogEvent
	for i, m := range messages {
		events = append(events, types.InputLogEvent{Message: &m, Timestamp: aws.Int64(start.UnixMilli() + int64(i))})
	}
	_, err = client.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream, LogEvents: events})
	require.NoError(t, err)
}

func TestGroups(t *testing.T) {
	_, client := newCloud(t)
	for i := range 3 {
		_, err := client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(fmt.Sprintf("/app/%d", i)), Tags: map[string]string{"Owner": "platform"}})
		require.NoError(t, err)
	}
	_, err := client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("/app/0")})
	requireCode(t, err, "ResourceAlreadyExistsException")
	_, err = client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("a b")})
	requireCode(t, err, "InvalidParameterException")

	_, err = client.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String("/app/0"), RetentionInDays: aws.Int32(30)})
	require.NoError(t, err)
	_, err = client.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String("/app/0"), RetentionInDays: aws.Int32(31)})
	requireCode(t, err, "InvalidParameterException")
	_, err = client.AssociateKmsKey(t.Context(), &cloudwatchlogs.AssociateKmsKeyInput{LogGroupName: aws.String("/app/0"), KmsKeyId: aws.String("arn:aws:kms:us-east-1:123456789012:key/k")})
	require.NoError(t, err)

	pages := cloudwatchlogs.NewDescribeLogGroupsPaginator(client, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/app/"), Limit: aws.Int32(2)})
	var groups []types.LogGroup
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		require.NoError(t, err)
		groups = append(groups, page.LogGroups...)
	}
	require.Len(t, groups, 3)
	assert.Equal(t, "arn:aws:logs:us-east-1:123456789012:log-group:/app/0:*", *groups[0].Arn)
	assert.Equal(t, int32(30), *groups[0].RetentionInDays)
	assert.Equal(t, "arn:aws:kms:us-east-1:123456789012:key/k", *groups[0].KmsKeyId)

	_, err = client.DeleteRetentionPolicy(t.Context(), &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: aws.String("/app/0")})
	require.NoError(t, err)
	_, err = client.DisassociateKmsKey(t.Context(), &cloudwatchlogs.DisassociateKmsKeyInput{LogGroupName: aws.String("/app/0")})
	require.NoError(t, err)
	_, err = client.DeleteLogGroup(t.Context(), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String("/app/1")})
	require.NoError(t, err)
	_, err = client.DeleteLogGroup(t.Context(), &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String("/app/1")})
	requireCode(t, err, "ResourceNotFoundException")
	out, err := client.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePattern: aws.String("APP")})
	require.NoError(t, err)
	require.Len(t, out.LogGroups, 2)
	assert.Nil(t, out.LogGroups[0].RetentionInDays)
	assert.Nil(t, out.LogGroups[0].KmsKeyId)
}

func TestTags(t *testing.T) {
	_, client := newCloud(t)
	_, err := client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("app"), Tags: map[string]string{"Owner": "platform", "Environment": "dev"}})
	require.NoError(t, err)
	arn := aws.String("arn:aws:logs:us-east-1:123456789012:log-group:app")
	_, err = client.TagResource(t.Context(), &cloudwatchlogs.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"Owner": "data"}})
	require.NoError(t, err)
	_, err = client.UntagResource(t.Context(), &cloudwatchlogs.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"Environment"}})
	require.NoError(t, err)
	out, err := client.ListTagsForResource(t.Context(), &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: arn})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"Owner": "data"}, out.Tags)
	_, err = client.ListTagsForResource(t.Context(), &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: aws.String(*arn + ":*")})
	requireCode(t, err, "InvalidParameterException")
}

func TestEvents(t *testing.T) {
	cloud, client := newCloud(t)
	group := aws.String("app")
	_, err := client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group})
	require.NoError(t, err)
	start := cloud.Clock().Now()
	write(t, client, start, "b", "one", "two", "three", "four", "five")
	write(t, client, start.Add(time.Minute), "a", "six")
	_, err = client.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: aws.String("a")})
	requireCode(t, err, "ResourceAlreadyExistsException")

	get := func(in cloudwatchlogs.GetLogEventsInput) (messages []string, out *cloudwatchlogs.GetLogEventsOutput) {
		in.LogGroupName, in.LogStreamName = group, aws.String("b")
		out, err := client.GetLogEvents(t.Context(), &in)
		require.NoError(t, err)
		for _, e := range out.Events {
			messages = append(messages, *e.Message)
		}
		return messages, out
	}
	messages, page := get(cloudwatchlogs.GetLogEventsInput{StartFromHead: aws.Bool(true), Limit: aws.Int32(2)})
	assert.Equal(t, []string{"one", "two"}, messages)
	messages, page = get(cloudwatchlogs.GetLogEventsInput{NextToken: page.NextForwardToken, Limit: aws.Int32(2)})
	assert.Equal(t, []string{"three", "four"}, messages)
	messages, _ = get(cloudwatchlogs.GetLogEventsInput{NextToken: page.NextBackwardToken, Limit: aws.Int32(2)})
	assert.Equal(t, []string{"one", "two"}, messages)
	messages, page = get(cloudwatchlogs.GetLogEventsInput{NextToken: page.NextForwardToken})
	assert.Equal(t, []string{"five"}, messages)
	messages, last := get(cloudwatchlogs.GetLogEventsInput{NextToken: page.NextForwardToken})
	assert.Empty(t, messages)
	assert.Equal(t, *page.NextForwardToken, *last.NextForwardToken, "the end is where the token stays the same")
	messages, _ = get(cloudwatchlogs.GetLogEventsInput{Limit: aws.Int32(2)})
	assert.Equal(t, []string{"four", "five"}, messages, "the last ones, without a token")
	messages, _ = get(cloudwatchlogs.GetLogEventsInput{StartTime: aws.Int64(start.UnixMilli() + 1), EndTime: aws.Int64(start.UnixMilli() + 3)})
	assert.Equal(t, []string{"two", "three"}, messages, "the end is exclusive")

	streams, err := client.DescribeLogStreams(t.Context(), &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: group, OrderBy: types.OrderByLastEventTime, Descending: aws.Bool(true)})
	require.NoError(t, err)
	require.Len(t, streams.LogStreams, 2)
	assert.Equal(t, "a", *streams.LogStreams[0].LogStreamName)
	assert.Equal(t, start.UnixMilli()+4, *streams.LogStreams[1].LastEventTimestamp)

	_, err = client.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: aws.String("a"), LogEvents: []types.InputLogEvent{
		{Message: aws.String("late"), Timestamp: aws.Int64(2)}, {Message: aws.String("early"), Timestamp: aws.Int64(1)},
	}})
	requireCode(t, err, "InvalidParameterException")
	_, err = client.DeleteLogStream(t.Context(), &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: group, LogStreamName: aws.String("b")})
	require.NoError(t, err)
	_, err = client.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: aws.String("b")})
	requireCode(t, err, "ResourceNotFoundException")
}

func TestFilter(t *testing.T) {
	cloud, client := newCloud(t)
	group := aws.String("app")
	_, err := client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group})
	require.NoError(t, err)
	write(t, client, cloud.Clock().Now(), "one", "ERROR: no disk", "WARN: disk is full", "ok")
	write(t, client, cloud.Clock().Now().Add(time.Minute), "two", "ERROR: no network")

	for pattern, want := range map[string][]string{
		"":                 {"ERROR: no disk", "WARN: disk is full", "ok", "ERROR: no network"},
		"disk":             {"ERROR: no disk", "WARN: disk is full"},
		"ERROR disk":       {"ERROR: no disk"},
		`"disk is"`:        {"WARN: disk is full"},
		"?WARN ?network":   {"WARN: disk is full", "ERROR: no network"},
		`ERROR -"no disk"`: {"ERROR: no network"},
		"error":            nil,
	} {
		pages := cloudwatchlogs.NewFilterLogEventsPaginator(client, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, FilterPattern: &pattern, Limit: aws.Int32(1)})
		var got []string
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			require.NoError(t, err, pattern)
			for _, e := range page.Events {
				got = append(got, *e.Message)
			}
		}
		assert.Equal(t, want, got, pattern)
	}
	out, err := client.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, LogStreamNames: []string{"two"}})
	require.NoError(t, err)
	require.Len(t, out.Events, 1)
	assert.Equal(t, "two", *out.Events[0].LogStreamName)
	for pattern, code := range map[string]string{
		`{ $.level = %err% }`: "LocalCloudUnsupportedMember",
		`"open`:               "InvalidParameterException",
		"?a b":                "InvalidParameterException",
	} {
		_, err := client.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, FilterPattern: &pattern})
		requireCode(t, err, code)
	}
}

func TestRetentionEndsEvents(t *testing.T) {
	cloud, client := newCloud(t)
	group := aws.String("app")
	_, err := client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group})
	require.NoError(t, err)
	_, err = client.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: group, RetentionInDays: aws.Int32(7)})
	require.NoError(t, err)
	write(t, client, cloud.Clock().Now(), "old", "old")
	require.NoError(t, cloud.Advance(t.Context(), 6*24*time.Hour))
	write(t, client, cloud.Clock().Now(), "new", "new")
	count := func() int {
		out, err := client.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group})
		require.NoError(t, err)
		return len(out.Events)
	}
	assert.Equal(t, 2, count())
	require.NoError(t, cloud.Advance(t.Context(), 2*24*time.Hour))
	assert.Equal(t, 1, count())
}
