package program_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/sdk/spec"
)

// The dev stack, deployed into the emulator with a real database and the real
// rotation function: what AWS says that it got, and who may do what with it.
func TestDev(t *testing.T) {
	w := newWorld(t, []string{"orders"}, []string{"aistudio/dev/platform/postgres-admin"})
	w.deploy(t, "dev", w.cloud.Config(region))

	t.Run("secrets", w.checkDevSecrets)
	t.Run("key", w.checkDevKey)
	t.Run("function", w.checkDevFunction)
	t.Run("no value in what Pulumi keeps", w.checkNoValues)
	t.Run("layer", w.checkDevLayer)
	t.Run("feed", w.checkFeed)
	t.Run("every statement of the feed's function is needed", w.checkFeedStatements)
	t.Run("every statement of a cache is needed", w.checkCacheStatements)
	t.Run("every statement of a rotator is needed", func(t *testing.T) {
		t.Run("database", func(t *testing.T) {
			w.checkRotatorStatements(t, "database", "orders/database", "Rotate", "Encrypt", "ReadCredentials", "TellFeed", "Log", "Trace")
		})
		t.Run("api-key", func(t *testing.T) {
			w.checkRotatorStatements(t, "api-key", "inference/gateway-key", "Rotate", "Encrypt", "TellFeed", "Log", "Trace")
		})
		t.Run("custom", func(t *testing.T) {
			w.checkRotatorStatements(t, "custom", "studio/webhook-signing", "Rotate", "Encrypt", "TellFeed", "Log", "Trace")
		})
	})
	t.Run("alerts", w.checkAlerts)
	t.Run("budget", w.checkBudget)
	t.Run("destroy", func(t *testing.T) {
		require.NoError(t, w.monitor.Destroy(t.Context()))
		assert.Empty(t, w.monitor.Resources())
		secret, err := secretsmanager.NewFromConfig(w.cloud.Config(region)).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("aistudio/dev/orders/database")})
		require.NoError(t, err)
		assert.NotNil(t, secret.DeletedDate, "the secret waits for its recovery window to end")
	})
}

func describe(t *testing.T, config aws.Config, name string) *secretsmanager.DescribeSecretOutput {
	t.Helper()
	secret, err := secretsmanager.NewFromConfig(config).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
	require.NoError(t, err)
	return secret
}

func currentVersion(t *testing.T, config aws.Config, name string) string {
	t.Helper()
	output, err := secretsmanager.NewFromConfig(config).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
	require.NoError(t, err)
	return *output.VersionId
}

func (w *world) checkDevSecrets(t *testing.T) {
	config := w.cloud.Config(region)
	key := w.keyARN(t, config)
	for name, rotates := range map[string]bool{
		"aistudio/dev/orders/database":        true,
		"aistudio/dev/inference/gateway-key":  true,
		"aistudio/dev/studio/google-oauth":    false, // awaits its value
		"aistudio/dev/studio/webhook-signing": true,
	} {
		secret := describe(t, config, name)
		assert.Equal(t, key, aws.ToString(secret.KmsKeyId))
		assert.Empty(t, secret.ReplicationStatus)
		assert.Equal(t, rotates, aws.ToBool(secret.RotationEnabled), "rotation of %s", name)
		assert.Equal(t, rotates, len(secret.VersionIdsToStages) > 0, "%s: only what is seeded has a value", name)

		tags := map[string]string{}
		for _, tag := range secret.Tags {
			tags[*tag.Key] = *tag.Value
		}
		parsed, err := spec.ParseName(name)
		require.NoError(t, err)
		assert.NoError(t, spec.ValidateTags(parsed, tags))

		attached, err := secretsmanager.NewFromConfig(config).GetResourcePolicy(t.Context(), &secretsmanager.GetResourcePolicyInput{SecretId: &name})
		require.NoError(t, err)
		assert.Contains(t, aws.ToString(attached.ResourcePolicy), "ReadByOthers")
	}

	database := describe(t, config, "aistudio/dev/orders/database")
	assert.Equal(t, "rate(29 days)", aws.ToString(database.RotationRules.ScheduleExpression))
	assert.Equal(t, "arn:aws:lambda:us-east-1:123456789012:function:aistudio-dev-rotate-database", aws.ToString(database.RotationLambdaARN))
	assert.Nil(t, database.LastRotatedDate, "a deployment rotates nothing")
}

// keyARN returns the ARN of the stack's key in the configuration's region.
func (w *world) keyARN(t *testing.T, config aws.Config) string {
	t.Helper()
	key, err := kms.NewFromConfig(config).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/aistudio/" + w.stack + "/secrets")})
	require.NoError(t, err)
	return *key.KeyMetadata.Arn
}

func (w *world) checkDevKey(t *testing.T) {
	client := kms.NewFromConfig(w.cloud.Config(region))
	arn := w.keyARN(t, w.cloud.Config(region))
	key, err := client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &arn})
	require.NoError(t, err)
	assert.True(t, aws.ToBool(key.KeyMetadata.MultiRegion))
	rotation, err := client.GetKeyRotationStatus(t.Context(), &kms.GetKeyRotationStatusInput{KeyId: &arn})
	require.NoError(t, err)
	assert.True(t, rotation.KeyRotationEnabled)
}

