package cloudtrail_test

import (
	"compress/gzip"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

const (
	home        = "us-east-1"
	deliveryARN = "arn:aws:cloudtrail:us-east-1:123456789012:trail/main"
)

// Policies of the user guide's pages "Amazon S3 bucket policy for CloudTrail" and
// "Configure AWS KMS key policies for CloudTrail".
const (
	bucketPolicy = `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:GetBucketAcl","Resource":"arn:aws:s3:::logs","Condition":{"StringEquals":{"aws:SourceArn":"` + deliveryARN + `"}}},
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::logs/AWSLogs/123456789012/*","Condition":{"StringEquals":{"aws:SourceArn":"` + deliveryARN + `","s3:x-amz-acl":"bucket-owner-full-control"}}}]}`
	keyPolicy = `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"kms:GenerateDataKey*","Resource":"*","Condition":{"StringEquals":{"aws:SourceArn":"` + deliveryARN + `"},"StringLike":{"kms:EncryptionContext:aws:cloudtrail:arn":"arn:aws:cloudtrail:*:123456789012:trail/*"}}}]}`
	roleTrust  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	rolePolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogStream","logs:PutLogEvents"],"Resource":"arn:aws:logs:us-east-1:123456789012:log-group:trail:log-stream:123456789012_CloudTrail_us-east-1*"}]}`
)

// target is what a trail delivers to.
type target struct {
	t      *testing.T
	cloud  *localcloud.Cloud
	trails *cloudtrail.Client
	keyARN *string
	in     *cloudtrail.CreateTrailInput
}

func newTarget(t *testing.T) target {
	t.Helper()
	cloud := newCloud(t)
	cfg := cloud.Config(home)
	_, err := s3.NewFromConfig(cfg).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("logs")})
	require.NoError(t, err)
	key, err := kms.NewFromConfig(cfg).CreateKey(t.Context(), &kms.CreateKeyInput{Policy: aws.String(keyPolicy)})
	require.NoError(t, err)
	_, err = cloudwatchlogs.NewFromConfig(cfg).CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("trail")})
	require.NoError(t, err)
	role, err := iam.NewFromConfig(cfg).CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("trail"), AssumeRolePolicyDocument: aws.String(roleTrust)})
	require.NoError(t, err)
	x := target{t, cloud, cloudtrail.NewFromConfig(cfg), key.KeyMetadata.Arn, &cloudtrail.CreateTrailInput{
		Name: aws.String("main"), S3BucketName: aws.String("logs"), IsMultiRegionTrail: aws.Bool(true), KmsKeyId: key.KeyMetadata.Arn,
		CloudWatchLogsLogGroupArn: aws.String("arn:aws:logs:us-east-1:123456789012:log-group:trail:*"), CloudWatchLogsRoleArn: role.Role.Arn,
	}}
	x.setPolicies(bucketPolicy, rolePolicy)
	return x
}

func (x target) setPolicies(ofBucket, ofRole string) {
	x.t.Helper()
	cfg := x.cloud.Config(home)
	_, err := s3.NewFromConfig(cfg).PutBucketPolicy(x.t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("logs"), Policy: &ofBucket})
	require.NoError(x.t, err)
	_, err = iam.NewFromConfig(cfg).PutRolePolicy(x.t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("trail"), PolicyName: aws.String("write"), PolicyDocument: &ofRole})
	require.NoError(x.t, err)
}

func (x target) start() {
	x.t.Helper()
	_, err := x.trails.CreateTrail(x.t.Context(), x.in)
	require.NoError(x.t, err)
	_, err = x.trails.StartLogging(x.t.Context(), &cloudtrail.StartLoggingInput{Name: x.in.Name})
	require.NoError(x.t, err)
}

func (x target) status() *cloudtrail.GetTrailStatusOutput {
	x.t.Helper()
	status, err := x.trails.GetTrailStatus(x.t.Context(), &cloudtrail.GetTrailStatusInput{Name: x.in.Name})
	require.NoError(x.t, err)
	return status
}

// logged are the names of the events in the log group.
func (x target) logged() []string {
	x.t.Helper()
	found, err := cloudwatchlogs.NewFromConfig(x.cloud.Config(home)).FilterLogEvents(x.t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("trail")})
	require.NoError(x.t, err)
	var names []string
	for _, event := range found.Events {
		assert.Equal(x.t, "123456789012_CloudTrail_us-east-1", *event.LogStreamName)
		var detail struct{ EventName string }
		require.NoError(x.t, json.Unmarshal([]byte(*event.Message), &detail))
		names = append(names, detail.EventName)
	}
	return names
}

