//go:build engine

package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	logssdk "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	iamsdk "github.com/aws/aws-sdk-go-v2/service/iam"
	kmssdk "github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	lambdasdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	smsdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/kms"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/secretsmanager"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/pulumi/engine"
)

const (
	region     = "us-east-1"
	otherPlace = "us-west-2"
	secretName = "aistudio/dev/orders/database"

	// planted is put into the cloud as a secret's value. It must not get into
	// anything that Pulumi keeps.
	planted = "planted-secret-value-7f3a9c"
	// confidential is given to Pulumi as a secret: it may keep it encrypted.
	confidential = "confidential-description-51be20"
)

// bench is what the tests share: the CLI that PULUMI_CLI names, the plugin and
// the function, built once. The tests run only when they are asked for (build
// tag engine): without a CLI they fail.
type bench struct{ cli, plugin, function string }

var tools bench

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	cli := os.Getenv("PULUMI_CLI")
	if cli == "" {
		return 0, errors.New("set PULUMI_CLI to the absolute path of the pulumi command; `go tool mage tools:install` builds one")
	}
	dir, err := os.MkdirTemp("", "engine-test-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := engine.BuildPlugin(context.Background(), dir); err != nil {
		return 0, err
	}
	function := filepath.Join(dir, "bootstrap")
	build := exec.Command("go", "build", "-o", function, "github.com/aistudio/secrets/localcloud/pulumi/internal/echofunction")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if output, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the function: %w: %s", err, output)
	}
	tools = bench{cli: cli, plugin: dir, function: function}
	return m.Run(), nil
}

func newEngine(t *testing.T, endpoint string) (*engine.Engine, string) {
	t.Helper()
	dir := t.TempDir()
	e, err := engine.New(engine.Options{CLI: tools.cli, Plugin: tools.plugin, Dir: dir, Endpoint: endpoint})
	require.NoError(t, err)
	return e, dir
}

func newCloud(t *testing.T) *localcloud.Cloud {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	return cloud
}

type changes map[string]int

// up deploys and returns how many resources it made, changed, and so on.
func up(t *testing.T, stack auto.Stack) (changes, auto.OutputMap) {
	t.Helper()
	result, err := stack.Up(t.Context(), optup.SuppressProgress())
	require.NoError(t, err)
	return *result.Summary.ResourceChanges, result.Outputs
}

func preview(t *testing.T, stack auto.Stack) changes {
	t.Helper()
	result, err := stack.Preview(t.Context(), optpreview.SuppressProgress())
	require.NoError(t, err)
	counted := changes{}
	for operation, n := range result.ChangeSummary {
		counted[string(operation)] = n
	}
	return counted
}

func refresh(t *testing.T, stack auto.Stack) changes {
	t.Helper()
	result, err := stack.Refresh(t.Context())
	require.NoError(t, err)
	return *result.Summary.ResourceChanges
}

