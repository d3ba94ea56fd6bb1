package program_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/audittrail"
	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/infra/policy"
	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/faults"
	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/extension"
)

// on are the alarms of the stack that are on, without its prefix.
func (w *world) on(t *testing.T) []string {
	t.Helper()
	var names []string
	pages := cloudwatch.NewDescribeAlarmsPaginator(cloudwatch.NewFromConfig(w.cloud.Config(region)), &cloudwatch.DescribeAlarmsInput{StateValue: cwtypes.StateValueAlarm})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		require.NoError(t, err)
		for _, alarm := range page.MetricAlarms {
			names = append(names, strings.TrimPrefix(*alarm.AlarmName, "aistudio-"+w.stack+"-"))
		}
	}
	return names
}

// Each alarm is made to happen, but for those of the auditor, which TestAudit
// makes happen. The functions' clock is the real one; the emulator's begins 40
// days before, and gets there while nothing is rotated.
func TestAlarms(t *testing.T) {
	const behind = 40 * 24 * time.Hour
	w := newWorld(t, []string{"orders"}, []string{loose}, localcloud.WithStart(time.Now().Add(-behind)))
	w.adapt = func(config map[string]string) {
		override(t, config, catalogue.KeyRotators, map[string]any{"timeoutSeconds": 5})
	}
	w.deploy(t, "dev", w.cloud.Config(region))
	config := w.cloud.Config(region)
	for _, daily := range []string{auditor, scan} {
		_, err := scheduler.NewFromConfig(config).DeleteSchedule(t.Context(), &scheduler.DeleteScheduleInput{Name: aws.String(daily)})
		require.NoError(t, err, "40 audits would be many")
	}
	require.NoError(t, w.cloud.Advance(t.Context(), 10*time.Minute))
	assert.Equal(t, []string{"feed-late"}, w.on(t), "only that the feed is 40 days late, by the clock of its function")
	assert.Contains(t, strings.Join(w.receive(t, "on-call"), ""), "aistudio-dev-feed-late", "who has subscribed is told")

	const signing = "aistudio/dev/studio/webhook-signing"
	sm := secretsmanager.NewFromConfig(config)
	lambdas := lambda.NewFromConfig(config)
	stranger := w.createRole(t, "stranger")
	expect := func(name string) {
		t.Helper()
		for range 20 {
			require.NoError(t, w.cloud.Advance(t.Context(), time.Minute))
			if slices.Contains(w.on(t), name) {
				break
			}
		}
		assert.Empty(t, w.cloud.Unsupported())
		assert.Contains(t, w.on(t), name)
		assert.Contains(t, strings.Join(w.receive(t, "on-call"), ""), "aistudio-dev-"+name)
	}

	t.Run("reads", func(t *testing.T) {
		_, err := read(t, w.session(t, "aistudio-dev-studio-reader"), signing)
		require.NoError(t, err)
		require.NoError(t, w.cloud.Advance(t.Context(), 10*time.Minute))
		assert.NotContains(t, w.on(t), "unexpected-read", "a reader reads")
		assert.NotContains(t, w.on(t), "denied-read")

		_, err = read(t, stranger, signing)
		requireDenied(t, err)
		expect("denied-read")
		assert.NotContains(t, w.on(t), "unexpected-read")

		_, err = sm.DeleteResourcePolicy(t.Context(), &secretsmanager.DeleteResourcePolicyInput{SecretId: aws.String(signing)})
		require.NoError(t, err)
		_, err = read(t, stranger, signing)
		require.NoError(t, err)
		expect("unexpected-read")
	})
	t.Run("deletion", func(t *testing.T) {
		_, err := sm.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(google), RecoveryWindowInDays: aws.Int64(7)})
		require.NoError(t, err)
		expect("deletion-scheduled")
		_, err = sm.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String(google)})
		require.NoError(t, err)
	})
	t.Run("key", func(t *testing.T) {
		client, key := kms.NewFromConfig(config), w.keyARN(t, config)
		_, err := client.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key})
		require.NoError(t, err)
		expect("key-endangered")
		_, err = client.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &key})
		require.NoError(t, err)
	})
	t.Run("trail", func(t *testing.T) {
		trails, name := cloudtrail.NewFromConfig(config), aws.String("aistudio-dev-trail")
		_, err := trails.StopLogging(t.Context(), &cloudtrail.StopLoggingInput{Name: name})
		require.NoError(t, err)
		expect("trail-changed")
		_, err = trails.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: name})
		require.NoError(t, err)
		status, err := trails.GetTrailStatus(t.Context(), &cloudtrail.GetTrailStatusInput{Name: name})
		require.NoError(t, err)
		assert.NotNil(t, status.LatestDeliveryTime)
		assert.NotNil(t, status.LatestCloudWatchLogsDeliveryTime)
		assert.Empty(t, aws.ToString(status.LatestDeliveryError)+aws.ToString(status.LatestCloudWatchLogsDeliveryError), "bucket, key and role let the trail deliver")
	})
	t.Run("cache", func(t *testing.T) {
		logs := cloudwatchlogs.NewFromConfig(config)
		group, stream := aws.String("/aws/lambda/shop"), aws.String("s")
		_, err := logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group})
		require.NoError(t, err)
		_, err = logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: group, LogStreamName: stream})
		require.NoError(t, err)
		var line bytes.Buffer
		layer := extension.NewMetrics(&line, "dev") // as the layer counts
		stats := secrets.Stats{}
		for range 4 {
			line.Reset()
			stats.Hits, stats.Stale = stats.Hits+100, stats.Stale+11
			now := w.cloud.Clock().Now()
			require.NoError(t, layer.Write(func() secrets.Stats { return stats }, now, true))
			_, err := logs.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: group, LogStreamName: stream, LogEvents: []logstypes.InputLogEvent{
				{Message: aws.String(line.String()), Timestamp: aws.Int64(now.UnixMilli())},
			}})
			require.NoError(t, err)
			require.NoError(t, w.cloud.Advance(t.Context(), 5*time.Minute))
		}
		expect("cache-stale")
	})
	t.Run("feed", func(t *testing.T) {
		r := rotator{world: w, role: "aistudio-dev-rotation-feed"}
		whole := w.record.named("aws:iam/rolePolicy:RolePolicy")["rotation-feed"].Inputs["policy"].StringValue()
		r.put(t, without(t, whole, "TellFeed"))
		w.putValue(t, `{"client_id": "one"}`)
		require.NoError(t, w.cloud.Advance(t.Context(), 30*time.Minute)) // Lambda tries again, and gives up
		on := w.on(t)
		assert.Contains(t, on, "rotation-feed-errors")
		assert.Contains(t, on, "rotation-feed-failures")
		r.put(t, whole)

		_, err := sqs.NewFromConfig(config).SendMessage(t.Context(), &sqs.SendMessageInput{
			QueueUrl: w.queueURL(t, auditor+"-failures"), MessageBody: aws.String("{}"),
		})
		require.NoError(t, err)
		expect("audit-failures")
	})
	t.Run("functions", func(t *testing.T) {
		function := aws.String("aistudio-dev-rotate-custom")
		remove, err := w.cloud.Faults.Add(faults.Fault{Kind: faults.Latency, Service: "secretsmanager", Operation: "DescribeSecret", Delay: 4500 * time.Millisecond, Times: 1})
		require.NoError(t, err)
		r := rotator{w, *function, signing}
		r.rotate(t)
		remove()
		expect("rotate-custom-slow")

		_, err = lambdas.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: function, ReservedConcurrentExecutions: aws.Int32(0)})
		require.NoError(t, err)
		_, err = lambdas.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: function, Payload: []byte(`{}`)})
		require.Error(t, err)
		_, err = lambdas.DeleteFunctionConcurrency(t.Context(), &lambda.DeleteFunctionConcurrencyInput{FunctionName: function})
		require.NoError(t, err)
		expect("rotate-custom-throttles")
	})
	t.Run("rotations", func(t *testing.T) {
		nothing, err := policy.Document{{Sid: "Nothing", Effect: policy.Allow, Action: []string{"s3:GetObject"}, Resource: []string{"arn:aws:s3:::nothing/nothing"}}}.JSON()
		require.NoError(t, err)
		r := rotator{w, "aistudio-dev-rotate-database", "aistudio/dev/orders/database"}
		r.put(t, nothing)
		require.NoError(t, w.cloud.Advance(t.Context(), time.Hour)) // the slow step's failure is over
		w.receive(t, "on-call")
		require.NotContains(t, w.on(t), "rotation-failed")
		r.rotate(t)
		expect("rotation-failed")
		require.NotContains(t, w.on(t), "rotate-database-errors", "one that Secrets Manager may mend")
		for range 3 {
			_, err := lambdas.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(r.role), Payload: []byte(`{}`)})
			require.NoError(t, err)
		}
		expect("rotate-database-errors")

		require.NoError(t, w.cloud.Advance(t.Context(), time.Since(w.cloud.Clock().Now())))
		run := w.audit(t)
		require.NotEmpty(t, run.Report, "%s", run.failed)
		expect("rotation-overdue")
	})
	t.Run("scan", func(t *testing.T) {
		parameter := &ssm.PutParameterInput{Name: aws.String("/shop/db/password"), Value: aws.String("hunter2-hunter2"), Type: ssmtypes.ParameterTypeString}
		_, err := ssm.NewFromConfig(config).PutParameter(t.Context(), parameter)
		require.NoError(t, err)
		out, err := lambdas.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(scan), Payload: []byte(`{}`)})
		require.NoError(t, err)
		require.Nil(t, out.FunctionError, string(out.Payload))
		expect("plaintext-left")
	})
}

