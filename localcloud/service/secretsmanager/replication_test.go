package secretsmanager_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// createReplicated makes the secret app/db with the value "first" and a replica.
func (b *bench) createReplicated() string {
	b.t.Helper()
	out, err := b.client.CreateSecret(b.t.Context(), &sm.CreateSecretInput{
		Name: aws.String("app/db"), SecretString: aws.String("first"), Tags: []types.Tag{{Key: aws.String("Service"), Value: aws.String("app")}},
		AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(drRegion)}},
	})
	require.NoError(b.t, err)
	require.Equal(b.t, types.StatusTypeInProgress, out.ReplicationStatus[0].Status)
	b.settle()
	return *out.ARN
}

func TestReplica(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	id := b.createReplicated()
	dr := b.in(drRegion)

	d := b.describe(id)
	assert.Equal(t, region, *d.PrimaryRegion)
	require.Len(t, d.ReplicationStatus, 1)
	assert.Equal(t, types.StatusTypeInSync, d.ReplicationStatus[0].Status)
	assert.Equal(t, "alias/aws/secretsmanager", *d.ReplicationStatus[0].KmsKeyId)

	copied, err := dr.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: aws.String("app/db")})
	require.NoError(t, err)
	assert.Equal(t, "arn:aws:secretsmanager:us-west-2:123456789012:secret:app/db-"+id[len(id)-6:], *copied.ARN)
	assert.Equal(t, region, *copied.PrimaryRegion)
	assert.Equal(t, d.VersionIdsToStages, copied.VersionIdsToStages)
	assert.Equal(t, d.Tags, copied.Tags)

	read := func() string {
		out, err := dr.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: copied.ARN})
		require.NoError(t, err)
		return *out.SecretString
	}
	assert.Equal(t, "first", read())
	assert.NotNil(t, b.describe(id).ReplicationStatus[0].LastAccessedDate)
	assert.Nil(t, b.describe(id).LastAccessedDate, "dates of access are a Region's own")

	_, err = b.client.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: &id, SecretString: aws.String("second")})
	require.NoError(t, err)
	b.settle()
	assert.Equal(t, "second", read())

	// The rotation is the primary's; its outcome comes to the replica.
	token := b.rotate(id, everyDays(30))
	b.settle()
	assert.Equal(t, "made for "+token, read())
	copied, err = dr.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: copied.ARN})
	require.NoError(t, err)
	assert.Equal(t, b.describe(id).VersionIdsToStages, copied.VersionIdsToStages)
	assert.Equal(t, b.describe(id).NextRotationDate, copied.NextRotationDate)
}

func TestReplicaIsReadOnly(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	id := aws.String("app/db")
	b.createReplicated()
	dr := b.in(drRegion)
	for name, call := range map[string]func() error{
		"PutSecretValue": func() error {
			_, err := dr.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: id, SecretString: aws.String("x")})
			return err
		},
		"UpdateSecret": func() error {
			_, err := dr.UpdateSecret(ctx, &sm.UpdateSecretInput{SecretId: id, Description: aws.String("x")})
			return err
		},
		"UpdateSecretVersionStage": func() error {
			_, err := dr.UpdateSecretVersionStage(ctx, &sm.UpdateSecretVersionStageInput{SecretId: id, VersionStage: aws.String("X")})
			return err
		},
		"TagResource": func() error {
			_, err := dr.TagResource(ctx, &sm.TagResourceInput{SecretId: id, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})
			return err
		},
		"UntagResource": func() error {
			_, err := dr.UntagResource(ctx, &sm.UntagResourceInput{SecretId: id, TagKeys: []string{"a"}})
			return err
		},
		"PutResourcePolicy": func() error {
			_, err := dr.PutResourcePolicy(ctx, &sm.PutResourcePolicyInput{SecretId: id, ResourcePolicy: aws.String("{}")})
			return err
		},
		"DeleteResourcePolicy": func() error {
			_, err := dr.DeleteResourcePolicy(ctx, &sm.DeleteResourcePolicyInput{SecretId: id})
			return err
		},
		"RotateSecret": func() error {
			_, err := dr.RotateSecret(ctx, &sm.RotateSecretInput{SecretId: id, RotationLambdaARN: aws.String(function)})
			return err
		},
		"CancelRotateSecret": func() error {
			_, err := dr.CancelRotateSecret(ctx, &sm.CancelRotateSecretInput{SecretId: id})
			return err
		},
		"DeleteSecret": func() error {
			_, err := dr.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: id})
			return err
		},
		"RestoreSecret": func() error {
			_, err := dr.RestoreSecret(ctx, &sm.RestoreSecretInput{SecretId: id})
			return err
		},
		"ReplicateSecretToRegions": func() error {
			_, err := dr.ReplicateSecretToRegions(ctx, &sm.ReplicateSecretToRegionsInput{SecretId: id, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1")}}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			fails(t, call(), "InvalidParameterException", "Operation not permitted on a replica secret. Call must be made in primary secret's region.")
		})
	}
	// Its key is its own.
	_, err := dr.UpdateSecret(ctx, &sm.UpdateSecretInput{SecretId: id, KmsKeyId: aws.String("alias/aws/secretsmanager")})
	require.NoError(t, err)
}

