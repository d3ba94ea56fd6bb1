package mocks_test

import (
	"archive/zip"
	"context"
	"os"
	"path/filepath"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	kmssdk "github.com/aws/aws-sdk-go-v2/service/kms"
	lambdasdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	smsdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/kms"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/secretsmanager"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/sqs"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/pulumi/handlers"
	"github.com/aistudio/secrets/localcloud/pulumi/mocks"
)

const (
	region     = "us-east-1"
	otherPlace = "us-west-2"
)

func newCloud(t *testing.T) (*localcloud.Cloud, *mocks.Monitor) {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	monitor, err := mocks.New(t.Context(), handlers.Config{Region: region, Endpoint: cloud.URL()})
	require.NoError(t, err)
	return cloud, monitor
}

func deploy(monitor *mocks.Monitor, program pulumi.RunFunc) error {
	return pulumi.RunErr(program, pulumi.WithMocks("project", "dev", monitor))
}

// code writes a zip that Lambda takes, though nothing in it runs.
func code(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "function.zip")
	file, err := os.Create(path)
	require.NoError(t, err)
	w := zip.NewWriter(file)
	bootstrap, err := w.Create("bootstrap")
	require.NoError(t, err)
	_, err = bootstrap.Write([]byte("#!/bin/sh\n"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, file.Close())
	return path
}

// everything deploys one resource of each type that has a handler, but an
// invocation, which needs a function that runs (see package handlers).
//
// seed gives the secret its first value, without which there is nothing to
// rotate; in a real program a Lambda function does.
func everything(codePath string, seed func(arn string) error) pulumi.RunFunc {
	const (
		trust   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
		logging = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:PutLogEvents","Resource":"*"}]}`
	)
	return func(ctx *pulumi.Context) error {
		caller, err := aws.GetCallerIdentity(ctx, nil)
		if err != nil {
			return err
		}
		there, err := aws.NewProvider(ctx, "there", &aws.ProviderArgs{Region: pulumi.String(otherPlace)})
		if err != nil {
			return err
		}
		key, err := kms.NewKey(ctx, "key", &kms.KeyArgs{
			EnableKeyRotation: pulumi.Bool(true),
			MultiRegion:       pulumi.Bool(true),
			Tags:              pulumi.StringMap{"Owner": pulumi.String("platform")},
		})
		if err != nil {
			return err
		}
		if _, err = kms.NewAlias(ctx, "alias", &kms.AliasArgs{Name: pulumi.String("alias/secrets"), TargetKeyId: key.KeyId}); err != nil {
			return err
		}
		replica, err := kms.NewReplicaKey(ctx, "replica", &kms.ReplicaKeyArgs{PrimaryKeyArn: key.Arn}, pulumi.Provider(there))
		if err != nil {
			return err
		}
		secret, err := secretsmanager.NewSecret(ctx, "secret", &secretsmanager.SecretArgs{
			Name:     pulumi.String("aistudio/dev/orders/database"),
			KmsKeyId: key.Arn,
			Replicas: secretsmanager.SecretReplicaArray{&secretsmanager.SecretReplicaArgs{
				KmsKeyId: replica.Arn,
				Region:   pulumi.String(otherPlace),
			}},
			Tags: pulumi.StringMap{"Owner": pulumi.String("platform")},
		})
		if err != nil {
			return err
		}
		policy := pulumi.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::%s:root"},"Action":"secretsmanager:DeleteSecret","Resource":"*"}]}`, caller.AccountId)
		if _, err = secretsmanager.NewSecretPolicy(ctx, "policy", &secretsmanager.SecretPolicyArgs{Policy: policy, SecretArn: secret.Arn}); err != nil {
			return err
		}
		role, err := iam.NewRole(ctx, "role", &iam.RoleArgs{AssumeRolePolicy: pulumi.String(trust)})
		if err != nil {
			return err
		}
		if _, err = iam.NewRolePolicy(ctx, "inline", &iam.RolePolicyArgs{Policy: pulumi.String(logging), Role: role.Name}); err != nil {
			return err
		}
		managed, err := iam.NewPolicy(ctx, "managed", &iam.PolicyArgs{Policy: pulumi.String(logging)})
		if err != nil {
			return err
		}
		if _, err = iam.NewRolePolicyAttachment(ctx, "attachment", &iam.RolePolicyAttachmentArgs{PolicyArn: managed.Arn, Role: role.Name}); err != nil {
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
			Architectures: pulumi.StringArray{pulumi.String("arm64")},
			Code:          pulumi.NewFileArchive(codePath),
			Environment:   &lambda.FunctionEnvironmentArgs{Variables: pulumi.StringMap{"STAGE": pulumi.String("dev")}},
			Handler:       pulumi.String("bootstrap"),
			Name:          pulumi.String("rotate"),
			Role:          role.Arn,
			Runtime:       pulumi.String("provided.al2023"),
			Timeout:       pulumi.Int(30),
			TracingConfig: &lambda.FunctionTracingConfigArgs{Mode: pulumi.String("Active")},
		}, pulumi.DependsOn([]pulumi.Resource{logs}))
		if err != nil {
			return err
		}
		permission, err := lambda.NewPermission(ctx, "permission", &lambda.PermissionArgs{
			Action:        pulumi.String("lambda:InvokeFunction"),
			Function:      function.Name,
			Principal:     pulumi.String("secretsmanager.amazonaws.com"),
			SourceAccount: pulumi.String(caller.AccountId),
		})
		if err != nil {
			return err
		}
		_, err = secretsmanager.NewSecretRotation(ctx, "rotation", &secretsmanager.SecretRotationArgs{
			RotateImmediately: pulumi.Bool(false),
			RotationLambdaArn: function.Arn,
			RotationRules:     &secretsmanager.SecretRotationRotationRulesArgs{AutomaticallyAfterDays: pulumi.Int(30)},
			SecretId: secret.Arn.ApplyT(func(arn string) (string, error) {
				return arn, seed(arn)
			}).(pulumi.StringOutput),
		}, pulumi.DependsOn([]pulumi.Resource{permission}))
		return err
	}
}