// TestTheLifeOfAStack takes a stack through all that happens to one. Each step
// builds on the one before.
func TestTheLifeOfAStack(t *testing.T) {
	cloud := newCloud(t)
	e, dir := newEngine(t, cloud.URL())
	ctx := t.Context()
	program := &estate{owner: "platform", stage: "dev", policyDescription: "reads one secret", code: filepath.Join(t.TempDir(), "function.zip")}
	writeCode(t, program.code, "first")
	stack, err := e.Stack(ctx, "secrets", "dev", auto.ConfigMap{"aws:region": {Value: region}}, program.deploy)
	require.NoError(t, err)

	secrets := smsdk.NewFromConfig(cloud.Config(region))
	functions := lambdasdk.NewFromConfig(cloud.Config(region))
	// With the stack itself and the explicit provider.
	all := 13

	// A preview foretells all and makes nothing.
	assert.Equal(t, changes{"create": all}, preview(t, stack))
	listed, err := secrets.ListSecrets(ctx, &smsdk.ListSecretsInput{})
	require.NoError(t, err)
	assert.Empty(t, listed.SecretList, "a preview makes nothing")

	made, outputs := up(t, stack)
	assert.Equal(t, changes{"create": all}, made)
	arn := outputs["secretArn"].Value.(string)
	assert.JSONEq(t, fmt.Sprintf(`{"SecretId":%q}`, arn), outputs["answer"].Value.(string), "the function has run")
	_, err = secrets.PutSecretValue(ctx, &smsdk.PutSecretValueInput{SecretId: &arn, SecretString: awssdk.String(planted)})
	require.NoError(t, err)

	made, _ = up(t, stack)
	assert.Equal(t, changes{"same": all}, made, "a second deployment changes nothing")

	// What AWS can change is changed in place.
	program.owner, program.stage = "payments", "staging"
	assert.Equal(t, changes{"same": all - 2, "update": 2}, preview(t, stack))
	made, changed := up(t, stack)
	assert.Equal(t, changes{"same": all - 2, "update": 2}, made)
	assert.Equal(t, arn, changed["secretArn"].Value)
	described, err := secrets.DescribeSecret(ctx, &smsdk.DescribeSecretInput{SecretId: &arn})
	require.NoError(t, err)
	assert.Equal(t, "payments", awssdk.ToString(described.Tags[0].Value))
	function, err := functions.GetFunction(ctx, &lambdasdk.GetFunctionInput{FunctionName: awssdk.String("rotate")})
	require.NoError(t, err)
	assert.Equal(t, "staging", function.Configuration.Environment.Variables["STAGE"])

	// New code at the same path is new code.
	writeCode(t, program.code, "second")
	made, changed = up(t, stack)
	assert.Equal(t, changes{"same": all - 1, "update": 1}, made)
	assert.NotEqual(t, outputs["codeHash"].Value, changed["codeHash"].Value)

	// What AWS can't change is replaced, with what hangs on it.
	program.policyDescription = "reads just one secret"
	made, changed = up(t, stack)
	assert.Equal(t, changes{"same": all - 2, "replace": 2}, made)
	assert.NotEmpty(t, changed["policyArn"].Value)

	// Now that the secret has a value, rotation can be switched on.
	program.rotate = true
	made, _ = up(t, stack)
	assert.Equal(t, changes{"same": all, "create": 1}, made)
	all++
	described, err = secrets.DescribeSecret(ctx, &smsdk.DescribeSecretInput{SecretId: &arn})
	require.NoError(t, err)
	assert.True(t, awssdk.ToBool(described.RotationEnabled))
	require.NoError(t, cloud.Settle(ctx))

	t.Run("drift", func(t *testing.T) { drift(t, cloud, stack, arn, all) })
	t.Run("no secret value", func(t *testing.T) { noSecretValue(t, stack, dir) })

	require.NoError(t, cloud.Settle(ctx))
	_, err = stack.Destroy(ctx, optdestroy.SuppressProgress())
	require.NoError(t, err)
	t.Run("nothing is left", func(t *testing.T) { nothingLeft(t, cloud, stack) })
	assert.Empty(t, cloud.Unsupported(), "calls that the cloud doesn't know")
}

