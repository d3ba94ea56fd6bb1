package program_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/sdk/spec"
)

// attemptOnShared is an action of the matrix on what the secrets of a stack share.
type attemptOnShared struct {
	name   string
	call   func(context.Context, aws.Config) error
	checks []check
}

// sharedAttempts are those on the feed, the topic, the buckets, the queues and the
// functions of prod, in both regions.
func (w *world) sharedAttempts(t *testing.T) []attemptOnShared {
	t.Helper()
	var all []attemptOnShared
	for _, place := range []struct {
		suffix string
		in     func(aws.Config) aws.Config
	}{{"", func(config aws.Config) aws.Config { return config }}, {", second region", inReplica}} {
		for _, attempts := range [][]attemptOnShared{
			w.onFeed(place.in), w.onTopic(t, place.in), w.onQueue(t, place.in), w.onFunction(t, place.in),
		} {
			for _, attempt := range attempts {
				call := attempt.call
				all = append(all, attemptOnShared{attempt.name + place.suffix, func(ctx context.Context, config aws.Config) error { return call(ctx, place.in(config)) }, attempt.checks})
			}
		}
	}
	all = append(all, w.onBucket(t, "aistudio-prod-audit-"+accountID, map[string]string{
		"reports": spec.AuditReports + "prod/matrix/report.json", "the audit's configuration": spec.AuditCatalogueKey, "the audit's memory": spec.AuditStateKey, "the scan": spec.ScanKey,
	})...)
	return append(all, w.onBucket(t, "aistudio-prod-trail-"+accountID, map[string]string{"log files": "AWSLogs/" + accountID + "/CloudTrail/matrix.json.gz"})...)
}

func arnOf(config aws.Config, service, resource string) string {
	return strings.Join([]string{"arn", "aws", service, config.Region, accountID, resource}, ":")
}

func (w *world) onFeed(in func(aws.Config) aws.Config) []attemptOnShared {
	table := aws.String("aistudio-prod-rotation-feed")
	arn := arnOf(in(w.cloud.Config(region)), "dynamodb", "table/"+*table)
	text := func(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }
	entry := map[string]types.AttributeValue{spec.FeedKey: text("matrix"), spec.FeedTime: text("2000")}
	return []attemptOnShared{
		{"ask the feed", func(ctx context.Context, config aws.Config) error {
			_, err := dynamodb.NewFromConfig(config).Query(ctx, &dynamodb.QueryInput{
				TableName: table, KeyConditionExpression: aws.String("#feed = :feed"),
				ExpressionAttributeNames: map[string]string{"#feed": spec.FeedKey}, ExpressionAttributeValues: map[string]types.AttributeValue{":feed": text("matrix")},
			})
			return err
		}, []check{{Action: "dynamodb:Query", Resource: arn}}},
		{"write the feed", func(ctx context.Context, config aws.Config) error {
			_, err := dynamodb.NewFromConfig(config).PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: entry})
			return err
		}, []check{{Action: "dynamodb:PutItem", Resource: arn}}},
		{"delete from the feed", func(ctx context.Context, config aws.Config) error {
			_, err := dynamodb.NewFromConfig(config).DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: entry})
			return err
		}, []check{{Action: "dynamodb:DeleteItem", Resource: arn}}},
	}
}

func (w *world) onTopic(t *testing.T, in func(aws.Config) aws.Config) []attemptOnShared {
	t.Helper()
	config := in(w.cloud.Config(region))
	arn := arnOf(config, "sns", "aistudio-prod-secrets-alerts")
	topic, err := sns.NewFromConfig(config).GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: &arn})
	require.NoError(t, err)
	key := topic.Attributes["KmsMasterKeyId"]
	guard, err := kms.NewFromConfig(config).GetKeyPolicy(t.Context(), &kms.GetKeyPolicyInput{KeyId: &key})
	require.NoError(t, err)
	via := map[string]string{"kms:ViaService": "sns." + config.Region + ".amazonaws.com", "kms:EncryptionContext:aws:sns:topicArn": arn, "kms:CallerAccount": accountID}
	return []attemptOnShared{{"publish alerts", func(ctx context.Context, config aws.Config) error {
		_, err := sns.NewFromConfig(config).Publish(ctx, &sns.PublishInput{TopicArn: &arn, Message: aws.String("{}")})
		return err
	}, []check{
		{Action: "sns:Publish", Resource: arn, Policy: topic.Attributes["Policy"]},
		{"kms:GenerateDataKey", key, *guard.Policy, via}, {"kms:Decrypt", key, *guard.Policy, via},
	}}}
}

func (w *world) onQueue(t *testing.T, in func(aws.Config) aws.Config) []attemptOnShared {
	t.Helper()
	config := in(w.cloud.Config(region))
	name := "aistudio-prod-rotation-feed-failures"
	url, err := sqs.NewFromConfig(config).GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &name})
	require.NoError(t, err)
	queue, err := sqs.NewFromConfig(config).GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: url.QueueUrl, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNamePolicy}})
	require.NoError(t, err)
	on := func(action string) []check {
		return []check{{Action: "sqs:" + action, Resource: arnOf(config, "sqs", name), Policy: queue.Attributes["Policy"]}}
	}
	return []attemptOnShared{
		{"take failures", func(ctx context.Context, config aws.Config) error {
			_, err := sqs.NewFromConfig(config).ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url.QueueUrl})
			return err
		}, on("ReceiveMessage")},
		{"add failures", func(ctx context.Context, config aws.Config) error {
			_, err := sqs.NewFromConfig(config).SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: url.QueueUrl, MessageBody: aws.String("{}")})
			return err
		}, on("SendMessage")},
	}
}