func seeder(t *testing.T, cloud *localcloud.Cloud) func(arn string) error {
	secrets := smsdk.NewFromConfig(cloud.Config(region))
	return func(arn string) error {
		_, err := secrets.PutSecretValue(t.Context(), &smsdk.PutSecretValueInput{SecretId: &arn, SecretString: awssdk.String("a value")})
		return err
	}
}

func find(t *testing.T, monitor *mocks.Monitor, name string) mocks.Resource {
	t.Helper()
	for _, r := range monitor.Resources() {
		if r.Name == name {
			return r
		}
	}
	require.Fail(t, "not created", name)
	return mocks.Resource{}
}

func TestAProgramDeploysIntoTheCloud(t *testing.T) {
	cloud, monitor := newCloud(t)
	require.NoError(t, deploy(monitor, everything(code(t), seeder(t, cloud))))
	ctx := t.Context()

	secrets := smsdk.NewFromConfig(cloud.Config(region))
	secret, err := secrets.DescribeSecret(ctx, &smsdk.DescribeSecretInput{SecretId: awssdk.String("aistudio/dev/orders/database")})
	require.NoError(t, err)
	assert.Equal(t, find(t, monitor, "secret").ID, awssdk.ToString(secret.ARN))
	assert.Equal(t, "platform", awssdk.ToString(secret.Tags[0].Value))
	assert.True(t, awssdk.ToBool(secret.RotationEnabled))
	require.Len(t, secret.ReplicationStatus, 1)
	assert.Equal(t, otherPlace, awssdk.ToString(secret.ReplicationStatus[0].Region))

	key := find(t, monitor, "key")
	rotation, err := kmssdk.NewFromConfig(cloud.Config(region)).GetKeyRotationStatus(ctx, &kmssdk.GetKeyRotationStatusInput{KeyId: &key.ID})
	require.NoError(t, err)
	assert.True(t, rotation.KeyRotationEnabled)

	replica := find(t, monitor, "replica")
	assert.Equal(t, otherPlace, replica.Region, "the region is that of the resource's provider")
	described, err := kmssdk.NewFromConfig(cloud.Config(otherPlace)).DescribeKey(ctx, &kmssdk.DescribeKeyInput{KeyId: &replica.ID})
	require.NoError(t, err)
	assert.Equal(t, key.State["arn"].StringValue(), awssdk.ToString(described.KeyMetadata.MultiRegionConfiguration.PrimaryKey.Arn))

	function, err := lambdasdk.NewFromConfig(cloud.Config(region)).GetFunction(ctx, &lambdasdk.GetFunctionInput{FunctionName: awssdk.String("rotate")})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"STAGE": "dev"}, function.Configuration.Environment.Variables)
	assert.EqualValues(t, 30, awssdk.ToInt32(function.Configuration.Timeout))

	assert.Empty(t, cloud.Unsupported(), "calls that the cloud doesn't know")
}

