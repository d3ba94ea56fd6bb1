package handlers_test

import (
	"archive/zip"
	"context"
	"maps"
	"os"
	"path/filepath"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	dynamodbsdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	eventssdk "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	lambdasdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/archive"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	publishing = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sns:Publish","Resource":"*"}]}`
	sending    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*"}]}`
)

func TestTables(t *testing.T) {
	w := newWorld(t)
	tables := dynamodbsdk.NewFromConfig(w.cloud.Config(home))
	w.live(life{
		token: "aws:dynamodb/table:Table",
		inputs: resource.PropertyMap{
			"attributes":           list(object("name", "Feed", "type", "S"), object("name", "Time", "type", "S")),
			"billingMode":          str("PAY_PER_REQUEST"),
			"hashKey":              str("Feed"),
			"rangeKey":             str("Time"),
			"ttl":                  object("attributeName", "ExpiresAt", "enabled", true),
			"serverSideEncryption": object("enabled", true),
			"pointInTimeRecovery":  object("enabled", true),
			"tags":                 object("Owner", "platform"),
		},
		change: resource.PropertyMap{
			"deletionProtectionEnabled": boolean(false),
			"pointInTimeRecovery":       object("enabled", false),
			"tags":                      object("Owner", "payments"),
		},
		disturb: func(ctx context.Context, x *thing) error {
			_, err := tables.UntagResource(ctx, &dynamodbsdk.UntagResourceInput{ResourceArn: awssdk.String(x.state["arn"].StringValue()), TagKeys: []string{"Owner"}})
			return err
		},
		disturbed: []string{"tags"},
	})
}

func TestQueues(t *testing.T) {
	w := newWorld(t)
	w.live(life{
		token:  "aws:sqs/queue:Queue",
		inputs: resource.PropertyMap{"messageRetentionSeconds": num(1209600), "sqsManagedSseEnabled": boolean(true), "tags": object("Owner", "platform")},
		change: resource.PropertyMap{"visibilityTimeoutSeconds": num(60), "tags": object("Owner", "payments")},
	})
	queue := w.create(w.home, "aws:sqs/queue:Queue", nil)
	w.live(life{
		token:  "aws:sqs/queuePolicy:QueuePolicy",
		inputs: resource.PropertyMap{"queueUrl": queue.state["url"], "policy": str(sending)},
		change: resource.PropertyMap{"policy": str(publishing)},
	})
}

func TestTopics(t *testing.T) {
	w := newWorld(t)
	w.live(life{
		token:  "aws:sns/topic:Topic",
		inputs: resource.PropertyMap{"displayName": str("before"), "tags": object("Owner", "platform")},
		change: resource.PropertyMap{"displayName": str("after"), "tags": object("Owner", "payments")},
	})
	topic := w.create(w.home, "aws:sns/topic:Topic", nil)
	w.live(life{
		token:  "aws:sns/topicPolicy:TopicPolicy",
		inputs: resource.PropertyMap{"arn": topic.state["arn"], "policy": str(publishing)},
		change: resource.PropertyMap{"policy": str(sending)},
		stays:  true, // a topic always has a policy
	})
	queue := w.create(w.home, "aws:sqs/queue:Queue", nil)
	w.live(life{
		token:  "aws:sns/topicSubscription:TopicSubscription",
		inputs: resource.PropertyMap{"topic": topic.state["arn"], "protocol": str("sqs"), "endpoint": queue.state["arn"]},
		change: resource.PropertyMap{"rawMessageDelivery": boolean(true)},
	})
	person := w.create(w.home, "aws:sns/topicSubscription:TopicSubscription",
		resource.PropertyMap{"topic": topic.state["arn"], "protocol": str("email"), "endpoint": str("team@example.com")})
	assert.True(t, person.state["pendingConfirmation"].BoolValue())
	w.remove(person)
}

func TestRules(t *testing.T) {
	w := newWorld(t)
	events := eventssdk.NewFromConfig(w.cloud.Config(home))
	w.live(life{
		token:  "aws:cloudwatch/eventRule:EventRule",
		inputs: resource.PropertyMap{"eventPattern": str(`{"source":["aws.secretsmanager"]}`), "tags": object("Owner", "platform")},
		change: resource.PropertyMap{"description": str("after"), "state": str("DISABLED"), "tags": object("Owner", "payments")},
		disturb: func(ctx context.Context, x *thing) error {
			_, err := events.EnableRule(ctx, &eventssdk.EnableRuleInput{Name: &x.id})
			return err
		},
		disturbed: []string{"state"},
	})
	rule := w.create(w.home, "aws:cloudwatch/eventRule:EventRule", resource.PropertyMap{"scheduleExpression": str("rate(1 day)")})
	queue := w.create(w.home, "aws:sqs/queue:Queue", nil)
	w.live(life{
		token: "aws:cloudwatch/eventTarget:EventTarget",
		inputs: resource.PropertyMap{
			"rule": str(rule.id), "arn": queue.state["arn"],
			"deadLetterConfig": object("arn", queue.state["arn"].StringValue()),
			"retryPolicy":      object("maximumEventAgeInSeconds", 3600.0, "maximumRetryAttempts", 5.0),
		},
		change: resource.PropertyMap{"input": str(`{"a":1}`)},
	})
}

