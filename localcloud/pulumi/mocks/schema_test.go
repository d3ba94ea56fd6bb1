package mocks_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/budgets"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudtrail"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/dynamodb"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/kms"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/s3"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/scheduler"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/secretsmanager"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/sns"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/sqs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/pulumi/handlers"
)

// schemaType is a resource type as pulumi-aws's Go SDK declares it, and what of
// it the handlers refuse.
type schemaType struct {
	resource    any // its properties, in "pulumi" tags
	args        interface{ ElementType() reflect.Type }
	unsupported []string
}

func schema() map[string]schemaType {
	return map[string]schemaType{
		"aws:budgets/budget:Budget":                      {budgets.Budget{}, budgets.BudgetArgs{}, []string{"autoAdjustData", "costTypes", "plannedLimits"}},
		"aws:cloudtrail/trail:Trail":                     {cloudtrail.Trail{}, cloudtrail.TrailArgs{}, []string{"eventSelectors", "insightSelectors", "snsTopicArn", "snsTopicName"}},
		"aws:cloudwatch/logMetricFilter:LogMetricFilter": {cloudwatch.LogMetricFilter{}, cloudwatch.LogMetricFilterArgs{}, nil},
		"aws:cloudwatch/eventRule:EventRule":             {cloudwatch.EventRule{}, cloudwatch.EventRuleArgs{}, nil},
		"aws:cloudwatch/eventTarget:EventTarget": {cloudwatch.EventTarget{}, cloudwatch.EventTargetArgs{}, []string{
			"appsyncTarget", "batchTarget", "ecsTarget", "httpTarget", "kinesisTarget", "redshiftTarget", "runCommandTargets",
			"sagemakerPipelineTarget", "sqsTarget",
		}},
		"aws:cloudwatch/metricAlarm:MetricAlarm": {cloudwatch.MetricAlarm{}, cloudwatch.MetricAlarmArgs{}, []string{"metricQueries.accountId", "thresholdMetricId"}},
		"aws:dynamodb/table:Table": {dynamodb.Table{}, dynamodb.TableArgs{}, []string{
			"globalSecondaryIndexes", "importTable", "localSecondaryIndexes", "onDemandThroughput", "replicas.kmsKeyArn", "restoreDateTime",
			"restoreSourceName", "restoreSourceTableArn", "restoreToLatestTime", "tableClass",
		}},
		"aws:lambda/layerVersion:LayerVersion":                     {lambda.LayerVersion{}, lambda.LayerVersionArgs{}, []string{"s3Bucket", "s3Key", "s3ObjectVersion"}},
		"aws:lambda/layerVersionPermission:LayerVersionPermission": {lambda.LayerVersionPermission{}, lambda.LayerVersionPermissionArgs{}, nil},
		"aws:sns/topic:Topic": {sns.Topic{}, sns.TopicArgs{}, []string{
			"applicationFailureFeedbackRoleArn", "applicationSuccessFeedbackRoleArn", "applicationSuccessFeedbackSampleRate", "archivePolicy",
			"beginningArchiveTime", "contentBasedDeduplication", "fifoThroughputScope", "fifoTopic", "firehoseFailureFeedbackRoleArn",
			"firehoseSuccessFeedbackRoleArn", "firehoseSuccessFeedbackSampleRate", "httpFailureFeedbackRoleArn", "httpSuccessFeedbackRoleArn",
			"httpSuccessFeedbackSampleRate", "lambdaFailureFeedbackRoleArn", "lambdaSuccessFeedbackRoleArn", "lambdaSuccessFeedbackSampleRate",
			"sqsFailureFeedbackRoleArn", "sqsSuccessFeedbackRoleArn", "sqsSuccessFeedbackSampleRate",
		}},
		"aws:sns/topicPolicy:TopicPolicy":             {sns.TopicPolicy{}, sns.TopicPolicyArgs{}, nil},
		"aws:sns/topicSubscription:TopicSubscription": {sns.TopicSubscription{}, sns.TopicSubscriptionArgs{}, []string{"replayPolicy", "subscriptionRoleArn"}},
		"aws:sqs/queue:Queue": {sqs.Queue{}, sqs.QueueArgs{}, []string{
			"contentBasedDeduplication", "deduplicationScope", "fifoQueue", "fifoThroughputLimit",
		}},
		"aws:sqs/queuePolicy:QueuePolicy":                                                            {sqs.QueuePolicy{}, sqs.QueuePolicyArgs{}, nil},
		"aws:cloudwatch/dashboard:Dashboard":                                                         {cloudwatch.Dashboard{}, cloudwatch.DashboardArgs{}, nil},
		"aws:s3/bucketOwnershipControls:BucketOwnershipControls":                                     {s3.BucketOwnershipControls{}, s3.BucketOwnershipControlsArgs{}, nil},
		"aws:s3/bucketPolicy:BucketPolicy":                                                           {s3.BucketPolicy{}, s3.BucketPolicyArgs{}, nil},
		"aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock":                                     {s3.BucketPublicAccessBlock{}, s3.BucketPublicAccessBlockArgs{}, nil},
		"aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2":                       {s3.BucketLifecycleConfigurationV2{}, s3.BucketLifecycleConfigurationV2Args{}, []string{"expectedBucketOwner", "timeouts"}},
		"aws:s3/bucketObjectLockConfigurationV2:BucketObjectLockConfigurationV2":                     {s3.BucketObjectLockConfigurationV2{}, s3.BucketObjectLockConfigurationV2Args{}, []string{"expectedBucketOwner", "token"}},
		"aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2": {s3.BucketServerSideEncryptionConfigurationV2{}, s3.BucketServerSideEncryptionConfigurationV2Args{}, []string{"expectedBucketOwner"}},
		"aws:s3/bucketVersioningV2:BucketVersioningV2":                                               {s3.BucketVersioningV2{}, s3.BucketVersioningV2Args{}, []string{"expectedBucketOwner", "mfa"}},
		"aws:s3/bucketObjectv2:BucketObjectv2": {s3.BucketObjectv2{}, s3.BucketObjectv2Args{}, []string{
			"acl", "bucketKeyEnabled", "cacheControl", "checksumAlgorithm", "checksumCrc32", "checksumCrc32c", "checksumCrc64nvme",
			"checksumSha1", "checksumSha256", "contentBase64", "contentDisposition", "contentEncoding", "contentLanguage", "kmsKeyId", "metadata",
			"objectLockLegalHoldStatus", "objectLockMode", "objectLockRetainUntilDate", "overrideProvider", "serverSideEncryption", "source",
			"sourceHash", "storageClass", "tags", "tagsAll", "websiteRedirect",
		}},
		"aws:s3/bucketV2:BucketV2": {s3.BucketV2{}, s3.BucketV2Args{}, []string{
			"accelerationStatus", "acl", "corsRules", "grants", "lifecycleRules", "loggings", "objectLockConfiguration", "policy", "replicationConfigurations",
			"requestPayer", "serverSideEncryptionConfigurations", "versionings", "websiteDomain", "websiteEndpoint", "websites",
		}},
		"aws:scheduler/schedule:Schedule": {scheduler.Schedule{}, scheduler.ScheduleArgs{}, []string{
			"target.ecsParameters", "target.eventbridgeParameters", "target.kinesisParameters", "target.sagemakerPipelineParameters", "target.sqsParameters",
		}},
		"aws:cloudwatch/logGroup:LogGroup":                  {cloudwatch.LogGroup{}, cloudwatch.LogGroupArgs{}, nil},
		"aws:iam/policy:Policy":                             {iam.Policy{}, iam.PolicyArgs{}, nil},
		"aws:iam/role:Role":                                 {iam.Role{}, iam.RoleArgs{}, []string{"inlinePolicies"}},
		"aws:iam/rolePolicy:RolePolicy":                     {iam.RolePolicy{}, iam.RolePolicyArgs{}, nil},
		"aws:iam/rolePolicyAttachment:RolePolicyAttachment": {iam.RolePolicyAttachment{}, iam.RolePolicyAttachmentArgs{}, nil},
		"aws:kms/alias:Alias":                               {kms.Alias{}, kms.AliasArgs{}, nil},
		"aws:kms/key:Key":                                   {kms.Key{}, kms.KeyArgs{}, []string{"customKeyStoreId", "xksKeyId"}},
		"aws:kms/replicaKey:ReplicaKey":                     {kms.ReplicaKey{}, kms.ReplicaKeyArgs{}, nil},
		"aws:lambda/invocation:Invocation":                  {lambda.Invocation{}, lambda.InvocationArgs{}, nil},
		"aws:lambda/permission:Permission":                  {lambda.Permission{}, lambda.PermissionArgs{}, nil},
		"aws:secretsmanager/secret:Secret":                  {secretsmanager.Secret{}, secretsmanager.SecretArgs{}, nil},
		"aws:secretsmanager/secretPolicy:SecretPolicy":      {secretsmanager.SecretPolicy{}, secretsmanager.SecretPolicyArgs{}, nil},
		"aws:secretsmanager/secretRotation:SecretRotation":  {secretsmanager.SecretRotation{}, secretsmanager.SecretRotationArgs{}, nil},
		"aws:lambda/function:Function": {lambda.Function{}, lambda.FunctionArgs{}, []string{
			"codeSigningConfigArn", "fileSystemConfig", "imageConfig", "imageUri", "replaceSecurityGroupsOnDestroy",
			"replacementSecurityGroupIds", "s3Bucket", "s3Key", "s3ObjectVersion", "snapStart",
		}},
	}
}