func (w *world) queueURL(t *testing.T, name string) *string {
	t.Helper()
	url, err := sqs.NewFromConfig(w.cloud.Config(region)).GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &name})
	require.NoError(t, err)
	return url.QueueUrl
}

// A trail of the account's own is counted in its log group, or not at all.
func TestExistingTrail(t *testing.T) {
	for logGroup, filters := range map[string]int{"": 0, "organization": 7} {
		config := stackConfig(t, "prod")
		change(t, config, catalogue.KeyAudit, func(audit map[string]any) { audit["trail"] = map[string]any{"existing": true, "logGroup": logGroup} })
		record := &recorder{next: paperFor("prod")}
		require.NoError(t, deploy(record, config, artifacts(t)))
		assert.Empty(t, record.named("aws:cloudtrail/trail:Trail"))
		assert.NotContains(t, record.named("aws:s3/bucketV2:BucketV2"), "trail")
		made := record.named("aws:cloudwatch/logMetricFilter:LogMetricFilter")
		assert.Len(t, made, filters)
		for _, filter := range made {
			assert.Equal(t, logGroup, filter.Inputs["logGroupName"].StringValue())
		}
		alarms := record.named("aws:cloudwatch/metricAlarm:MetricAlarm")
		_, watched := alarms["denied-read"]
		assert.Equal(t, filters > 0, watched)
		missing := alarms["audit-missing"].Inputs
		assert.Equal(t, filters == 0, missing.HasValue("insufficientDataActions"), "without what the trail counts, it tells by having no data")
	}
}

