package handlers_test

import (
	"context"
	"testing"

	trailsdk "github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	logssdk "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

func TestTrails(t *testing.T) {
	w := newWorld(t)
	bucket := w.create(w.home, "aws:s3/bucketV2:BucketV2", resource.PropertyMap{"bucket": str("trail-logs")})
	w.create(w.home, "aws:s3/bucketPolicy:BucketPolicy", resource.PropertyMap{"bucket": str(bucket.id), "policy": str(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":["s3:GetBucketAcl","s3:PutObject"],"Resource":["arn:aws:s3:::trail-logs","arn:aws:s3:::trail-logs/*"]}]}`)})
	group := w.create(w.home, "aws:cloudwatch/logGroup:LogGroup", nil)
	role := w.create(w.home, "aws:iam/role:Role", resource.PropertyMap{"assumeRolePolicy": str(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	selector := func(category string, more ...any) resource.PropertyValue {
		fields := append([]any{map[string]any{"field": "eventCategory", "equals": []any{category}}}, more...)
		return object("name", category, "fieldSelectors", fields)
	}
	trails := trailsdk.NewFromConfig(w.cloud.Config(home))
	w.live(life{
		token: "aws:cloudtrail/trail:Trail",
		inputs: resource.PropertyMap{
			"s3BucketName": str(bucket.id), "isMultiRegionTrail": boolean(true), "enableLogFileValidation": boolean(true),
			"cloudWatchLogsGroupArn": str(group.state["arn"].StringValue() + ":*"), "cloudWatchLogsRoleArn": role.state["arn"],
			"advancedEventSelectors": list(selector("Management")), "tags": object("Owner", "platform"),
		},
		change: resource.PropertyMap{
			"advancedEventSelectors": list(selector("Management"), selector("Data",
				map[string]any{"field": "resources.type", "equals": []any{"AWS::S3::Object"}},
				map[string]any{"field": "resources.ARN", "startsWiths": []any{"arn:aws:s3:::reports/"}})),
			"isMultiRegionTrail": boolean(false), "tags": object("Owner", "security"),
		},
		disturb: func(ctx context.Context, x *thing) error {
			_, err := trails.StopLogging(ctx, &trailsdk.StopLoggingInput{Name: &x.id})
			return err
		},
		disturbed: []string{"enableLogging"},
	})
	w.live(life{token: "aws:cloudtrail/trail:Trail", inputs: resource.PropertyMap{"s3BucketName": str(bucket.id), "enableLogging": boolean(false)}})
}

func TestMetricFilters(t *testing.T) {
	w := newWorld(t)
	group := w.create(w.home, "aws:cloudwatch/logGroup:LogGroup", nil)
	w.live(life{
		token: "aws:cloudwatch/logMetricFilter:LogMetricFilter",
		inputs: resource.PropertyMap{
			"logGroupName": str(group.id), "pattern": str(` { $.errorCode = "AccessDenied" } `),
			"metricTransformation": object("name", "Denied", "namespace", "Mine", "value", "1", "defaultValue", "0"),
		},
		change: resource.PropertyMap{
			"pattern": str(`{ $.errorCode = "Access*" }`), "metricTransformation": object("name", "Denied", "namespace", "Mine", "value", "1", "unit", "Count"),
		},
		disturb: func(ctx context.Context, x *thing) error {
			_, err := logssdk.NewFromConfig(w.cloud.Config(home)).DeleteMetricFilter(ctx, &logssdk.DeleteMetricFilterInput{FilterName: &x.id, LogGroupName: &group.id})
			if err != nil {
				return err
			}
			_, _, err = x.provider.Create(ctx, x.token, w.check(x.provider, x.token, x.inputs, resource.PropertyMap{
				"name": x.state["name"], "logGroupName": str(group.id), "pattern": str("other"),
				"metricTransformation": object("name", "Denied", "namespace", "Mine", "value", "1", "unit", "Count"),
			}))
			return err
		},
		disturbed: []string{"pattern"},
	})
}