// drift changes the cloud behind Pulumi's back: a refresh finds it and the next
// deployment mends it.
func drift(t *testing.T, cloud *localcloud.Cloud, stack auto.Stack, arn string, all int) {
	ctx := t.Context()
	assert.Equal(t, changes{"same": all}, refresh(t, stack), "there is none yet")

	secrets := smsdk.NewFromConfig(cloud.Config(region))
	_, err := secrets.UntagResource(ctx, &smsdk.UntagResourceInput{SecretId: &arn, TagKeys: []string{"Owner"}})
	require.NoError(t, err)
	functions := lambdasdk.NewFromConfig(cloud.Config(region))
	_, err = functions.UpdateFunctionConfiguration(ctx, &lambdasdk.UpdateFunctionConfigurationInput{
		FunctionName: awssdk.String("rotate"),
		Timeout:      awssdk.Int32(60),
	})
	require.NoError(t, err)
	_, err = secrets.CancelRotateSecret(ctx, &smsdk.CancelRotateSecretInput{SecretId: &arn})
	require.NoError(t, err)
	logs := logssdk.NewFromConfig(cloud.Config(region))
	_, err = logs.DeleteLogGroup(ctx, &logssdk.DeleteLogGroupInput{LogGroupName: awssdk.String("/aws/lambda/rotate")})
	require.NoError(t, err)

	found := refresh(t, stack)
	assert.Equal(t, 3, found["update"], "the secret, its rotation and the function: %v", found)
	assert.Equal(t, 1, found["delete"], "the log group: %v", found)

	made, _ := up(t, stack)
	assert.Equal(t, 1, made["create"], "the log group: %v", made)
	described, err := secrets.DescribeSecret(ctx, &smsdk.DescribeSecretInput{SecretId: &arn})
	require.NoError(t, err)
	require.Len(t, described.Tags, 1)
	assert.Equal(t, "payments", awssdk.ToString(described.Tags[0].Value))
	assert.True(t, awssdk.ToBool(described.RotationEnabled))
	require.NoError(t, cloud.Settle(ctx))
	function, err := functions.GetFunction(ctx, &lambdasdk.GetFunctionInput{FunctionName: awssdk.String("rotate")})
	require.NoError(t, err)
	assert.EqualValues(t, 3, awssdk.ToInt32(function.Configuration.Timeout))

	assert.Equal(t, changes{"same": all}, refresh(t, stack), "all is mended")
}

// noSecretValue looks for the planted value in the state, decrypted, and in
// every file that Pulumi has written.
func noSecretValue(t *testing.T, stack auto.Stack, dir string) {
	exported, err := stack.Export(t.Context())
	require.NoError(t, err)
	assert.NotContains(t, string(exported.Deployment), planted)
	assert.Contains(t, string(exported.Deployment), confidential, "the export is decrypted, so the line above means something")

	files := 0
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		assert.False(t, bytes.Contains(content, []byte(planted)), "%s holds a secret's value", path)
		assert.False(t, bytes.Contains(content, []byte(confidential)), "%s holds in the clear what is to be encrypted", path)
		return nil
	}))
	assert.Positive(t, files)
}

func nothingLeft(t *testing.T, cloud *localcloud.Cloud, stack auto.Stack) {
	ctx := t.Context()
	exported, err := stack.Export(ctx)
	require.NoError(t, err)
	var state apitype.DeploymentV3
	require.NoError(t, json.Unmarshal(exported.Deployment, &state))
	assert.Empty(t, state.Resources)

	for _, place := range []string{region, otherPlace} {
		config := cloud.Config(place)
		secrets, err := smsdk.NewFromConfig(config).ListSecrets(ctx, &smsdk.ListSecretsInput{})
		require.NoError(t, err)
		assert.Empty(t, secrets.SecretList, place)
		assertKeysGone(t, kmssdk.NewFromConfig(config))
		aliases, err := kmssdk.NewFromConfig(config).ListAliases(ctx, &kmssdk.ListAliasesInput{})
		require.NoError(t, err)
		for _, alias := range aliases.Aliases {
			assert.True(t, strings.HasPrefix(*alias.AliasName, "alias/aws/"), "%s is left in %s", *alias.AliasName, place)
		}
		functions, err := lambdasdk.NewFromConfig(config).ListFunctions(ctx, &lambdasdk.ListFunctionsInput{})
		require.NoError(t, err)
		assert.Empty(t, functions.Functions, place)
		groups, err := logssdk.NewFromConfig(config).DescribeLogGroups(ctx, &logssdk.DescribeLogGroupsInput{})
		require.NoError(t, err)
		assert.Empty(t, groups.LogGroups, place)
	}
	users := iamsdk.NewFromConfig(cloud.Config(region))
	roles, err := users.ListRoles(ctx, &iamsdk.ListRolesInput{})
	require.NoError(t, err)
	assert.Empty(t, roles.Roles)
	policies, err := users.ListPolicies(ctx, &iamsdk.ListPoliciesInput{Scope: "Local"})
	require.NoError(t, err)
	assert.Empty(t, policies.Policies)
}

