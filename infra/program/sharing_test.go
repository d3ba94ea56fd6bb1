package program_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/cachelayer"
	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/infra/policy"
	"github.com/aistudio/secrets/sdk/spec"
)

func statements(t *testing.T, text resource.PropertyValue) map[string]policy.Statement {
	t.Helper()
	var document struct{ Statement []policy.Statement }
	require.NoError(t, json.Unmarshal([]byte(text.StringValue()), &document))
	bySid := map[string]policy.Statement{}
	for _, statement := range document.Statement {
		bySid[statement.Sid] = statement
	}
	return bySid
}

// The layer of both architectures keeps its old versions, and nobody else may
// use it unless the configuration says so.
func TestLayers(t *testing.T) {
	const versionToken, permissionToken = "aws:lambda/layerVersion:LayerVersion", "aws:lambda/layerVersionPermission:LayerVersionPermission"
	record := deployOnPaper(t, "dev")
	layers := record.named(versionToken)
	require.Len(t, layers, 2)
	assert.Empty(t, record.named(permissionToken))
	for _, architecture := range []string{"arm64", "x86_64"} {
		inputs := layers["cache-"+architecture].Inputs
		assert.Equal(t, "aistudio-dev-secrets-cache-"+architecture, inputs["layerName"].StringValue())
		assert.Equal(t, []any{architecture}, inputs["compatibleArchitectures"].Mappable())
		assert.True(t, inputs["skipDestroy"].BoolValue())
	}

	config := stackConfig(t, "dev")
	config[catalogue.KeyCache] = `{"architectures": ["arm64"], "sharedWith": {"accounts": ["210987654321"], "organization": "o-a1b2c3d4e5"}}`
	record = &recorder{next: paperFor("dev")}
	require.NoError(t, deploy(record, config, artifacts(t)))
	require.Len(t, record.named(versionToken), 1)
	permissions := record.named(permissionToken)
	require.Len(t, permissions, 2)
	account := permissions["cache-arm64-210987654321"].Inputs
	assert.Equal(t, "210987654321", account["principal"].StringValue())
	assert.NotContains(t, account, "organizationId")
	organization := permissions["cache-arm64-o-a1b2c3d4e5"].Inputs
	assert.Equal(t, "*", organization["principal"].StringValue())
	assert.Equal(t, "o-a1b2c3d4e5", organization["organizationId"].StringValue())
	for _, permission := range permissions {
		assert.Equal(t, "lambda:GetLayerVersion", permission.Inputs["action"].StringValue())
		assert.InDelta(t, 1, permission.Inputs["versionNumber"].NumberValue(), 0)
		assert.True(t, permission.Inputs["skipDestroy"].BoolValue())
	}
}

// The cache of each service may ask the feed, whoever made its role.
func TestReadersMayAskTheFeed(t *testing.T) {
	config := stackConfig(t, "prod")
	config[catalogue.KeyServices] = `{"orders": {"assumedBy": ["lambda.amazonaws.com"]}, "billing": {"role": "role/apps/billing"}}`
	config[catalogue.KeyCatalogue] = `{"orders/key": {"kind": "api-key", "owner": "o", "dataClassification": "c", "readers": ["orders", "billing"]}}`
	record := &recorder{next: paperFor("prod")}
	require.NoError(t, deploy(record, config, artifacts(t)))
	policies := record.named("aws:iam/rolePolicy:RolePolicy")
	for name, role := range map[string]string{"orders-cache": "aistudio-prod-orders-reader", "billing-cache": "billing"} {
		inputs := policies[name].Inputs
		assert.Equal(t, role, inputs["role"].StringValue())
		allowed := statements(t, inputs["policy"])
		assert.Equal(t, []string{"dynamodb:Query"}, allowed["AskFeed"].Action)
		const table = "arn:aws:service:region:123456789012:Table/rotation-feed"
		assert.Equal(t, []string{table, table}, allowed["AskFeed"].Resource, "the table and its replica, which on paper have no region")
		assert.Equal(t, []string{"secretsmanager:BatchGetSecretValue"}, allowed["ReadInBatches"].Action)
		assert.Len(t, allowed, 2)
	}
}

