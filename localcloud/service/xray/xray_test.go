package xray_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/xray"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

func TestSegmentsComeOutAsTraces(t *testing.T) {
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	c := xray.NewFromConfig(cloud.Config("us-east-1"))
	now := cloud.Clock().Now()
	at := float64(now.Unix())
	out, err := c.PutTraceSegments(t.Context(), &xray.PutTraceSegmentsInput{TraceSegmentDocuments: []string{
		fmt.Sprintf(`{"id":"1111111111111111","trace_id":"1-a","name":"outer","start_time":%f,"end_time":%f}`, at, at+2),
		fmt.Sprintf(`{"id":"2222222222222222","trace_id":"1-a","name":"inner","start_time":%f,"end_time":%f,"fault":true}`, at+1, at+3),
		fmt.Sprintf(`{"id":"3333333333333333","trace_id":"1-b","name":"old","start_time":%f,"end_time":%f}`, at-7200, at-7199),
		`{"id":"4444444444444444"}`,
	}})
	require.NoError(t, err)
	require.Len(t, out.UnprocessedTraceSegments, 1)

	summaries, err := c.GetTraceSummaries(t.Context(), &xray.GetTraceSummariesInput{
		StartTime: aws.Time(now.Add(-time.Hour)), EndTime: aws.Time(now.Add(time.Hour)),
	})
	require.NoError(t, err)
	require.Len(t, summaries.TraceSummaries, 1)
	assert.Equal(t, "1-a", *summaries.TraceSummaries[0].Id)
	assert.InDelta(t, 3, *summaries.TraceSummaries[0].Duration, 0.01)
	assert.True(t, *summaries.TraceSummaries[0].HasFault)

	traces, err := c.BatchGetTraces(t.Context(), &xray.BatchGetTracesInput{TraceIds: []string{"1-a"}})
	require.NoError(t, err)
	require.Len(t, traces.Traces, 1)
	assert.Len(t, traces.Traces[0].Segments, 2)

	west, err := xray.NewFromConfig(cloud.Config("us-west-2")).BatchGetTraces(t.Context(), &xray.BatchGetTracesInput{TraceIds: []string{"1-a"}})
	require.NoError(t, err)
	assert.Empty(t, west.Traces)
}
