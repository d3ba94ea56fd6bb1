package program_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/sdk/feed"
)

// checkStandby promotes a secret in the second region and rotates it there, with
// what the stack has there: the function, its permissions, the feed and the
// layer.
func (w *world) checkStandby(t *testing.T) {
	const name = "aistudio/prod/inference/gateway-key"
	root := inReplica(w.cloud.Config(region))
	sm := secretsmanager.NewFromConfig(root)
	since := w.cloud.Clock().Now()
	rotate := func(name, rotator string) string {
		function, err := lambda.NewFromConfig(root).GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("aistudio-prod-rotate-" + rotator)})
		require.NoError(t, err)
		before := currentVersion(t, root, name)
		_, err = sm.StopReplicationToReplica(t.Context(), &secretsmanager.StopReplicationToReplicaInput{SecretId: &name})
		require.NoError(t, err)
		_, err = sm.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
			SecretId: &name, RotationLambdaARN: function.Configuration.FunctionArn,
			RotationRules: &smtypes.RotationRulesType{ScheduleExpression: aws.String("rate(30 days)")},
		})
		require.NoError(t, err)
		require.NoError(t, w.cloud.Settle(t.Context()))
		after := currentVersion(t, root, name)
		assert.NotEqual(t, before, after, "%s of the second region doesn't rotate", rotator)
		return after
	}
	const database = "aistudio/prod/accounts/database"
	rotate(database, "database") // by the master's replica
	after := rotate(name, "api-key")

	// A cache there learns of it.
	reader := inReplica(w.session(t, "aistudio-prod-inference-reader"))
	changes, err := feed.NewTable(dynamodb.NewFromConfig(reader), "aistudio-prod-rotation-feed").Changes(t.Context(), since)
	require.NoError(t, err)
	var versions []string
	for _, change := range changes {
		if strings.Contains(change.SecretID, name) {
			versions = append(versions, change.VersionID)
		}
	}
	assert.Contains(t, versions, after)
	_, err = read(t, reader, name)
	require.NoError(t, err)

	// And of what nobody's rotation function wrote.
	_, err = sm.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String(name), SecretString: aws.String(`{"key": "by hand"}`)})
	require.NoError(t, err)
	require.NoError(t, w.cloud.Settle(t.Context()))
	more, err := feed.NewTable(dynamodb.NewFromConfig(reader), "aistudio-prod-rotation-feed").Changes(t.Context(), since)
	require.NoError(t, err)
	assert.Greater(t, len(more), len(changes), "the function of the second region doesn't write the feed")

	layer := aws.String("aistudio-prod-secrets-cache-" + lambdaArchitecture())
	_, err = lambda.NewFromConfig(root).GetLayerVersion(t.Context(), &lambda.GetLayerVersionInput{LayerName: layer, VersionNumber: aws.Int64(1)})
	require.NoError(t, err)

	// People are told of a rotation that fails there, by the topic there.
	_, err = lambda.NewFromConfig(root).PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{
		FunctionName: aws.String("aistudio-prod-rotate-database"), ReservedConcurrentExecutions: aws.Int32(0),
	})
	require.NoError(t, err)
	w.receive(t, "on-call")
	_, err = sm.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String(database)})
	require.NoError(t, err)
	require.NoError(t, w.cloud.Advance(t.Context(), 2*time.Hour))
	told := strings.Join(w.receive(t, "on-call"), "\n")
	assert.Contains(t, told, "RotationFailed")
	assert.Contains(t, told, "aistudio-prod-rotate-database-throttles")
	assert.Contains(t, told, "arn:aws:sns:"+replicaRegion+":"+accountID+":aistudio-prod-secrets-alerts")
}