func TestDestroyLeavesNothingBehind(t *testing.T) {
	cloud, monitor := newCloud(t)
	require.NoError(t, deploy(monitor, everything(code(t), seeder(t, cloud))))
	deployed := monitor.Resources()
	require.NoError(t, monitor.Destroy(t.Context()))
	assert.Empty(t, monitor.Resources())

	for _, r := range deployed {
		provider, err := handlers.New(handlers.Config{Region: r.Region, Endpoint: cloud.URL()})
		require.NoError(t, err)
		_, _, found, err := provider.Read(t.Context(), r.Token, r.ID, r.State, nil)
		require.NoError(t, err, r.Name)
		assert.False(t, found, "%s is still there", r.Name)
	}
	require.NoError(t, monitor.Destroy(t.Context()), "a second time has nothing to do")
}

func TestWhatAnEngineWouldRefuse(t *testing.T) {
	newKey := func(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) error {
		_, err := kms.NewKey(ctx, name, &kms.KeyArgs{}, opts...)
		return err
	}
	tests := map[string]struct {
		program pulumi.RunFunc
		want    string
	}{
		"two of one name": {
			func(ctx *pulumi.Context) error {
				if err := newKey(ctx, "key"); err != nil {
					return err
				}
				return newKey(ctx, "key")
			},
			`two resources of type aws:kms/key:Key are named "key"`,
		},
		"two of one name under components of one type": {
			func(ctx *pulumi.Context) error {
				for _, name := range []string{"a", "b"} {
					var component pulumi.ResourceState
					if err := ctx.RegisterComponentResource("test:index:Component", name, &component); err != nil {
						return err
					}
					if err := newKey(ctx, "key", pulumi.Parent(&component)); err != nil {
						return err
					}
				}
				return nil
			},
			`two resources of type aws:kms/key:Key are named "key"`,
		},
		"a type without a handler": {
			func(ctx *pulumi.Context) error {
				_, err := sqs.NewRedrivePolicy(ctx, "policy", &sqs.RedrivePolicyArgs{QueueUrl: pulumi.String("q"), RedrivePolicy: pulumi.String("{}")})
				return err
			},
			"aws:sqs/redrivePolicy:RedrivePolicy has no handler",
		},
		"a property without a handler": {
			func(ctx *pulumi.Context) error {
				_, err := kms.NewKey(ctx, "key", &kms.KeyArgs{CustomKeyStoreId: pulumi.String("cks-1")})
				return err
			},
			"customKeyStoreId: aws:kms/key:Key has no handler for this property",
		},
		"a function without a handler": {
			func(ctx *pulumi.Context) error {
				_, err := aws.GetIpRanges(ctx, &aws.GetIpRangesArgs{})
				return err
			},
			"aws:index/getIpRanges:getIpRanges has no handler",
		},
		"a provider that assumes a role": {
			func(ctx *pulumi.Context) error {
				_, err := aws.NewProvider(ctx, "p", &aws.ProviderArgs{AssumeRole: &aws.ProviderAssumeRoleArgs{RoleArn: pulumi.String("arn")}})
				return err
			},
			"assumeRole: the provider for the local cloud has no handler",
		},
		"an import": {
			func(ctx *pulumi.Context) error { return newKey(ctx, "key", pulumi.Import(pulumi.ID("k"))) },
			"importing needs Pulumi's engine",
		},
		"a read of what isn't there": {
			func(ctx *pulumi.Context) error {
				_, err := kms.GetKey(ctx, "key", pulumi.ID("00000000-0000-0000-0000-000000000000"), nil)
				return err
			},
			`no aws:kms/key:Key "00000000-0000-0000-0000-000000000000" in us-east-1`,
		},
		"what AWS refuses": {
			func(ctx *pulumi.Context) error {
				_, err := secretsmanager.NewSecret(ctx, "secret", &secretsmanager.SecretArgs{Name: pulumi.String("no spaces please")})
				return err
			},
			`"secret": create aws:secretsmanager/secret:Secret in us-east-1`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, monitor := newCloud(t)
			assert.ErrorContains(t, deploy(monitor, test.program), test.want)
		})
	}
}