func (w *world) checkDevFunction(t *testing.T) {
	const name = "aistudio-dev-rotate-database"
	client := lambda.NewFromConfig(w.cloud.Config(region))
	function, err := client.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String(name)})
	require.NoError(t, err)
	assert.Equal(t, lambdatypes.RuntimeProvidedal2023, function.Runtime)
	assert.Equal(t, "bootstrap", aws.ToString(function.Handler))
	assert.Equal(t, lambdatypes.TracingModeActive, function.TracingConfig.Mode)
	assert.Equal(t, map[string]string{
		spec.EnvLogLevel: "info", spec.EnvDatabaseCAFile: w.postgres.CAFile, spec.EnvFeedTable: "aistudio-dev-rotation-feed",
	}, function.Environment.Variables)

	attached, err := client.GetPolicy(t.Context(), &lambda.GetPolicyInput{FunctionName: aws.String(name)})
	require.NoError(t, err)
	var policy struct {
		Statement []struct {
			Principal map[string]string
			Condition map[string]map[string]string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(*attached.Policy), &policy))
	require.Len(t, policy.Statement, 1)
	assert.Equal(t, map[string]string{"Service": "secretsmanager.amazonaws.com"}, policy.Statement[0].Principal)
	assert.Equal(t, map[string]map[string]string{"StringEquals": {"AWS:SourceAccount": accountID}}, policy.Statement[0].Condition)

	groups, err := cloudwatchlogs.NewFromConfig(w.cloud.Config(region)).DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/aws/lambda/" + name)})
	require.NoError(t, err)
	require.Len(t, groups.LogGroups, 1)
	assert.Equal(t, int32(14), aws.ToInt32(groups.LogGroups[0].RetentionInDays))
}

// planted returns the secret values that a stack has by now, by what they are.
func (w *world) planted(t *testing.T) map[string]string {
	t.Helper()
	values := map[string]string{"the master's password": w.postgres.AdminPassword}
	read := func(name string, take func(spec.Value) (spec.Value, error)) {
		for _, stage := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
			output, err := secretsmanager.NewFromConfig(w.cloud.Config(region)).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name, VersionStage: &stage})
			if stage == "AWSPREVIOUS" && err != nil {
				continue // it was never rotated
			}
			require.NoError(t, err)
			value, err := take(spec.ValueString(*output.SecretString))
			require.NoError(t, err)
			require.NotZero(t, value.Len())
			values["the value of "+name+" with "+stage] = value.RevealString()
		}
	}
	prefix := "aistudio/" + w.stack + "/"
	read(prefix+"orders/database", func(v spec.Value) (spec.Value, error) {
		database, err := spec.ParseDatabase(v)
		return database.Password, err
	})
	read(prefix+"inference/gateway-key", func(v spec.Value) (spec.Value, error) {
		key, err := spec.ParseAPIKey(v)
		return key.Key, err
	})
	read(prefix+"studio/webhook-signing", func(v spec.Value) (spec.Value, error) { return v, nil })
	return values
}

// requireNoValues looks for the stack's secret values in a text.
func (w *world) requireNoValues(t *testing.T, text string) {
	t.Helper()
	for what, value := range w.planted(t) {
		assert.False(t, strings.Contains(text, value), "%s is in what Pulumi keeps", what)
	}
}

// checkNoValues looks for values in all that the program gave Pulumi and all
// that came back.
func (w *world) checkNoValues(t *testing.T) {
	var kept strings.Builder
	for _, args := range w.record.resources {
		require.NoError(t, json.NewEncoder(&kept).Encode(args.Inputs.Mappable()))
	}
	for _, resource := range w.monitor.Resources() {
		require.NoError(t, json.NewEncoder(&kept).Encode(resource.State.Mappable()))
	}
	require.Contains(t, kept.String(), "seedSecret", "the seed's request and answer are among it")
	w.requireNoValues(t, kept.String())
}

// The prod stack, deployed by an administrator's role and not by root: keys and
// secrets exist in both regions, are protected, and are read in the second one.
func TestProd(t *testing.T) {
	w := newWorld(t, []string{"orders", "accounts", "analytics"}, []string{"aistudio/prod/platform/main-admin", "aistudio/prod/platform/warehouse-admin"})
	w.createRole(t, "secrets-administrator")
	deployer := w.createRole(t, "secrets-deployer")
	w.deploy(t, "prod", deployer)

	root := w.cloud.Config(region)
	key := w.keyARN(t, deployer)
	replicaKey := w.keyARN(t, inReplica(deployer))
	assert.Equal(t, strings.Replace(key, region, replicaRegion, 1), replicaKey, "the replica of a multi-region key has its ID")

	const name = "aistudio/prod/orders/database"
	secret := describe(t, root, name)
	require.Len(t, secret.ReplicationStatus, 1)
	assert.Equal(t, replicaRegion, aws.ToString(secret.ReplicationStatus[0].Region))
	assert.Equal(t, replicaKey, aws.ToString(secret.ReplicationStatus[0].KmsKeyId))
	assert.Equal(t, smtypes.StatusTypeInSync, secret.ReplicationStatus[0].Status)
	assert.True(t, aws.ToBool(describe(t, root, "aistudio/prod/accounts/database").RotationEnabled))
	assert.Equal(t, "3h", aws.ToString(describe(t, root, "aistudio/prod/accounts/database").RotationRules.Duration))

	// The replica holds what the primary does, and its policy shuts out others.
	reader := w.session(t, "aistudio-prod-orders-reader")
	primary, err := read(t, reader, name)
	require.NoError(t, err)
	replica, err := read(t, inReplica(reader), name)
	require.NoError(t, err)
	assert.True(t, primary.Equal(replica), "the replica has another value")

	t.Run("matrix", w.checkMatrix) // before the others, who change secrets
	t.Run("access", w.checkAccess)
	_, err = read(t, inReplica(w.session(t, "intruder")), name)
	requireDenied(t, err)

	t.Run("standby", w.checkStandby)

	assert.ErrorContains(t, w.monitor.Destroy(t.Context()), "protected")
}