func TestAlarms(t *testing.T) {
	w := newWorld(t)
	topic := w.create(w.home, "aws:sns/topic:Topic", nil)
	w.live(life{
		token: "aws:cloudwatch/metricAlarm:MetricAlarm",
		inputs: resource.PropertyMap{
			"comparisonOperator": str("GreaterThanThreshold"), "evaluationPeriods": num(1), "threshold": num(0), "period": num(300),
			"namespace": str("AWS/Events"), "metricName": str("TriggeredRules"), "statistic": str("Sum"),
			"dimensions": object("RuleName", "failed"), "treatMissingData": str("notBreaching"),
			"alarmActions": list(topic.state["arn"]), "tags": object("Owner", "platform"),
		},
		change: resource.PropertyMap{"threshold": num(3), "alarmDescription": str("after"), "tags": object("Owner", "payments")},
	})
	query := func(id, name string) resource.PropertyValue {
		return object("id", id, "metric", map[string]any{"namespace": "Secrets", "metricName": name, "stat": "Sum", "period": 300.0, "dimensions": map[string]any{"Service": "orders"}})
	}
	w.live(life{
		token: "aws:cloudwatch/metricAlarm:MetricAlarm",
		inputs: resource.PropertyMap{
			"comparisonOperator": str("GreaterThanThreshold"), "evaluationPeriods": num(1), "threshold": num(5),
			"metricQueries": list(query("stale", "Stale"), query("reads", "Reads"), object("id", "ratio", "expression", "100 * stale / reads", "label", "stale reads, %", "returnData", true)),
		},
		change: resource.PropertyMap{
			"metricQueries": list(query("reads", "Reads"), query("stale", "Stale"), object("id", "ratio", "expression", "100 * FILL(stale, 0) / reads", "returnData", true)),
		},
	})
}

func TestLayers(t *testing.T) {
	w := newWorld(t)
	inputs := resource.PropertyMap{
		"layerName": str("cache"), "code": layerCode(t), "compatibleArchitectures": list(str(architecture())), "description": str("first"),
	}
	layer := w.create(w.home, "aws:lambda/layerVersion:LayerVersion", inputs)
	assert.Equal(t, "1", layer.state["version"].StringValue())
	require.Empty(t, w.drifted(layer))

	w.live(life{
		token: "aws:lambda/layerVersionPermission:LayerVersionPermission",
		inputs: resource.PropertyMap{
			"layerName": layer.state["layerArn"], "versionNumber": num(1), "action": str("lambda:GetLayerVersion"),
			"principal": str("111122223333"), "statementId": str("other"),
		},
	})

	w.remove(layer)
	assert.False(t, w.exists(layer))
	w.remove(layer)

	// Functions may still use a version that is replaced.
	inputs["skipDestroy"] = boolean(true)
	kept := w.create(w.home, "aws:lambda/layerVersion:LayerVersion", inputs)
	w.remove(kept)
	assert.True(t, w.exists(kept))
	listed, err := lambdasdk.NewFromConfig(w.cloud.Config(home)).ListLayerVersions(t.Context(), &lambdasdk.ListLayerVersionsInput{LayerName: awssdk.String("cache")})
	require.NoError(t, err)
	assert.Len(t, listed.LayerVersions, 1)
}

func layerCode(t *testing.T) resource.PropertyValue {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "layer.zip"))
	require.NoError(t, err)
	w := zip.NewWriter(file)
	entry, err := w.Create("extensions/cache")
	require.NoError(t, err)
	_, err = entry.Write([]byte("#!/bin/sh\n"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, file.Close())
	code, err := archive.FromPath(file.Name())
	require.NoError(t, err)
	return resource.NewProperty(code)
}

func TestReplicasOfTables(t *testing.T) {
	w := newWorld(t)
	inputs := resource.PropertyMap{
		"attributes": list(object("name", "id", "type", "S")), "hashKey": str("id"), "billingMode": str("PAY_PER_REQUEST"),
		"streamEnabled": boolean(true), "streamViewType": str("NEW_AND_OLD_IMAGES"), "tags": object("Owner", "platform"),
		"replicas": list(object("regionName", there, "pointInTimeRecovery", true, "propagateTags", true)),
	}
	w.live(life{token: "aws:dynamodb/table:Table", inputs: inputs, change: resource.PropertyMap{"tags": object("Owner", "security")}})
	w.live(life{token: "aws:dynamodb/table:Table", inputs: inputs, change: resource.PropertyMap{"replicas": list(object("regionName", there, "pointInTimeRecovery", false))}})

	table := w.create(w.home, "aws:dynamodb/table:Table", inputs)
	replica := &thing{w.there, table.token, table.id, table.inputs, table.state}
	assert.True(t, w.exists(replica))
	alone := maps.Clone(inputs)
	delete(alone, "replicas")
	w.update(table, alone)
	assert.False(t, w.exists(replica), "it is taken away")
	w.update(table, inputs)
	assert.True(t, w.exists(replica))
	w.remove(table)
	assert.False(t, w.exists(replica), "it goes with its table")
}