func TestPromoteAndRemoveReplica(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	id := b.createReplicated()
	dr := b.in(drRegion)
	_, err := b.client.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: &id})
	fails(t, err, "InvalidParameterException", "You can't delete secret "+id+" that still has replica regions [us-west-2].")
	_, err = b.client.StopReplicationToReplica(ctx, &sm.StopReplicationToReplicaInput{SecretId: &id})
	fails(t, err, "InvalidParameterException", "")

	stopped, err := dr.StopReplicationToReplica(ctx, &sm.StopReplicationToReplicaInput{SecretId: aws.String("app/db")})
	require.NoError(t, err)
	assert.Empty(t, b.describe(id).ReplicationStatus)
	_, err = dr.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: stopped.ARN, SecretString: aws.String("its own")})
	require.NoError(t, err)
	b.settle()
	assert.Equal(t, "first", b.value(id, ""))

	// Its name is taken now, unless the caller says to overwrite it.
	add := func(overwrite bool) types.ReplicationStatusType {
		_, err := b.client.ReplicateSecretToRegions(ctx, &sm.ReplicateSecretToRegionsInput{
			SecretId: &id, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(drRegion)}}, ForceOverwriteReplicaSecret: overwrite,
		})
		require.NoError(t, err)
		b.settle()
		return b.describe(id).ReplicationStatus[0]
	}
	failure := add(false)
	assert.Equal(t, types.StatusTypeFailed, failure.Status)
	assert.Contains(t, *failure.StatusMessage, "already exists")
	assert.Equal(t, types.StatusTypeInSync, add(true).Status)
	out, err := dr.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: aws.String("app/db")})
	require.NoError(t, err)
	assert.Equal(t, "first", *out.SecretString)

	_, err = b.client.RemoveRegionsFromReplication(ctx, &sm.RemoveRegionsFromReplicationInput{SecretId: &id, RemoveReplicaRegions: []string{"eu-west-1"}})
	fails(t, err, "InvalidParameterException", "eu-west-1")
	_, err = b.client.RemoveRegionsFromReplication(ctx, &sm.RemoveRegionsFromReplicationInput{SecretId: &id, RemoveReplicaRegions: []string{drRegion}})
	require.NoError(t, err)
	_, err = dr.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: aws.String("app/db")})
	fails(t, err, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	_, err = b.client.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: &id})
	require.NoError(t, err)
	b.advance(31 * 24 * time.Hour)
	_, err = b.client.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: &id})
	fails(t, err, "ResourceNotFoundException", "")
}

func TestReplicaWithoutItsKeyFails(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	id := b.create("app/db", "first")
	_, err := b.client.ReplicateSecretToRegions(ctx, &sm.ReplicateSecretToRegionsInput{
		SecretId: &id, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(drRegion), KmsKeyId: aws.String("alias/none")}},
	})
	require.NoError(t, err)
	b.settle()
	status := b.describe(id).ReplicationStatus[0]
	assert.Equal(t, types.StatusTypeFailed, status.Status)
	assert.Contains(t, *status.StatusMessage, "EncryptionFailure")
	_, err = b.in(drRegion).DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: aws.String("app/db")})
	fails(t, err, "ResourceNotFoundException", "")
}

// A replica that can't follow its primary stays what it was, to the last label.
func TestReplicaThatCannotFollow(t *testing.T) {
	b := newBench(t)
	id := b.createReplicated()
	labels := func() map[string][]string {
		d, err := b.in(drRegion).DescribeSecret(t.Context(), &sm.DescribeSecretInput{SecretId: aws.String("app/db")})
		require.NoError(t, err)
		return d.VersionIdsToStages
	}
	before := labels()
	b.deny("kms:Decrypt")
	_, err := b.client.PutSecretValue(t.Context(), &sm.PutSecretValueInput{SecretId: &id, SecretString: aws.String("later")})
	require.NoError(t, err)
	b.settle()
	assert.Equal(t, types.StatusTypeFailed, b.describe(id).ReplicationStatus[0].Status)
	assert.Equal(t, before, labels())
}

// TestReplicaKnowsNothingOfATest: the version that tests a rotation is the
// primary's alone, so that the test needs no key.
func TestReplicaKnowsNothingOfATest(t *testing.T) {
	b := newBench(t)
	id := b.createReplicated()
	release := make(chan struct{})
	b.setFunction(func(context.Context, *sm.Client, map[string]string) error { <-release; return nil })
	b.deny("kms:Decrypt")
	_, err := b.client.RotateSecret(t.Context(), &sm.RotateSecretInput{
		SecretId: &id, RotationLambdaARN: aws.String(function), RotationRules: everyDays(30), RotateImmediately: aws.Bool(false),
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		d, err := b.in(drRegion).DescribeSecret(t.Context(), &sm.DescribeSecretInput{SecretId: aws.String("app/db")})
		return err == nil && d.RotationEnabled != nil || b.describe(id).ReplicationStatus[0].Status == types.StatusTypeFailed
	}, time.Minute, time.Millisecond)
	assert.Equal(t, types.StatusTypeInSync, b.describe(id).ReplicationStatus[0].Status)
	close(release)
	b.settle()
}
