package handlers_test

import (
	"context"
	"io"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	s3sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	schedulersdk "github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBuckets(t *testing.T) {
	w := newWorld(t)
	objects := s3sdk.NewFromConfig(w.cloud.Config(there))
	w.live(life{
		token:    "aws:s3/bucketV2:BucketV2",
		provider: w.there,
		inputs:   resource.PropertyMap{"objectLockEnabled": boolean(true), "tags": object("Owner", "platform")},
		change:   resource.PropertyMap{"tags": object("Owner", "payments", "Stage", "dev")},
		disturb: func(ctx context.Context, x *thing) error {
			_, err := objects.DeleteBucketTagging(ctx, &s3sdk.DeleteBucketTaggingInput{Bucket: &x.id})
			return err
		},
		disturbed: []string{"tags"},
	})

	full := w.create(w.there, "aws:s3/bucketV2:BucketV2", nil)
	put := func() {
		_, err := objects.PutObject(t.Context(), &s3sdk.PutObjectInput{Bucket: &full.id, Key: awssdk.String("report"), Body: strings.NewReader("text")})
		require.NoError(t, err)
	}
	put()
	assert.ErrorContains(t, full.provider.Delete(t.Context(), full.token, full.id, full.state), "BucketNotEmpty")
	w.update(full, resource.PropertyMap{"bucket": str(full.id), "forceDestroy": boolean(true)})
	put()
	w.remove(full)
	assert.False(t, w.exists(full))
}

func TestPartsOfBuckets(t *testing.T) {
	w := newWorld(t)
	key := w.create(w.home, "aws:kms/key:Key", nil)
	bucket := w.create(w.home, "aws:s3/bucketV2:BucketV2", resource.PropertyMap{"bucket": str("reports")})
	w.live(life{
		token: "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
		inputs: resource.PropertyMap{
			"bucket": str(bucket.id), "blockPublicAcls": boolean(true), "blockPublicPolicy": boolean(true), "ignorePublicAcls": boolean(true), "restrictPublicBuckets": boolean(true),
		},
		change: resource.PropertyMap{"restrictPublicBuckets": boolean(false)},
	})
	w.live(life{
		token:  "aws:s3/bucketPolicy:BucketPolicy",
		inputs: resource.PropertyMap{"bucket": str(bucket.id), "policy": str(bucketGuard("s3:DeleteObject"))},
		change: resource.PropertyMap{"policy": str(bucketGuard("s3:DeleteObjectVersion"))},
		disturb: func(ctx context.Context, x *thing) error {
			_, err := s3sdk.NewFromConfig(w.cloud.Config(home)).PutBucketPolicy(ctx, &s3sdk.PutBucketPolicyInput{Bucket: &x.id, Policy: awssdk.String(bucketGuard("s3:*"))})
			return err
		},
		disturbed: []string{"policy"},
	})
	w.live(life{
		token: "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",
		inputs: resource.PropertyMap{"bucket": str(bucket.id), "rules": list(object("bucketKeyEnabled", true, "applyServerSideEncryptionByDefault",
			map[string]any{"sseAlgorithm": "aws:kms", "kmsMasterKeyId": key.state["arn"].StringValue()}))},
		change: resource.PropertyMap{"rules": list(object("applyServerSideEncryptionByDefault", map[string]any{"sseAlgorithm": "AES256"}))},
		stays:  true, // a bucket is always encrypted
	})
	w.live(life{
		token:  "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
		inputs: resource.PropertyMap{"bucket": str(bucket.id), "rule": object("objectOwnership", "BucketOwnerEnforced")},
		change: resource.PropertyMap{"rule": object("objectOwnership", "BucketOwnerPreferred")},
	})
	w.live(life{
		token: "aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2",
		inputs: resource.PropertyMap{"bucket": str(bucket.id), "rules": list(
			object("id", "old", "status", "Enabled", "filter", map[string]any{"prefix": "runs/"}, "expiration", map[string]any{"days": 400.0},
				"noncurrentVersionExpiration", map[string]any{"noncurrentDays": 30.0}, "abortIncompleteMultipartUpload", map[string]any{"daysAfterInitiation": 7.0}),
			object("id", "all", "status", "Enabled", "transitions", []any{map[string]any{"days": 90.0, "storageClass": "GLACIER"}}),
		)},
		change: resource.PropertyMap{"rules": list(
			object("id", "old", "status", "Disabled", "filter", map[string]any{"and": map[string]any{"prefix": "runs/", "tags": map[string]any{"Keep": "no"}}}, "expiration", map[string]any{"days": 30.0}),
		)},
	})
	w.live(life{
		token:  "aws:s3/bucketVersioningV2:BucketVersioningV2",
		inputs: resource.PropertyMap{"bucket": str(bucket.id), "versioningConfiguration": object("status", "Enabled")},
		change: resource.PropertyMap{"versioningConfiguration": object("status", "Suspended")},
		stays:  true, // what was ever versioned can be suspended only
	})

	locked := w.create(w.home, "aws:s3/bucketV2:BucketV2", resource.PropertyMap{"objectLockEnabled": boolean(true)})
	w.live(life{
		token:  "aws:s3/bucketObjectLockConfigurationV2:BucketObjectLockConfigurationV2",
		inputs: resource.PropertyMap{"bucket": str(locked.id), "rule": object("defaultRetention", map[string]any{"mode": "GOVERNANCE", "days": 30.0})},
		change: resource.PropertyMap{"rule": object("defaultRetention", map[string]any{"mode": "COMPLIANCE", "years": 1.0})},
		stays:  true, // object lock is for ever
	})
}