func TestComponentsOfDifferentTypesMayNameTheirChildrenAlike(t *testing.T) {
	_, monitor := newCloud(t)
	require.NoError(t, deploy(monitor, func(ctx *pulumi.Context) error {
		for _, kind := range []string{"test:index:A", "test:index:B"} {
			var component pulumi.ResourceState
			if err := ctx.RegisterComponentResource(kind, "component", &component); err != nil {
				return err
			}
			if _, err := kms.NewKey(ctx, "key", &kms.KeyArgs{}, pulumi.Parent(&component)); err != nil {
				return err
			}
		}
		return nil
	}))
	assert.Len(t, monitor.Resources(), 2)
}

func TestWhatExistsCanBeRead(t *testing.T) {
	cloud, monitor := newCloud(t)
	require.NoError(t, deploy(monitor, everything(code(t), seeder(t, cloud))))
	key := find(t, monitor, "key")

	require.NoError(t, deploy(monitor, func(ctx *pulumi.Context) error {
		read, err := kms.GetKey(ctx, "existing", pulumi.ID(key.ID), nil)
		if err != nil {
			return err
		}
		secret, err := secretsmanager.LookupSecret(ctx, &secretsmanager.LookupSecretArgs{Name: pulumi.StringRef("aistudio/dev/orders/database")})
		if err != nil {
			return err
		}
		assert.Equal(t, key.State["arn"].StringValue(), secret.KmsKeyId)
		assert.Equal(t, map[string]string{"Owner": "platform"}, secret.Tags)
		region, err := aws.GetRegion(ctx, nil)
		if err != nil {
			return err
		}
		assert.Equal(t, "us-east-1", region.Name)
		partition, err := aws.GetPartition(ctx, nil)
		if err != nil {
			return err
		}
		assert.Equal(t, "aws", partition.Partition)
		read.Arn.ApplyT(func(arn string) string {
			assert.Equal(t, key.State["arn"].StringValue(), arn)
			return arn
		})
		return nil
	}))
	assert.NotContains(t, names(monitor), "existing", "what is only read isn't ours to destroy")
}

func names(monitor *mocks.Monitor) []string {
	var list []string
	for _, r := range monitor.Resources() {
		list = append(list, r.Name)
	}
	return list
}

func TestProtectedAndRetainedResourcesStay(t *testing.T) {
	_, monitor := newCloud(t)
	require.NoError(t, deploy(monitor, func(ctx *pulumi.Context) error {
		if _, err := kms.NewKey(ctx, "precious", &kms.KeyArgs{}, pulumi.Protect(true)); err != nil {
			return err
		}
		_, err := kms.NewKey(ctx, "plain", &kms.KeyArgs{})
		return err
	}))
	assert.ErrorContains(t, monitor.Destroy(t.Context()), `aws:kms/key:Key "precious" is protected: nothing was deleted`)
	assert.Len(t, monitor.Resources(), 2)

	cloud, monitor := newCloud(t)
	require.NoError(t, deploy(monitor, func(ctx *pulumi.Context) error {
		_, err := kms.NewKey(ctx, "kept", &kms.KeyArgs{}, pulumi.RetainOnDelete(true))
		return err
	}))
	kept := find(t, monitor, "kept")
	require.NoError(t, monitor.Destroy(t.Context()))
	described, err := kmssdk.NewFromConfig(cloud.Config(region)).DescribeKey(t.Context(), &kmssdk.DescribeKeyInput{KeyId: &kept.ID})
	require.NoError(t, err)
	assert.Nil(t, described.KeyMetadata.DeletionDate)
}

func TestAFailedDestroyCanBeRepeated(t *testing.T) {
	cloud, monitor := newCloud(t)
	require.NoError(t, deploy(monitor, everything(code(t), seeder(t, cloud))))
	before := len(monitor.Resources())

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, monitor.Destroy(cancelled))
	assert.Len(t, monitor.Resources(), before, "what couldn't be deleted stays on the list")

	require.NoError(t, monitor.Destroy(t.Context()))
	assert.Empty(t, monitor.Resources())
}
