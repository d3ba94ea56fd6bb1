package handlers_test

import (
	"archive/zip"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	logssdk "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	iamsdk "github.com/aws/aws-sdk-go-v2/service/iam"
	kmssdk "github.com/aws/aws-sdk-go-v2/service/kms"
	lambdasdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	smsdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/archive"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	home  = "us-east-1"
	there = "us-west-2"

	trust   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	reading = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
	writing = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:PutSecretValue","Resource":"*"}]}`
	guard   = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"secretsmanager:DeleteSecret","Resource":"*","Condition":{"StringNotEquals":{"aws:PrincipalAccount":"123456789012"}}}]}`
)

func TestKeys(t *testing.T) {
	w := newWorld(t)
	keys := kmssdk.NewFromConfig(w.cloud.Config(home))
	w.live(life{
		token: "aws:kms/key:Key",
		inputs: resource.PropertyMap{
			"description":       str("before"),
			"enableKeyRotation": boolean(true),
			"multiRegion":       boolean(true),
			"tags":              object("Owner", "platform"),
		},
		change: resource.PropertyMap{
			"description":          str("after"),
			"rotationPeriodInDays": num(120),
			"tags":                 object("Owner", "payments"),
		},
		disturb: func(ctx context.Context, x *thing) error {
			if _, err := keys.DisableKeyRotation(ctx, &kmssdk.DisableKeyRotationInput{KeyId: &x.id}); err != nil {
				return err
			}
			_, err := keys.DisableKey(ctx, &kmssdk.DisableKeyInput{KeyId: &x.id})
			return err
		},
		disturbed: []string{"enableKeyRotation", "isEnabled", "rotationPeriodInDays"},
	})

	primary := w.create(w.home, "aws:kms/key:Key", resource.PropertyMap{"multiRegion": boolean(true)})
	w.live(life{
		token:    "aws:kms/replicaKey:ReplicaKey",
		provider: w.there,
		inputs:   resource.PropertyMap{"primaryKeyArn": primary.state["arn"], "description": str("before")},
		change:   resource.PropertyMap{"description": str("after"), "enabled": boolean(false)},
		disturb: func(ctx context.Context, x *thing) error {
			_, err := kmssdk.NewFromConfig(w.cloud.Config(there)).EnableKey(ctx, &kmssdk.EnableKeyInput{KeyId: &x.id})
			return err
		},
		disturbed: []string{"enabled"},
	})

	other := w.create(w.home, "aws:kms/key:Key", nil)
	w.live(life{
		token:  "aws:kms/alias:Alias",
		inputs: resource.PropertyMap{"targetKeyId": primary.state["arn"]},
		change: resource.PropertyMap{"targetKeyId": other.state["keyId"]},
		disturb: func(ctx context.Context, x *thing) error {
			_, err := keys.UpdateAlias(ctx, &kmssdk.UpdateAliasInput{AliasName: &x.id, TargetKeyId: &primary.id})
			return err
		},
		disturbed: []string{"targetKeyId"},
	})
}

func TestSecrets(t *testing.T) {
	w := newWorld(t)
	secrets := smsdk.NewFromConfig(w.cloud.Config(home))
	key := w.create(w.home, "aws:kms/key:Key", nil)
	w.live(life{
		token: "aws:secretsmanager/secret:Secret",
		inputs: resource.PropertyMap{
			"name":     str("aistudio/dev/orders/database"),
			"kmsKeyId": key.state["keyId"],
			"policy":   str(guard),
			"replicas": list(object("region", there)),
			"tags":     object("Owner", "platform"),
		},
		change: resource.PropertyMap{
			"description": str("after"),
			"replicas":    list(object("region", "eu-west-1")),
			"tags":        object("Owner", "payments", "Service", "orders"),
		},
		disturb: func(ctx context.Context, x *thing) error {
			if _, err := secrets.UpdateSecret(ctx, &smsdk.UpdateSecretInput{SecretId: &x.id, Description: awssdk.String("meddled")}); err != nil {
				return err
			}
			if _, err := secrets.DeleteResourcePolicy(ctx, &smsdk.DeleteResourcePolicyInput{SecretId: &x.id}); err != nil {
				return err
			}
			_, err := secrets.ReplicateSecretToRegions(ctx, &smsdk.ReplicateSecretToRegionsInput{
				AddReplicaRegions: []smtypes.ReplicaRegionType{{Region: awssdk.String(there)}},
				SecretId:          &x.id,
			})
			return err
		},
		disturbed: []string{"description", "policy", "replicas"},
	})

	t.Run("a name in its recovery window", func(t *testing.T) {
		_, _, err := w.home.Create(t.Context(), "aws:secretsmanager/secret:Secret",
			w.check(w.home, "aws:secretsmanager/secret:Secret", nil, resource.PropertyMap{"name": str("aistudio/dev/orders/database")}))
		assert.ErrorContains(t, err, "restore that secret and import it, or choose another name")
	})
	t.Run("without a recovery window", func(t *testing.T) {
		inputs := resource.PropertyMap{"name": str("aistudio/dev/orders/key"), "recoveryWindowInDays": num(0)}
		w.remove(w.create(w.home, "aws:secretsmanager/secret:Secret", inputs))
		w.remove(w.create(w.home, "aws:secretsmanager/secret:Secret", inputs))
	})

	secret := w.create(w.home, "aws:secretsmanager/secret:Secret", resource.PropertyMap{"namePrefix": str("aistudio/")})
	assert.Regexp(t, `^aistudio/[0-9a-f]{26}$`, secret.state["name"].StringValue())
	w.live(life{
		token:  "aws:secretsmanager/secretPolicy:SecretPolicy",
		inputs: resource.PropertyMap{"secretArn": str(secret.id), "policy": str(guard)},
		change: resource.PropertyMap{"policy": str(strings.Replace(guard, "DeleteSecret", "PutSecretValue", 1))},
	})
}

func TestRoles(t *testing.T) {
	w := newWorld(t)
	client := iamsdk.NewFromConfig(w.cloud.Config(home))
	managed := w.create(w.home, "aws:iam/policy:Policy", resource.PropertyMap{"policy": str(reading)})
	w.live(life{
		token: "aws:iam/role:Role",
		inputs: resource.PropertyMap{
			"assumeRolePolicy":    str(trust),
			"forceDetachPolicies": boolean(true),
			"managedPolicyArns":   list(managed.state["arn"]),
			"tags":                object("Owner", "platform"),
		},
		change: resource.PropertyMap{"maxSessionDuration": num(7200), "description": str("after"), "tags": object("Service", "orders")},
		disturb: func(ctx context.Context, x *thing) error {
			_, err := client.DetachRolePolicy(ctx, &iamsdk.DetachRolePolicyInput{RoleName: &x.id, PolicyArn: &managed.id})
			return err
		},
		disturbed: []string{"managedPolicyArns"},
	})
	w.live(life{
		token:  "aws:iam/policy:Policy",
		inputs: resource.PropertyMap{"policy": str(reading)},
		change: resource.PropertyMap{"policy": str(writing)},
	})

	role := w.create(w.home, "aws:iam/role:Role", resource.PropertyMap{"assumeRolePolicy": str(trust)})
	w.live(life{
		token:  "aws:iam/rolePolicy:RolePolicy",
		inputs: resource.PropertyMap{"role": str(role.id), "policy": str(reading)},
		change: resource.PropertyMap{"policy": str(writing)},
		disturb: func(ctx context.Context, x *thing) error {
			_, err := client.PutRolePolicy(ctx, &iamsdk.PutRolePolicyInput{
				PolicyDocument: awssdk.String(reading),
				PolicyName:     awssdk.String(x.state["name"].StringValue()),
				RoleName:       &role.id,
			})
			return err
		},
		disturbed: []string{"policy"},
	})
	w.live(life{
		token:  "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
		inputs: resource.PropertyMap{"role": str(role.id), "policyArn": managed.state["arn"]},
	})
}

func TestAPolicyIsChangedAnyNumberOfTimes(t *testing.T) {
	w := newWorld(t)
	policy := w.create(w.home, "aws:iam/policy:Policy", resource.PropertyMap{"policy": str(reading)})
	for range 4 {
		// IAM keeps five versions; the handler makes room.
		w.update(policy, resource.PropertyMap{"policy": str(writing)})
		w.update(policy, resource.PropertyMap{"policy": str(reading)})
	}
	w.remove(policy)
	assert.False(t, w.exists(policy))
}

func TestLogGroups(t *testing.T) {
	w := newWorld(t)
	logs := logssdk.NewFromConfig(w.cloud.Config(home))
	w.live(life{
		token:  "aws:cloudwatch/logGroup:LogGroup",
		inputs: resource.PropertyMap{"retentionInDays": num(30), "tags": object("Owner", "platform")},
		change: resource.PropertyMap{"retentionInDays": num(90), "tags": object("Owner", "payments")},
		disturb: func(ctx context.Context, x *thing) error {
			_, err := logs.DeleteRetentionPolicy(ctx, &logssdk.DeleteRetentionPolicyInput{LogGroupName: &x.id})
			return err
		},
		disturbed: []string{"retentionInDays"},
	})
}

// buildCode builds the function of internal/echofunction into a zip.
func buildCode(t *testing.T) resource.PropertyValue {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "bootstrap")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/aistudio/secrets/localcloud/pulumi/internal/echofunction")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)

	file, err := os.Create(filepath.Join(dir, "function.zip"))
	require.NoError(t, err)
	w := zip.NewWriter(file)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	header.SetMode(0o755)
	entry, err := w.CreateHeader(header)
	require.NoError(t, err)
	content, err := os.ReadFile(binary)
	require.NoError(t, err)
	_, err = entry.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, file.Close())
	code, err := archive.FromPath(file.Name())
	require.NoError(t, err)
	return resource.NewProperty(code)
}

func architecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

func TestFunctions(t *testing.T) {
	w := newWorld(t)
	functions := lambdasdk.NewFromConfig(w.cloud.Config(home))
	role := w.create(w.home, "aws:iam/role:Role", resource.PropertyMap{"assumeRolePolicy": str(trust)})
	inputs := resource.PropertyMap{
		"architectures": list(str(architecture())),
		"code":          buildCode(t),
		"environment":   object("variables", resource.PropertyMap{"STAGE": str("dev")}),
		"handler":       str("bootstrap"),
		"memorySize":    num(256),
		"role":          role.state["arn"],
		"runtime":       str("provided.al2023"),
		"tags":          object("Owner", "platform"),
		"timeout":       num(30),
		"tracingConfig": object("mode", "Active"),
	}
	w.live(life{
		token:  "aws:lambda/function:Function",
		inputs: inputs,
		change: resource.PropertyMap{
			"description":                  str("after"),
			"environment":                  object("variables", resource.PropertyMap{"STAGE": str("prod")}),
			"reservedConcurrentExecutions": num(2),
			"tags":                         object("Owner", "payments"),
			"timeout":                      num(60),
		},
		disturb: func(ctx context.Context, x *thing) error {
			if _, err := functions.DeleteFunctionConcurrency(ctx, &lambdasdk.DeleteFunctionConcurrencyInput{FunctionName: &x.id}); err != nil {
				return err
			}
			_, err := functions.UpdateFunctionConfiguration(ctx, &lambdasdk.UpdateFunctionConfigurationInput{
				Environment:  &lambdatypes.Environment{Variables: map[string]string{"STAGE": "meddled"}},
				FunctionName: &x.id,
				MemorySize:   awssdk.Int32(1024),
			})
			return err
		},
		disturbed: []string{"environment", "memorySize", "reservedConcurrentExecutions"},
	})

	function := w.create(w.home, "aws:lambda/function:Function", inputs)
	permission := resource.PropertyMap{
		"action":        str("lambda:InvokeFunction"),
		"function":      function.state["arn"],
		"principal":     str("secretsmanager.amazonaws.com"),
		"sourceAccount": str(w.cloud.Account()),
	}
	w.live(life{token: "aws:lambda/permission:Permission", inputs: permission})
	w.live(life{
		token:  "aws:lambda/permission:Permission",
		inputs: resource.PropertyMap{"action": permission["action"], "function": permission["function"], "principal": str(w.cloud.Account())},
	})

	t.Run("invocation", func(t *testing.T) { invocations(t, w.in(t), function) })
	t.Run("rotation", func(t *testing.T) {
		w := w.in(t)
		w.create(w.home, "aws:lambda/permission:Permission", permission)
		rotations(t, w, function)
	})
}

func invocations(t *testing.T, w *world, function *thing) {
	const token = "aws:lambda/invocation:Invocation"
	once := w.create(w.home, token, resource.PropertyMap{"functionName": str(function.id), "input": str(`{"a":1}`)})
	assert.JSONEq(t, `{"a":1}`, once.state["result"].StringValue())
	assert.Empty(t, w.drifted(once))
	w.remove(once)

	following := w.create(w.home, token, resource.PropertyMap{
		"functionName": str(function.id), "input": str(`{"a":1}`), "lifecycleScope": str("CRUD"),
	})
	assert.JSONEq(t, `{"a":1,"tf":{"action":"create","prev_input":null}}`, following.state["result"].StringValue())
	w.update(following, resource.PropertyMap{
		"functionName": str(function.id), "input": str(`{"a":2}`), "lifecycleScope": str("CRUD"),
	})
	assert.JSONEq(t, `{"a":2,"tf":{"action":"update","prev_input":{"a":1}}}`, following.state["result"].StringValue())
	w.remove(following)

	_, _, err := w.home.Create(t.Context(), token, w.check(w.home, token, nil, resource.PropertyMap{
		"functionName": str(function.id), "input": str(`{"fail":"no such database","password":"hunter2"}`),
	}))
	require.ErrorContains(t, err, "function "+function.id+" failed (Unhandled): errorString: no such database; see its log group")
	assert.NotContains(t, err.Error(), "hunter2")
}

func rotations(t *testing.T, w *world, function *thing) {
	const token = "aws:secretsmanager/secretRotation:SecretRotation"
	secrets := smsdk.NewFromConfig(w.cloud.Config(home))
	secret := w.create(w.home, "aws:secretsmanager/secret:Secret", nil)
	inputs := resource.PropertyMap{
		"rotateImmediately": boolean(false),
		"rotationLambdaArn": function.state["arn"],
		"rotationRules":     object("automaticallyAfterDays", 30.0),
		"secretId":          str(secret.id),
	}
	_, _, err := w.home.Create(t.Context(), token, w.check(w.home, token, nil, inputs))
	require.ErrorContains(t, err, "AWSCURRENT", "there is nothing to rotate before the secret has a value")

	_, err = secrets.PutSecretValue(t.Context(), &smsdk.PutSecretValueInput{SecretId: &secret.id, SecretString: awssdk.String("v")})
	require.NoError(t, err)
	w.live(life{
		token:  token,
		inputs: inputs,
		change: resource.PropertyMap{"rotationRules": object("scheduleExpression", "rate(10 days)", "duration", "3h")},
		disturb: func(ctx context.Context, x *thing) error {
			_, err := secrets.CancelRotateSecret(ctx, &smsdk.CancelRotateSecretInput{SecretId: &x.id})
			return err
		},
		disturbed: []string{"rotationLambdaArn", "rotationRules"},
		stays:     true,
	})
	described, err := secrets.DescribeSecret(t.Context(), &smsdk.DescribeSecretInput{SecretId: &secret.id})
	require.NoError(t, err)
	assert.False(t, awssdk.ToBool(described.RotationEnabled))
}

// TestAResourceThatIsMadeButNotFinishedIsReported: the ID comes with the error,
// so that the caller can delete it or finish it.
func TestAResourceThatIsMadeButNotFinishedIsReported(t *testing.T) {
	w := newWorld(t)
	const token = "aws:secretsmanager/secret:Secret"
	inputs := w.check(w.home, token, nil, resource.PropertyMap{"policy": str(`{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps"}]}`)})
	id, state, err := w.home.Create(t.Context(), token, inputs)
	require.Error(t, err)
	require.NotEmpty(t, id)
	assert.Equal(t, id, state["arn"].StringValue())

	inputs["policy"] = str(guard)
	state, err = w.home.Update(t.Context(), token, id, state, inputs)
	require.NoError(t, err)
	assert.JSONEq(t, guard, state["policy"].StringValue())
}

// TestAnImportAsksForWhatThereIs: the inputs that an import gets, deployed, are
// no change.
func TestAnImportAsksForWhatThereIs(t *testing.T) {
	w := newWorld(t)
	const token = "aws:secretsmanager/secret:Secret"
	made := w.create(w.home, token, resource.PropertyMap{
		"name": str("aistudio/dev/orders/database"), "description": str("orders"), "replicas": list(object("region", there)),
	})
	_, inputs, found, err := w.home.Read(t.Context(), token, made.id, nil, nil)
	require.NoError(t, err)
	require.True(t, found)
	diff, err := w.home.Diff(token, inputs, w.check(w.home, token, inputs, inputs))
	require.NoError(t, err)
	assert.Empty(t, diff.Changes)
	assert.Equal(t, "orders", inputs["description"].StringValue())
}