func bucketGuard(action string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"` + action + `","Resource":"arn:aws:s3:::reports/*"}]}`
}

func TestDashboards(t *testing.T) {
	w := newWorld(t)
	widget := func(text string) resource.PropertyValue {
		return str(`{"widgets":[{"type":"text","width":24,"height":2,"properties":{"markdown":"` + text + `"}}]}`)
	}
	w.live(life{
		token:  "aws:cloudwatch/dashboard:Dashboard",
		inputs: resource.PropertyMap{"dashboardName": str("secrets"), "dashboardBody": widget("before")},
		change: resource.PropertyMap{"dashboardBody": widget("after")},
	})
}

func TestSchedules(t *testing.T) {
	w := newWorld(t)
	queue := w.create(w.home, "aws:sqs/queue:Queue", nil)
	role := w.create(w.home, "aws:iam/role:Role", resource.PropertyMap{"assumeRolePolicy": str(strings.ReplaceAll(trust, "lambda.", "scheduler."))})
	target := object("arn", queue.state["arn"].StringValue(), "roleArn", role.state["arn"].StringValue(), "input", `{"a":1}`)
	w.live(life{
		token: "aws:scheduler/schedule:Schedule",
		inputs: resource.PropertyMap{
			"scheduleExpression": str("cron(0 5 * * ? *)"), "scheduleExpressionTimezone": str("Europe/Vienna"), "flexibleTimeWindow": object("mode", "OFF"), "target": target,
		},
		change: resource.PropertyMap{
			"flexibleTimeWindow": object("mode", "FLEXIBLE", "maximumWindowInMinutes", 15.0), "state": str("DISABLED"),
			"target": object("arn", queue.state["arn"].StringValue(), "roleArn", role.state["arn"].StringValue(),
				"deadLetterConfig", map[string]any{"arn": queue.state["arn"].StringValue()}, "retryPolicy", map[string]any{"maximumRetryAttempts": 3.0, "maximumEventAgeInSeconds": 3600.0}),
		},
		disturb: func(ctx context.Context, x *thing) error {
			_, err := schedulersdk.NewFromConfig(w.cloud.Config(home)).DeleteSchedule(ctx, &schedulersdk.DeleteScheduleInput{Name: awssdk.String(x.state["name"].StringValue())})
			if err != nil {
				return err
			}
			_, state, err := x.provider.Create(ctx, x.token, w.check(x.provider, x.token, x.inputs, resource.PropertyMap{
				"name": x.state["name"], "scheduleExpression": str("rate(1 day)"), "flexibleTimeWindow": object("mode", "OFF"), "target": target, "state": str("DISABLED"),
			}))
			x.state = state
			return err
		},
		disturbed: []string{"flexibleTimeWindow", "scheduleExpression", "scheduleExpressionTimezone", "target"},
	})
}

func TestObjectsOfBuckets(t *testing.T) {
	w := newWorld(t)
	bucket := w.create(w.home, "aws:s3/bucketV2:BucketV2", nil)
	objects := s3sdk.NewFromConfig(w.cloud.Config(home))
	content := func() string {
		out, err := objects.GetObject(t.Context(), &s3sdk.GetObjectInput{Bucket: &bucket.id, Key: awssdk.String("config/policy.yaml")})
		require.NoError(t, err)
		defer out.Body.Close()
		text, err := io.ReadAll(out.Body)
		require.NoError(t, err)
		return string(text)
	}
	inputs := resource.PropertyMap{"bucket": str(bucket.id), "key": str("config/policy.yaml"), "content": str("threshold: high"), "contentType": str("application/yaml")}
	w.live(life{token: "aws:s3/bucketObjectv2:BucketObjectv2", inputs: inputs, change: resource.PropertyMap{"content": str("threshold: low")}})

	object := w.create(w.home, "aws:s3/bucketObjectv2:BucketObjectv2", inputs)
	assert.Equal(t, "threshold: high", content())
	w.update(object, resource.PropertyMap{"bucket": str(bucket.id), "key": str("config/policy.yaml"), "content": str("threshold: low"), "contentType": str("application/yaml")})
	assert.Equal(t, "threshold: low", content())
	w.remove(object)
	w.remove(bucket) // nothing is left in it
}
