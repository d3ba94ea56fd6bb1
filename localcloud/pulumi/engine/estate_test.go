//go:build engine

package engine_test

import (
	"archive/zip"
	"bytes"
	"os"
	"runtime"
	"testing"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/kms"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/secretsmanager"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"
)

// estate is what the program below deploys; the fields are what a test changes.
type estate struct {
	owner, stage      string
	policyDescription string
	code              string
	rotate            bool
}

func (e *estate) deploy(ctx *pulumi.Context) error {
	there, err := aws.NewProvider(ctx, "there", &aws.ProviderArgs{Region: pulumi.String(otherPlace)})
	if err != nil {
		return err
	}
	key, err := kms.NewKey(ctx, "key", &kms.KeyArgs{
		Description:       pulumi.String("encrypts the secrets"),
		EnableKeyRotation: pulumi.Bool(true),
		MultiRegion:       pulumi.Bool(true),
	})
	if err != nil {
		return err
	}
	replica, err := kms.NewReplicaKey(ctx, "replica", &kms.ReplicaKeyArgs{PrimaryKeyArn: key.Arn}, pulumi.Provider(there))
	if err != nil {
		return err
	}
	if _, err = kms.NewAlias(ctx, "alias", &kms.AliasArgs{TargetKeyId: key.KeyId}); err != nil {
		return err
	}
	secret, err := secretsmanager.NewSecret(ctx, "secret", &secretsmanager.SecretArgs{
		Description: pulumi.ToSecret(pulumi.String(confidential)).(pulumi.StringOutput),
		KmsKeyId:    key.Arn,
		Name:        pulumi.String(secretName),
		Replicas: secretsmanager.SecretReplicaArray{&secretsmanager.SecretReplicaArgs{
			KmsKeyId: replica.Arn,
			Region:   pulumi.String(otherPlace),
		}},
		Tags: pulumi.StringMap{"Owner": pulumi.String(e.owner)},
	})
	if err != nil {
		return err
	}
	role, err := iam.NewRole(ctx, "role", &iam.RoleArgs{AssumeRolePolicy: pulumi.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	if err != nil {
		return err
	}
	policy, err := iam.NewPolicy(ctx, "policy", &iam.PolicyArgs{
		Description: pulumi.String(e.policyDescription),
		Policy: pulumi.Sprintf(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":%q}]}`, secret.Arn),
	})
	if err != nil {
		return err
	}
	if _, err = iam.NewRolePolicyAttachment(ctx, "attachment", &iam.RolePolicyAttachmentArgs{PolicyArn: policy.Arn, Role: role.Name}); err != nil {
		return err
	}
	logs, err := cloudwatch.NewLogGroup(ctx, "logs", &cloudwatch.LogGroupArgs{
		Name:            pulumi.String("/aws/lambda/rotate"),
		RetentionInDays: pulumi.Int(30),
	})
	if err != nil {
		return err
	}
	function, err := lambda.NewFunction(ctx, "function", &lambda.FunctionArgs{
		Architectures: pulumi.StringArray{pulumi.String(architecture())},
		Code:          pulumi.NewFileArchive(e.code),
		Environment:   &lambda.FunctionEnvironmentArgs{Variables: pulumi.StringMap{"STAGE": pulumi.String(e.stage)}},
		Handler:       pulumi.String("bootstrap"),
		Name:          pulumi.String("rotate"),
		Role:          role.Arn,
		Runtime:       pulumi.String("provided.al2023"),
	}, pulumi.DependsOn([]pulumi.Resource{logs}))
	if err != nil {
		return err
	}
	permission, err := lambda.NewPermission(ctx, "permission", &lambda.PermissionArgs{
		Action:    pulumi.String("lambda:InvokeFunction"),
		Function:  function.Name,
		Principal: pulumi.String("secretsmanager.amazonaws.com"),
	})
	if err != nil {
		return err
	}
	greeting, err := lambda.NewInvocation(ctx, "greeting", &lambda.InvocationArgs{
		FunctionName: function.Name,
		Input:        pulumi.Sprintf(`{"SecretId":%q}`, secret.Arn),
	})
	if err != nil {
		return err
	}
	if e.rotate {
		_, err = secretsmanager.NewSecretRotation(ctx, "rotation", &secretsmanager.SecretRotationArgs{
			RotateImmediately: pulumi.Bool(false),
			RotationLambdaArn: function.Arn,
			RotationRules:     &secretsmanager.SecretRotationRotationRulesArgs{ScheduleExpression: pulumi.String("rate(30 days)")},
			SecretId:          secret.ID(),
		}, pulumi.DependsOn([]pulumi.Resource{permission}))
		if err != nil {
			return err
		}
	}
	ctx.Export("answer", greeting.Result)
	ctx.Export("secretArn", secret.Arn)
	ctx.Export("codeHash", function.CodeSha256)
	ctx.Export("policyArn", policy.Arn)
	return nil
}

func architecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// writeCode writes the function and a note, which makes each zip another, into a
// zip that Lambda takes.
func writeCode(t *testing.T, path, note string) {
	t.Helper()
	binary, err := os.ReadFile(tools.function)
	require.NoError(t, err)
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	for name, content := range map[string][]byte{"bootstrap": binary, "note": []byte(note)} {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(0o755)
		file, err := w.CreateHeader(header)
		require.NoError(t, err)
		_, err = file.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(path, buffer.Bytes(), 0o600))
}