// What stands by is in the second region, with one role for both.
func TestStandby(t *testing.T) {
	record := deployOnPaper(t, "prod")
	there := func(token, name string) bool {
		made, known := record.named(token)[name]
		require.True(t, known, "%s %s", token, name)
		return strings.Contains(made.Provider, "::replica::")
	}
	for _, rotator := range []string{"database", "api-key", "custom"} {
		assert.False(t, there("aws:lambda/function:Function", "rotate-"+rotator))
		for _, token := range []string{"aws:lambda/function:Function", "aws:cloudwatch/logGroup:LogGroup", "aws:lambda/permission:Permission"} {
			assert.True(t, there(token, "rotate-"+rotator+"-standby"), "%s of %s", token, rotator)
		}
	}
	functions := record.named("aws:lambda/function:Function")
	assert.Equal(t, functions["rotate-custom"].Inputs["role"], functions["rotate-custom-standby"].Inputs["role"])
	assert.Equal(t, functions["rotate-custom"].Inputs["environment"], functions["rotate-custom-standby"].Inputs["environment"])
	for _, token := range []string{"aws:lambda/function:Function", "aws:sqs/queue:Queue", "aws:cloudwatch/eventRule:EventRule", "aws:cloudwatch/eventTarget:EventTarget"} {
		assert.True(t, there(token, "rotation-feed-standby"), "%s of the feed", token)
	}
	for _, token := range []string{"aws:kms/key:Key", "aws:sns/topic:Topic", "aws:sns/topicPolicy:TopicPolicy"} {
		assert.True(t, there(token, "rotation-standby-alerts"), "%s of the alerts", token)
	}
	assert.True(t, there("aws:cloudwatch/eventRule:EventRule", "rotation-standby-failed"))
	var alarms []string
	for name, args := range record.named("aws:cloudwatch/metricAlarm:MetricAlarm") {
		own, standby := strings.CutSuffix(name, "-standby")
		assert.Equal(t, standby, there("aws:cloudwatch/metricAlarm:MetricAlarm", name), name)
		assert.Equal(t, "aistudio-prod-"+own, args.Inputs["name"].StringValue())
		topic := "Topic/rotation-alerts"
		if standby {
			alarms, topic = append(alarms, own), "Topic/rotation-standby-alerts"
		}
		assert.Contains(t, args.Inputs["alarmActions"].ArrayValue()[0].StringValue(), topic, "%s tells another region", name)
	}
	want := []string{"rotation-failed", "cache-stale", "feed-late", "rotation-feed-failures"}
	for _, function := range []string{"rotation-feed", "rotate-api-key", "rotate-custom", "rotate-database"} {
		want = append(want, function+"-errors", function+"-throttles", function+"-slow")
	}
	assert.ElementsMatch(t, want, alarms)
	for _, architecture := range []string{"arm64", "x86_64"} {
		assert.True(t, there("aws:lambda/layerVersion:LayerVersion", "cache-replica-"+architecture))
	}
	replicas := record.named("aws:dynamodb/table:Table")["rotation-feed"].Inputs["replicas"].ArrayValue()
	require.Len(t, replicas, 1)
	assert.Equal(t, map[string]any{"regionName": replicaRegion, "pointInTimeRecovery": true, "propagateTags": true}, replicas[0].Mappable())

	dev := deployOnPaper(t, "dev")
	for _, args := range dev.resources {
		assert.NotContains(t, args.Name, "standby", "dev has one region")
	}
	assert.NotContains(t, dev.named("aws:dynamodb/table:Table")["rotation-feed"].Inputs, "replicas")
}

// A function with a VPC or layers, which are of one region, stands by with those
// of the other region, and not without.
func TestStandbyInPlaces(t *testing.T) {
	const token, layer = "aws:lambda/function:Function", "arn:aws:lambda:%s:123456789012:layer:ca:1"
	config := stackConfig(t, "prod")
	in := func(rotator string, values map[string]any) {
		change(t, config, catalogue.KeyRotators, func(rotators map[string]any) { maps.Copy(rotators[rotator].(map[string]any), values) })
	}
	in("custom", map[string]any{"vpc": map[string]any{"subnetIds": []string{"subnet-1"}, "securityGroupIds": []string{"sg-1"}}})
	in("api-key", map[string]any{"layers": []string{fmt.Sprintf(layer, region)}})
	record := &recorder{next: paperFor("prod")}
	require.NoError(t, deploy(record, config, artifacts(t)))
	assert.NotContains(t, record.named(token), "rotate-custom-standby")
	assert.NotContains(t, record.named(token), "rotate-api-key-standby")
	assert.NotContains(t, record.named("aws:cloudwatch/metricAlarm:MetricAlarm"), "rotate-custom-errors-standby")
	assert.Contains(t, record.named(token), "rotate-database-standby")

	in("custom", map[string]any{"standby": map[string]any{"vpc": map[string]any{
		"id": "vpc-2", "subnetIds": []string{"subnet-2"}, "endpoints": []string{"secretsmanager"},
	}}})
	in("api-key", map[string]any{"standby": map[string]any{"layers": []string{fmt.Sprintf(layer, replicaRegion)}}})
	record = &recorder{next: paperFor("prod")}
	require.NoError(t, deploy(record, config, artifacts(t)))
	functions := record.named(token)
	assert.Equal(t, map[string]any{"subnetIds": []any{"subnet-1"}, "securityGroupIds": []any{"sg-1"}}, functions["rotate-custom"].Inputs["vpcConfig"].Mappable())
	assert.Equal(t, map[string]any{"subnetIds": []any{"subnet-2"}, "securityGroupIds": []any{"rotate-custom-standby-id"}}, functions["rotate-custom-standby"].Inputs["vpcConfig"].Mappable())
	assert.Equal(t, []any{fmt.Sprintf(layer, replicaRegion)}, functions["rotate-api-key-standby"].Inputs["layers"].Mappable())
	for _, made := range []pulumi.MockResourceArgs{
		record.named("aws:ec2/securityGroup:SecurityGroup")["rotate-custom-standby"],
		record.named("aws:ec2/vpcEndpoint:VpcEndpoint")["rotate-custom-standby-secretsmanager"],
	} {
		assert.Contains(t, made.Provider, "::replica::", made.Name)
	}
	assert.Equal(t, "com.amazonaws.us-west-2.secretsmanager", record.named("aws:ec2/vpcEndpoint:VpcEndpoint")["rotate-custom-standby-secretsmanager"].Inputs["serviceName"].StringValue())
	assert.Contains(t, record.named("aws:cloudwatch/metricAlarm:MetricAlarm"), "rotate-custom-errors-standby")
}