func (w *world) onFunction(t *testing.T, in func(aws.Config) aws.Config) []attemptOnShared {
	t.Helper()
	config := in(w.cloud.Config(region))
	name := "aistudio-prod-rotate-database"
	guard, err := lambda.NewFromConfig(config).GetPolicy(t.Context(), &lambda.GetPolicyInput{FunctionName: &name})
	require.NoError(t, err)
	return []attemptOnShared{{"invoke a rotator", func(ctx context.Context, config aws.Config) error {
		_, err := lambda.NewFromConfig(config).Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, InvocationType: lambdatypes.InvocationTypeDryRun})
		return err
	}, []check{{Action: "lambda:InvokeFunction", Resource: arnOf(config, "lambda", "function:"+name), Policy: *guard.Policy}}}}
}

// onBucket are attempts on objects of a bucket, by what they are. Each is there,
// and stays what it is.
func (w *world) onBucket(t *testing.T, bucket string, objects map[string]string) []attemptOnShared {
	t.Helper()
	root := s3.NewFromConfig(w.cloud.Config(region))
	guard, err := root.GetBucketPolicy(t.Context(), &s3.GetBucketPolicyInput{Bucket: &bucket})
	require.NoError(t, err)
	var all []attemptOnShared
	for _, what := range sorted(objects) {
		key := aws.String(objects[what])
		content := "{}"
		if what == "the audit's configuration" {
			content = w.record.named("aws:s3/bucketObjectv2:BucketObjectv2")["audit-catalogue"].Inputs["content"].StringValue()
		}
		put := func(ctx context.Context, client *s3.Client) error {
			_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: key, Body: strings.NewReader(content)})
			return err
		}
		require.NoError(t, put(t.Context(), root))
		on := func(action string) []check {
			return []check{{Action: "s3:" + action, Resource: "arn:aws:s3:::" + bucket + "/" + *key, Policy: *guard.Policy}}
		}
		all = append(all, attemptOnShared{"read " + what, func(ctx context.Context, config aws.Config) error {
			_, err := s3.NewFromConfig(config).GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: key})
			return err
		}, on("GetObject")}, attemptOnShared{"write " + what, func(ctx context.Context, config aws.Config) error {
			return put(ctx, s3.NewFromConfig(config))
		}, on("PutObject")}, attemptOnShared{"delete " + what, func(ctx context.Context, config aws.Config) error {
			_, err := s3.NewFromConfig(config).DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: key})
			if err == nil { // the version is there, and is read next
				return put(ctx, root)
			}
			return err
		}, on("DeleteObject")})
	}
	return all
}

// checkShared names who has to be able to do what with what the secrets share.
// Whom IAM allows everything is among them, but for what a resource's own policy
// denies.
func checkShared(t *testing.T, allowed map[string]map[string][]string) {
	t.Helper()
	const prefix = "aistudio-prod-"
	all := []string{"everything", "secrets-administrator", "secrets-deployer"}
	var caches, rotators, writers []string
	for principal := range allowed {
		if strings.HasSuffix(principal, "-reader") {
			caches = append(caches, principal)
		}
		if strings.HasPrefix(principal, prefix+"rotate-") {
			rotators = append(rotators, principal)
		}
	}
	require.NotEmpty(t, caches)
	require.NotEmpty(t, rotators)
	writers = append(slices.Clone(rotators), prefix+"rotation-feed")
	want := map[string][]string{
		"read reports": nil, "write reports": {prefix + "audit"}, "delete reports": nil,
		"read the audit's configuration": {prefix + "audit"}, "write the audit's configuration": nil, "delete the audit's configuration": nil,
		"read the audit's memory": {prefix + "audit"}, "write the audit's memory": {prefix + "audit"}, "delete the audit's memory": nil,
		"read the scan": {prefix + "audit"}, "write the scan": {prefix + "migration-scan"}, "delete the scan": nil,
		"read log files": nil, "write log files": nil,
	}
	for region, publishers := range map[string][]string{"": {prefix + "audit"}, ", second region": nil} {
		want["ask the feed"+region], want["write the feed"+region], want["delete from the feed"+region] = caches, writers, nil
		want["publish alerts"+region], want["invoke a rotator"+region] = publishers, nil
		want["take failures"+region], want["add failures"+region] = nil, []string{prefix + "rotation-feed"}
	}
	for action, who := range want {
		assert.ElementsMatch(t, append(slices.Clone(all), who...), whoMay(allowed, action), "who may %s", action)
	}
	assert.Empty(t, whoMay(allowed, "delete log files"), "nobody deletes log files")
}

func whoMay(allowed map[string]map[string][]string, action string) []string {
	var who []string
	for principal, actions := range allowed {
		if len(actions[action]) > 0 {
			who = append(who, principal)
		}
	}
	return who
}