// TestTheHandlersKnowTheSchema compares each handler's properties with those of
// the SDK that programs are written against: all of them are known, but those
// listed above, and nothing else is.
func TestTheHandlersKnowTheSchema(t *testing.T) {
	provider, err := handlers.New(handlers.Config{Region: region, Endpoint: "http://127.0.0.1:1"})
	require.NoError(t, err)
	types := schema()
	for _, token := range provider.Types() {
		t.Run(token, func(t *testing.T) {
			declared, ok := types[token]
			require.True(t, ok, "add the type to this test")
			inputs, outputs, err := provider.Properties(token)
			require.NoError(t, err)
			assert.ElementsMatch(t, inputTags(declared.args.ElementType(), declared.unsupported), inputs, "inputs")
			assert.ElementsMatch(t, without(tags(reflect.TypeOf(declared.resource)), declared.unsupported), outputs, "properties of the state")
		})
	}
}

// inputTags lists the names in a struct's "pulumi" tags and, behind a dot, in
// those of the structs in it.
func inputTags(t reflect.Type, unsupported []string) []string {
	var names []string
	for field := range t.Fields() {
		name := field.Tag.Get("pulumi")
		if slices.Contains(unsupported, name) {
			continue
		}
		names = append(names, name)
		nested := field.Type
		for nested.Kind() == reflect.Pointer || nested.Kind() == reflect.Slice {
			nested = nested.Elem()
		}
		if nested.Kind() == reflect.Struct {
			for _, inner := range tags(nested) {
				if inner = name + "." + inner; !slices.Contains(unsupported, inner) {
					names = append(names, inner)
				}
			}
		}
	}
	return names
}

// tags lists the names in a struct's "pulumi" tags.
func tags(t reflect.Type) []string {
	var names []string
	for field := range t.Fields() {
		if name := field.Tag.Get("pulumi"); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func without(names, unwanted []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(unwanted, name) })
}