// What happens in any region is in the log group at once and in an encrypted log
// file later.
func TestDelivery(t *testing.T) {
	x := newTarget(t)
	x.start()
	_, err := kms.NewFromConfig(x.cloud.Config("eu-west-1")).CreateKey(t.Context(), &kms.CreateKeyInput{})
	require.NoError(t, err)
	assert.Contains(t, x.logged(), "CreateKey")
	require.NoError(t, x.cloud.Advance(t.Context(), 10*time.Minute))
	assert.Empty(t, x.cloud.Unsupported())

	objects := s3.NewFromConfig(x.cloud.Config(home))
	listed, err := objects.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("logs"), Prefix: aws.String("AWSLogs/123456789012/CloudTrail/eu-west-1/2026/03/01/")})
	require.NoError(t, err)
	require.Len(t, listed.Contents, 1)
	got, err := objects.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("logs"), Key: listed.Contents[0].Key})
	require.NoError(t, err)
	defer got.Body.Close()
	assert.Equal(t, x.keyARN, got.SSEKMSKeyId)
	unzipped, err := gzip.NewReader(got.Body)
	require.NoError(t, err)
	var file struct {
		Records []struct{ EventName, AWSRegion string }
	}
	require.NoError(t, json.NewDecoder(unzipped).Decode(&file))
	require.Len(t, file.Records, 1)
	assert.Equal(t, "CreateKey", file.Records[0].EventName)
	status := x.status()
	assert.Empty(t, aws.ToString(status.LatestDeliveryError)+aws.ToString(status.LatestCloudWatchLogsDeliveryError))
	assert.NotNil(t, status.LatestDeliveryTime)

	_, err = x.trails.StopLogging(t.Context(), &cloudtrail.StopLoggingInput{Name: aws.String("main")})
	require.NoError(t, err)
	names := x.logged()
	assert.Equal(t, "StopLogging", names[len(names)-1], "the call that stops a trail is its last")
	_, err = kms.NewFromConfig(x.cloud.Config(home)).CreateKey(t.Context(), &kms.CreateKeyInput{})
	require.NoError(t, err)
	assert.Len(t, x.logged(), len(names))
}

// What is taken away from a trail that delivers shows in its status.
func TestDeliveryIsRefused(t *testing.T) {
	x := newTarget(t)
	x.start()
	x.setPolicies(strings.ReplaceAll(bucketPolicy, "trail/main", "trail/other"), strings.ReplaceAll(rolePolicy, "us-east-1*", "eu-west-1*"))
	require.NoError(t, x.cloud.Advance(t.Context(), 10*time.Minute))
	status := x.status()
	assert.Equal(t, "AccessDenied", aws.ToString(status.LatestDeliveryError))
	assert.Equal(t, "AccessDenied", aws.ToString(status.LatestCloudWatchLogsDeliveryError))
}

// A trail that couldn't deliver isn't made.
func TestTrailsThatCannotDeliver(t *testing.T) {
	for code, broken := range map[string]func(x target){
		"S3BucketDoesNotExistException": func(x target) { x.in.S3BucketName = aws.String("none") },
		"InsufficientS3BucketPolicyException": func(x target) {
			x.setPolicies(strings.ReplaceAll(bucketPolicy, "trail/main", "trail/other"), rolePolicy)
		},
		"InvalidCloudWatchLogsRoleArnException": func(x target) {
			_, err := iam.NewFromConfig(x.cloud.Config(home)).UpdateAssumeRolePolicy(x.t.Context(), &iam.UpdateAssumeRolePolicyInput{
				RoleName: aws.String("trail"), PolicyDocument: aws.String(strings.ReplaceAll(roleTrust, "cloudtrail.", "lambda.")),
			})
			require.NoError(x.t, err)
		},
		"InvalidCloudWatchLogsLogGroupArnException": func(x target) {
			x.in.CloudWatchLogsLogGroupArn = aws.String(strings.TrimSuffix(*x.in.CloudWatchLogsLogGroupArn, ":*"))
		},
		"InsufficientEncryptionPolicyException": func(x target) {
			_, err := kms.NewFromConfig(x.cloud.Config(home)).PutKeyPolicy(x.t.Context(), &kms.PutKeyPolicyInput{
				KeyId: x.keyARN, Policy: aws.String(strings.ReplaceAll(keyPolicy, "trail/main", "trail/other")),
			})
			require.NoError(x.t, err)
		},
	} {
		t.Run(code, func(t *testing.T) {
			x := newTarget(t)
			broken(x)
			_, err := x.trails.CreateTrail(t.Context(), x.in)
			var refused smithy.APIError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, code, refused.ErrorCode())
		})
	}
}

// Data events are logged where an advanced selector asks for them.
func TestDataEvents(t *testing.T) {
	x := newTarget(t)
	x.start()
	objects := s3.NewFromConfig(x.cloud.Config(home))
	for _, bucket := range []string{"reports", "others"} {
		_, err := objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket})
		require.NoError(t, err)
	}
	put := func(bucket string) {
		_, err := objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("k"), Body: strings.NewReader("x")})
		require.NoError(t, err)
	}
	put("reports")
	assert.NotContains(t, x.logged(), "PutObject")
	_, err := x.trails.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: x.in.Name, AdvancedEventSelectors: []types.AdvancedEventSelector{
		{FieldSelectors: []types.AdvancedFieldSelector{{Field: aws.String("eventCategory"), Equals: []string{"Management"}}}},
		{FieldSelectors: []types.AdvancedFieldSelector{
			{Field: aws.String("eventCategory"), Equals: []string{"Data"}}, {Field: aws.String("resources.type"), Equals: []string{"AWS::S3::Object"}},
			{Field: aws.String("resources.ARN"), StartsWith: []string{"arn:aws:s3:::reports/"}},
		}},
	}})
	require.NoError(t, err)
	put("others")
	assert.NotContains(t, x.logged(), "PutObject")
	put("reports")
	assert.Contains(t, x.logged(), "PutObject")
	assert.Contains(t, x.logged(), "CreateBucket")
}
