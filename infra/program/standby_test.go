package program_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
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
	rotate("aistudio/prod/accounts/database", "database") // by the master's replica
	after := rotate(name, "api-key")

	// A cache there learns of it.
	reader := inReplica(w.session(t, "aistudio-prod-inference-reader"))
	changes, err := feed.NewTable(dynamodb.NewFromConfig(reader), "aistudio-prod-rotation-feed").Changes(t.Context(), since)
	require.NoError(t, err)
	var told []string
	for _, change := range changes {
		if strings.Contains(change.SecretID, name) {
			told = append(told, change.VersionID)
		}
	}
	assert.Contains(t, told, after)
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

	// A function in a VPC, which is of one region, doesn't stand by.
	config := stackConfig(t, "prod")
	change(t, config, catalogue.KeyRotators, func(rotators map[string]any) {
		rotators["custom"].(map[string]any)["vpc"] = map[string]any{"subnetIds": []string{"subnet-1"}, "securityGroupIds": []string{"sg-1"}}
	})
	record = &recorder{next: paperFor("prod")}
	require.NoError(t, deploy(record, config, artifacts(t)))
	assert.NotContains(t, record.named("aws:lambda/function:Function"), "rotate-custom-standby")
	assert.Contains(t, record.named("aws:lambda/function:Function"), "rotate-api-key-standby")
}