// The execution role that the stack makes pulls its own images and logs into its
// own groups, and needs no cache.
func TestInjected(t *testing.T) {
	const elsewhere = "arn:aws:ecr:eu-west-1:210987654321:repository/shared/proxy"
	config := stackConfig(t, "dev")
	change(t, config, catalogue.KeyServices, func(services map[string]any) {
		services["orders"] = map[string]any{"assumedBy": []string{"ecs-tasks.amazonaws.com"}, "injected": true, "repositories": []string{"shop/orders", elsewhere}, "logGroups": []string{"/ecs/orders"}}
		services["studio"] = map[string]any{"assumedBy": []string{"ecs-tasks.amazonaws.com"}, "injected": true}
	})
	record := &recorder{next: paperFor("dev")}
	require.NoError(t, deploy(record, config, artifacts(t)))
	policies := record.named("aws:iam/rolePolicy:RolePolicy")
	assert.NotContains(t, policies, "orders-cache")
	assert.NotContains(t, policies, "studio-task", "nothing is known that it pulls or logs to")
	inputs := policies["orders-task"].Inputs
	assert.Equal(t, "aistudio-dev-orders-reader", inputs["role"].StringValue())
	allowed := statements(t, inputs["policy"])
	require.Len(t, allowed, 3)
	assert.Equal(t, []string{"ecr:GetAuthorizationToken"}, allowed["LogInToRegistry"].Action)
	assert.Equal(t, []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}, allowed["PullImages"].Action)
	assert.Equal(t, []string{"arn:aws:ecr:us-east-1:123456789012:repository/shop/orders", elsewhere}, allowed["PullImages"].Resource)
	assert.Equal(t, []string{"logs:CreateLogStream", "logs:PutLogEvents"}, allowed["Log"].Action)
	assert.Equal(t, []string{"arn:aws:logs:us-east-1:123456789012:log-group:/ecs/orders:*"}, allowed["Log"].Resource)
}

func TestFeed(t *testing.T) {
	record := deployOnPaper(t, "dev")
	table := record.named("aws:dynamodb/table:Table")["rotation-feed"].Inputs.Mappable()
	assert.Equal(t, spec.FeedKey, table["hashKey"])
	assert.Equal(t, spec.FeedTime, table["rangeKey"])
	assert.Equal(t, map[string]any{"attributeName": spec.FeedExpiry, "enabled": true}, table["ttl"])
	assert.Equal(t, map[string]any{"enabled": true}, table["serverSideEncryption"])
	assert.Equal(t, map[string]any{"enabled": true}, table["pointInTimeRecovery"])

	function := record.named("aws:lambda/function:Function")["rotation-feed"].Inputs.Mappable()
	assert.Equal(t, map[string]any{"variables": map[string]any{spec.EnvFeedTable: "aistudio-dev-rotation-feed", spec.EnvMetricsEnvironment: "dev"}}, function["environment"])
	allowed := statements(t, record.named("aws:iam/rolePolicy:RolePolicy")["rotation-feed"].Inputs["policy"])
	assert.Len(t, allowed, 4)
	assert.Equal(t, []string{"dynamodb:PutItem"}, allowed["TellFeed"].Action)
	assert.Equal(t, []string{"sqs:SendMessage"}, allowed["KeepFailures"].Action)

	permission := record.named("aws:lambda/permission:Permission")["rotation-feed"].Inputs
	assert.Equal(t, "events.amazonaws.com", permission["principal"].StringValue())
	assert.Contains(t, permission["sourceArn"].StringValue(), "EventRule/rotation-feed")
	queue := record.named("aws:sqs/queue:Queue")["rotation-feed"].Inputs
	assert.True(t, queue["sqsManagedSseEnabled"].BoolValue())
}

