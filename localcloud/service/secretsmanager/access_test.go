package secretsmanager_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const keyARN = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

// calls has one good call an operation, on a secret that has everything.
func calls(client *sm.Client, id string) map[string]func(context.Context) error {
	sid := aws.String(id)
	tags := []types.Tag{{Key: aws.String("Owner"), Value: aws.String("us")}}
	policy := aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"secretsmanager:DeleteSecret","Resource":"*"}]}`)
	return map[string]func(context.Context) error{
		"BatchGetSecretValue": func(ctx context.Context) error {
			_, err := client.BatchGetSecretValue(ctx, &sm.BatchGetSecretValueInput{SecretIdList: []string{id}})
			return err
		},
		"CancelRotateSecret": func(ctx context.Context) error {
			_, err := client.CancelRotateSecret(ctx, &sm.CancelRotateSecretInput{SecretId: sid})
			return err
		},
		"CreateSecret": func(ctx context.Context) error {
			_, err := client.CreateSecret(ctx, &sm.CreateSecretInput{
				Name: aws.String("new"), SecretString: aws.String("x"), Tags: tags, Description: aws.String("d"),
				AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(drRegion)}},
			})
			return err
		},
		"DeleteResourcePolicy": func(ctx context.Context) error {
			_, err := client.DeleteResourcePolicy(ctx, &sm.DeleteResourcePolicyInput{SecretId: sid})
			return err
		},
		"DeleteSecret": func(ctx context.Context) error {
			_, err := client.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: sid, RecoveryWindowInDays: aws.Int64(7)})
			return err
		},
		"DescribeSecret": func(ctx context.Context) error {
			_, err := client.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: sid})
			return err
		},
		"GetRandomPassword": func(ctx context.Context) error {
			_, err := client.GetRandomPassword(ctx, &sm.GetRandomPasswordInput{})
			return err
		},
		"GetResourcePolicy": func(ctx context.Context) error {
			_, err := client.GetResourcePolicy(ctx, &sm.GetResourcePolicyInput{SecretId: sid})
			return err
		},
		"GetSecretValue": func(ctx context.Context) error {
			_, err := client.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: sid, VersionStage: aws.String("AWSCURRENT")})
			return err
		},
		"ListSecretVersionIds": func(ctx context.Context) error {
			_, err := client.ListSecretVersionIds(ctx, &sm.ListSecretVersionIdsInput{SecretId: sid})
			return err
		},
		"ListSecrets": func(ctx context.Context) error {
			_, err := client.ListSecrets(ctx, &sm.ListSecretsInput{})
			return err
		},
		"PutResourcePolicy": func(ctx context.Context) error {
			_, err := client.PutResourcePolicy(ctx, &sm.PutResourcePolicyInput{SecretId: sid, ResourcePolicy: policy, BlockPublicPolicy: aws.Bool(true)})
			return err
		},
		"PutSecretValue": func(ctx context.Context) error {
			_, err := client.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: sid, SecretString: aws.String("x"), VersionStages: []string{"A", "B"}})
			return err
		},
		"RemoveRegionsFromReplication": func(ctx context.Context) error {
			_, err := client.RemoveRegionsFromReplication(ctx, &sm.RemoveRegionsFromReplicationInput{SecretId: sid, RemoveReplicaRegions: []string{"eu-west-1"}})
			return err
		},
		"ReplicateSecretToRegions": func(ctx context.Context) error {
			_, err := client.ReplicateSecretToRegions(ctx, &sm.ReplicateSecretToRegionsInput{SecretId: sid, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-2")}}})
			return err
		},
		"RestoreSecret": func(ctx context.Context) error {
			_, err := client.RestoreSecret(ctx, &sm.RestoreSecretInput{SecretId: sid})
			return err
		},
		"RotateSecret": func(ctx context.Context) error {
			_, err := client.RotateSecret(ctx, &sm.RotateSecretInput{SecretId: sid, RotationLambdaARN: aws.String(function), RotationRules: everyDays(3)})
			return err
		},
		"StopReplicationToReplica": func(ctx context.Context) error {
			_, err := client.StopReplicationToReplica(ctx, &sm.StopReplicationToReplicaInput{SecretId: sid})
			return err
		},
		"TagResource": func(ctx context.Context) error {
			_, err := client.TagResource(ctx, &sm.TagResourceInput{SecretId: sid, Tags: tags})
			return err
		},
		"UntagResource": func(ctx context.Context) error {
			_, err := client.UntagResource(ctx, &sm.UntagResourceInput{SecretId: sid, TagKeys: []string{"Owner"}})
			return err
		},
		"UpdateSecret": func(ctx context.Context) error {
			_, err := client.UpdateSecret(ctx, &sm.UpdateSecretInput{SecretId: sid, Description: aws.String("d"), KmsKeyId: aws.String(keyARN)})
			return err
		},
		"UpdateSecretVersionStage": func(ctx context.Context) error {
			_, err := client.UpdateSecretVersionStage(ctx, &sm.UpdateSecretVersionStageInput{SecretId: sid, VersionStage: aws.String("A")})
			return err
		},
		"ValidateResourcePolicy": func(ctx context.Context) error {
			_, err := client.ValidateResourcePolicy(ctx, &sm.ValidateResourcePolicyInput{SecretId: sid, ResourcePolicy: policy})
			return err
		},
	}
}

// TestEveryOperationAsksIAM: without its action nothing works and nothing
// changes, and the question has what policies can ask for.
func TestEveryOperationAsksIAM(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	_, err := b.client.CreateSecret(ctx, &sm.CreateSecretInput{
		Name: aws.String("app/db"), SecretString: aws.String("first"),
		Tags:              []types.Tag{{Key: aws.String("Service"), Value: aws.String("app")}},
		AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1")}},
	})
	require.NoError(t, err)
	b.rotate("app/db", everyDays(30))
	b.settle()
	before := b.describe("app/db")

	request := map[string]map[string][]string{
		"CreateSecret": {
			"secretsmanager:Name": {"new"}, "secretsmanager:Description": {"d"}, "secretsmanager:AddReplicaRegions": {drRegion},
			"aws:RequestTag/Owner": {"us"}, "aws:TagKeys": {"Owner"},
		},
		"DeleteSecret":             {"secretsmanager:RecoveryWindowInDays": {"7"}},
		"GetSecretValue":           {"secretsmanager:VersionStage": {"AWSCURRENT"}},
		"PutResourcePolicy":        {"secretsmanager:BlockPublicPolicy": {"true"}},
		"PutSecretValue":           {"secretsmanager:VersionStage": {"A", "B"}},
		"ReplicateSecretToRegions": {"secretsmanager:AddReplicaRegions": {"eu-west-2"}},
		"RotateSecret":             {"secretsmanager:RotationLambdaARN": {function}, "secretsmanager:ModifyRotationRules": {"true"}},
		"TagResource":              {"aws:RequestTag/Owner": {"us"}, "aws:TagKeys": {"Owner"}},
		"UntagResource":            {"aws:TagKeys": {"Owner"}},
		"UpdateSecret":             {"secretsmanager:Description": {"d"}, "secretsmanager:KmsKeyId": {keyARN}, "secretsmanager:KmsKeyArn": {keyARN}},
		"UpdateSecretVersionStage": {"secretsmanager:VersionStage": {"A"}},
	}
	anywhere := []string{"BatchGetSecretValue", "CreateSecret", "GetRandomPassword", "ListSecrets"}
	all := calls(b.client, "app/db")
	for _, op := range slices.Sorted(maps.Keys(all)) {
		t.Run(op, func(t *testing.T) {
			b.deny("secretsmanager:" + op)
			fails(t, all[op](ctx), "AccessDeniedException", "secretsmanager:"+op)
			check := b.check("secretsmanager:" + op)
			for key, values := range request[op] {
				assert.Equal(t, values, check.Context[key], key)
			}
			if slices.Contains(anywhere, op) {
				return
			}
			assert.Equal(t, *before.ARN, check.Resource)
			assert.Equal(t, []string{"app/db"}, check.Context["secretsmanager:SecretId"])
			assert.Equal(t, []string{"app"}, check.Context["aws:ResourceTag/Service"])
			assert.Equal(t, []string{"app"}, check.Context["secretsmanager:ResourceTag/Service"])
			assert.Equal(t, []string{function}, check.Context["secretsmanager:resource/AllowRotationLambdaArn"])
			assert.Equal(t, []string{region}, check.Context["secretsmanager:SecretPrimaryRegion"])
		})
	}
	b.deny()
	after := b.describe("app/db")
	assert.Equal(t, before.LastChangedDate, after.LastChangedDate)
	assert.Equal(t, before.VersionIdsToStages, after.VersionIdsToStages)
}

func TestCreateWithTagsAndReplicasNeedsThatToo(t *testing.T) {
	b := newBench(t)
	create := calls(b.client, "app/db")["CreateSecret"]
	for _, action := range []string{"secretsmanager:TagResource", "secretsmanager:ReplicateSecretToRegions"} {
		b.deny(action)
		fails(t, create(t.Context()), "AccessDeniedException", action)
	}
}

// TestKeyDecides: who may not use the key can't read or write, whatever they
// may do with the secret.
func TestKeyDecides(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	id := b.create("app/db", "first")
	version := b.describe(id).VersionIdsToStages
	b.deny("kms:Decrypt")
	_, err := b.client.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: &id})
	fails(t, err, "AccessDeniedException", "Access to KMS is not allowed")
	check := b.check("kms:Decrypt")
	assert.Equal(t, []string{id}, check.Context["kms:EncryptionContext:SecretARN"])
	assert.Contains(t, version, check.Context["kms:EncryptionContext:SecretVersionId"][0])
	batch, err := b.client.BatchGetSecretValue(ctx, &sm.BatchGetSecretValueInput{SecretIdList: []string{id}})
	require.NoError(t, err)
	require.Len(t, batch.Errors, 1)
	assert.Equal(t, "AccessDeniedException", *batch.Errors[0].ErrorCode)

	b.deny("kms:GenerateDataKey")
	_, err = b.client.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: &id, SecretString: aws.String("x")})
	fails(t, err, "AccessDeniedException", "Access to KMS is not allowed")
	_, err = b.client.CreateSecret(ctx, &sm.CreateSecretInput{Name: aws.String("new"), SecretString: aws.String("x")})
	fails(t, err, "AccessDeniedException", "Access to KMS is not allowed")
	b.deny()
	assert.Equal(t, version, b.describe(id).VersionIdsToStages)
	_, err = b.client.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: aws.String("new")})
	fails(t, err, "ResourceNotFoundException", "")
}

// TestUnknownSecretIsNotToldToStrangers: AWS asks IAM first.
func TestUnknownSecretIsNotToldToStrangers(t *testing.T) {
	b := newBench(t)
	b.deny("secretsmanager:DescribeSecret")
	_, err := b.client.DescribeSecret(t.Context(), &sm.DescribeSecretInput{SecretId: aws.String("none")})
	fails(t, err, "AccessDeniedException", "arn:aws:secretsmanager:us-east-1:123456789012:secret:none")
}