// The patterns hold everybody who may read, within the length that AWS takes.
func TestTrailCounts(t *testing.T) {
	filters := deployOnPaper(t, "prod").named("aws:cloudwatch/logMetricFilter:LogMetricFilter")
	var all strings.Builder
	for _, filter := range filters {
		pattern := filter.Inputs["pattern"].StringValue()
		assert.LessOrEqual(t, len(pattern), 1024)
		transformation := filter.Inputs["metricTransformation"].ObjectValue()
		assert.Equal(t, "Secrets/aistudio-prod", transformation["namespace"].StringValue())
		if transformation["name"].StringValue() == audittrail.ExpectedReads {
			all.WriteString(pattern)
		}
	}
	for _, role := range []string{"aistudio-prod-orders-reader", "aistudio-prod-payments-reader", "aistudio-prod-rotate-database", "secrets-administrator"} {
		assert.Equal(t, 1, strings.Count(all.String(), `"arn:aws:iam::123456789012:role/`+role+`"`), role)
	}
}

// What the trail needs, and what guards it.
func TestTrail(t *testing.T) {
	record := deployOnPaper(t, "prod")
	trail := record.named("aws:cloudtrail/trail:Trail")["trail"]
	inputs := trail.Inputs.Mappable()
	for _, on := range []string{"isMultiRegionTrail", "enableLogFileValidation", "includeGlobalServiceEvents"} {
		assert.Equal(t, true, inputs[on], on)
	}
	assert.Contains(t, inputs["kmsKeyId"], "Key/trail")
	assert.Contains(t, inputs["cloudWatchLogsGroupArn"], "LogGroup/trail:*")
	var waits []string
	for _, urn := range trail.RegisterRPC.GetDependencies() {
		waits = append(waits, urn[strings.LastIndex(urn, "$")+1:])
	}
	for _, need := range []string{"aws:s3/bucketPolicy:BucketPolicy::trail", "aws:iam/rolePolicy:RolePolicy::trail"} {
		assert.True(t, slices.ContainsFunc(waits, func(urn string) bool { return strings.Contains(urn, need) }), "CloudTrail tries its bucket and role at once, so %s has to be there: %v", need, waits)
	}
	selectors, err := json.Marshal(inputs["advancedEventSelectors"])
	require.NoError(t, err)
	assert.Contains(t, string(selectors), `"arn:aws:s3:::aistudio-prod-audit-123456789012/"`)
	assert.Contains(t, string(selectors), `"arn:aws:lambda:us-west-2:123456789012:function:aistudio-prod-"`)

	guards := statements(t, record.named("aws:s3/bucketPolicy:BucketPolicy")["trail"].Inputs["policy"])
	const arn = "arn:aws:cloudtrail:us-east-1:123456789012:trail/aistudio-prod-trail"
	assert.Equal(t, policy.Condition{"StringEquals": {"aws:SourceArn": {arn}}}, guards["LookAtAccess"].Condition)
	assert.Equal(t, policy.Condition{"StringEquals": {"aws:SourceArn": {arn}, "s3:x-amz-acl": {"bucket-owner-full-control"}}}, guards["DeliverLogFiles"].Condition)
	assert.Equal(t, policy.Deny, guards["WithoutTLS"].Effect)
	assert.Equal(t, policy.Deny, guards["KeepLogFiles"].Effect, "in prod, nobody deletes log files")
	assert.NotContains(t, statements(t, deployOnPaper(t, "dev").named("aws:s3/bucketPolicy:BucketPolicy")["trail"].Inputs["policy"]), "KeepLogFiles")
	assert.InDelta(t, 365, record.named("aws:cloudwatch/logGroup:LogGroup")["trail"].Inputs["retentionInDays"].NumberValue(), 0)
}