// Only rules, the stack's alarms and the account's budgets may tell the topic, and
// use its key for that. So it is in the second region, where there is no budget.
func TestAlerts(t *testing.T) {
	record := deployOnPaper(t, "prod")
	fromRule := statements(t, record.named("aws:sns/topicPolicy:TopicPolicy")["rotation-alerts"].Inputs["policy"])
	require.Len(t, fromRule, 4)
	assert.Equal(t, []string{"events.amazonaws.com"}, fromRule["FromRules"].Principal.Service)
	assert.Empty(t, fromRule["FromRules"].Condition, "EventBridge supports no condition in a topic's policy: the rule would tell nobody")
	assert.Equal(t, []string{"cloudwatch.amazonaws.com"}, fromRule["FromAlarms"].Principal.Service)
	assert.Equal(t, policy.Condition{"ArnLike": {"aws:SourceArn": {"arn:aws:cloudwatch:us-east-1:123456789012:alarm:aistudio-prod-*"}}}, fromRule["FromAlarms"].Condition)
	assert.Equal(t, []string{"budgets.amazonaws.com"}, fromRule["FromBudgets"].Principal.Service)
	assert.Equal(t, policy.Condition{
		"StringEquals": {"aws:SourceAccount": {"123456789012"}}, "ArnLike": {"aws:SourceArn": {"arn:aws:budgets::123456789012:*"}},
	}, fromRule["FromBudgets"].Condition)
	assert.Equal(t, policy.Deny, fromRule["WithoutTLS"].Effect)

	key := statements(t, record.named("aws:kms/key:Key")["rotation-alerts"].Inputs["policy"])
	assert.Equal(t, policy.Condition{"StringEquals": {"kms:EncryptionContext:aws:sns:topicArn": {"arn:aws:sns:us-east-1:123456789012:aistudio-prod-secrets-alerts"}}}, key["EncryptAlerts"].Condition)
	assert.Contains(t, record.named("aws:sns/topic:Topic")["rotation-alerts"].Inputs["kmsMasterKeyId"].StringValue(), "Key/rotation-alerts")

	there := statements(t, record.named("aws:sns/topicPolicy:TopicPolicy")["rotation-standby-alerts"].Inputs["policy"])
	assert.ElementsMatch(t, []string{"FromRules", "FromAlarms", "WithoutTLS"}, sorted(there))
	assert.Equal(t, policy.Condition{"ArnLike": {"aws:SourceArn": {"arn:aws:cloudwatch:us-west-2:123456789012:alarm:aistudio-prod-*"}}}, there["FromAlarms"].Condition)
	key = statements(t, record.named("aws:kms/key:Key")["rotation-standby-alerts"].Inputs["policy"])
	assert.NotContains(t, key, "EncryptForBudgets")
	assert.Equal(t, policy.Condition{"StringEquals": {"kms:EncryptionContext:aws:sns:topicArn": {"arn:aws:sns:us-west-2:123456789012:aistudio-prod-secrets-alerts"}}}, key["EncryptAlerts"].Condition)

	subscriptions := record.named("aws:sns/topicSubscription:TopicSubscription")
	require.Len(t, subscriptions, 2, "one a region")
	for _, subscription := range subscriptions {
		assert.Equal(t, "email", subscription.Inputs["protocol"].StringValue())
		assert.Equal(t, "team-platform@aistudio.example", subscription.Inputs["endpoint"].StringValue())
	}
}

// What a service's cache needs, as a function's and as a container's
// environment.
func TestEnvironments(t *testing.T) {
	var lambda map[string]string
	var ecs []any
	require.NoError(t, pulumi.RunErr(func(ctx *pulumi.Context) error {
		layer, err := cachelayer.New(ctx, "x", cachelayer.Args{
			Environment: "dev", LayerName: "layer", Archives: map[string]string{"arm64": "layer.zip"}, Tags: map[string]string{"a": "b"},
			Cache:     cachelayer.Cache{TTL: time.Hour, MaxStale: 12 * time.Hour, FailoverRegions: []string{"us-west-2", "eu-west-1"}},
			FeedTable: pulumi.String("feed"),
			Readers:   []cachelayer.Reader{{Service: "orders", Secrets: []string{"a/b/orders/one", "a/b/orders/two"}}},
		})
		if err != nil {
			return err
		}
		ctx.Export("both", pulumi.All(layer.Lambda["orders"], layer.ECS["orders"]).ApplyT(func(all []any) string {
			lambda, ecs = all[0].(map[string]string), all[1].([]any)
			return "done"
		}))
		return nil
	}, pulumi.WithMocks("p", "s", paperFor("dev"))))
	assert.Equal(t, map[string]string{
		spec.EnvFeedTable: "feed", spec.EnvCacheTTL: "1h0m0s", spec.EnvCacheMaxStale: "12h0m0s", spec.EnvFailoverRegions: "us-west-2,eu-west-1",
		spec.EnvPrefetch: "a/b/orders/one,a/b/orders/two", spec.EnvMetricsEnvironment: "dev",
	}, lambda)
	assert.Equal(t, []any{
		map[string]string{"name": spec.EnvCacheMaxStale, "value": "12h0m0s"},
		map[string]string{"name": spec.EnvCacheTTL, "value": "1h0m0s"},
		map[string]string{"name": spec.EnvFailoverRegions, "value": "us-west-2,eu-west-1"},
		map[string]string{"name": spec.EnvFeedTable, "value": "feed"},
	}, ecs)
}