// assertKeysGone checks that every customer key waits for its deletion, which
// is as gone as KMS lets a key be.
func assertKeysGone(t *testing.T, client *kmssdk.Client) {
	t.Helper()
	keys, err := client.ListKeys(t.Context(), &kmssdk.ListKeysInput{})
	require.NoError(t, err)
	for _, key := range keys.Keys {
		described, err := client.DescribeKey(t.Context(), &kmssdk.DescribeKeyInput{KeyId: key.KeyId})
		require.NoError(t, err)
		if described.KeyMetadata.KeyManager == kmstypes.KeyManagerTypeCustomer {
			// A primary key waits for its replicas first.
			assert.Contains(t, []kmstypes.KeyState{kmstypes.KeyStatePendingDeletion, kmstypes.KeyStatePendingReplicaDeletion},
				described.KeyMetadata.KeyState, *key.KeyId)
		}
	}
}

// TestAnUnfinishedResourceIsFinished: a secret is made but its policy refused.
// The engine remembers the secret, and the next deployment finishes it.
func TestAnUnfinishedResourceIsFinished(t *testing.T) {
	cloud := newCloud(t)
	e, _ := newEngine(t, cloud.URL())
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps"}]}`
	program := func(ctx *pulumi.Context) error {
		_, err := secretsmanager.NewSecret(ctx, "secret", &secretsmanager.SecretArgs{
			Name:   pulumi.String(secretName),
			Policy: pulumi.String(policy),
		})
		return err
	}
	stack, err := e.Stack(t.Context(), "secrets", "dev", auto.ConfigMap{"aws:region": {Value: region}}, program)
	require.NoError(t, err)
	_, err = stack.Up(t.Context(), optup.SuppressProgress())
	require.ErrorContains(t, err, "MalformedPolicyDocument")

	policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"secretsmanager:DeleteSecret","Resource":"*"}]}`
	made, _ := up(t, stack)
	assert.Equal(t, changes{"same": 1, "update": 1}, made)
	secrets := smsdk.NewFromConfig(cloud.Config(region))
	got, err := secrets.GetResourcePolicy(t.Context(), &smsdk.GetResourcePolicyInput{SecretId: awssdk.String(secretName)})
	require.NoError(t, err)
	assert.JSONEq(t, policy, awssdk.ToString(got.ResourcePolicy))
}

func TestWhatTheEngineIsTold(t *testing.T) {
	cloud := newCloud(t)
	e, _ := newEngine(t, cloud.URL())
	tests := map[string]struct {
		config  auto.ConfigMap
		program pulumi.RunFunc
		want    string
	}{
		"no region": {
			nil,
			func(ctx *pulumi.Context) error { _, err := kms.NewKey(ctx, "key", &kms.KeyArgs{}); return err },
			"no region for provider aws",
		},
		"a property without a handler": {
			auto.ConfigMap{"aws:region": {Value: region}},
			func(ctx *pulumi.Context) error {
				_, err := kms.NewKey(ctx, "key", &kms.KeyArgs{CustomKeyStoreId: pulumi.String("cks-1")})
				return err
			},
			"aws:kms/key:Key has no handler for this property in the local cloud",
		},
		"a setting without a meaning": {
			auto.ConfigMap{"aws:region": {Value: region}, "aws:profile": {Value: "prod"}},
			func(ctx *pulumi.Context) error { _, err := kms.NewKey(ctx, "key", &kms.KeyArgs{}); return err },
			"the provider for the local cloud has no handler for this property",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			stack, err := e.Stack(t.Context(), "told", strings.ReplaceAll(name, " ", "-"), test.config, test.program)
			require.NoError(t, err)
			_, err = stack.Preview(t.Context(), optpreview.SuppressProgress())
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestNewTellsWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	_, err := engine.New(engine.Options{CLI: os.Getenv("PULUMI_CLI"), Plugin: dir, Dir: dir})
	require.ErrorContains(t, err, "find the plugin for package aws")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "pulumi-resource-aws"), nil, 0o700))
	_, err = engine.New(engine.Options{CLI: filepath.Join(dir, "pulumi"), Plugin: dir, Dir: dir})
	require.ErrorContains(t, err, "find the pulumi CLI")
}
