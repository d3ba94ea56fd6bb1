package kms_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

func start(t *testing.T) (*localcloud.Cloud, *kms.Client) {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	return cloud, kms.NewFromConfig(cloud.Config("us-east-1"))
}

func createKey(t *testing.T, c *kms.Client, multiRegion bool) *types.KeyMetadata {
	t.Helper()
	out, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{MultiRegion: aws.Bool(multiRegion)})
	require.NoError(t, err)
	return out.KeyMetadata
}

func encrypt(t *testing.T, c *kms.Client, key string, plaintext string, encryptionContext map[string]string) []byte {
	t.Helper()
	out, err := c.Encrypt(t.Context(), &kms.EncryptInput{
		KeyId: &key, Plaintext: []byte(plaintext), EncryptionContext: encryptionContext,
	})
	require.NoError(t, err)
	return out.CiphertextBlob
}

func TestCiphertextIsBoundToItsContext(t *testing.T) {
	_, c := start(t)
	key := createKey(t, c, false)
	blob := encrypt(t, c, *key.KeyId, "plain", map[string]string{"a": "1", "b": "2"})

	out, err := c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"b": "2", "a": "1"}})
	require.NoError(t, err)
	assert.Equal(t, "plain", string(out.Plaintext))
	assert.Equal(t, *key.Arn, *out.KeyId)

	var invalid *types.InvalidCiphertextException
	for name, in := range map[string]*kms.DecryptInput{
		"no context":      {CiphertextBlob: blob},
		"other value":     {CiphertextBlob: blob, EncryptionContext: map[string]string{"a": "1", "b": "3"}},
		"pair moved over": {CiphertextBlob: blob, EncryptionContext: map[string]string{"a": "1b", "": "2"}},
		"truncated":       {CiphertextBlob: blob[:len(blob)-1], EncryptionContext: map[string]string{"a": "1", "b": "2"}},
		"not a blob":      {CiphertextBlob: []byte("hello"), EncryptionContext: map[string]string{"a": "1", "b": "2"}},
	} {
		_, err := c.Decrypt(t.Context(), in)
		assert.ErrorAs(t, err, &invalid, name)
	}

	other := createKey(t, c, false)
	_, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, KeyId: other.KeyId, EncryptionContext: map[string]string{"a": "1", "b": "2"}})
	var incorrect *types.IncorrectKeyException
	assert.ErrorAs(t, err, &incorrect)
}

func TestOldCiphertextsOutliveRotations(t *testing.T) {
	cloud, c := start(t)
	key := createKey(t, c, false)
	blob := encrypt(t, c, *key.KeyId, "before", nil)
	_, err := c.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: key.KeyId, RotationPeriodInDays: aws.Int32(90)})
	require.NoError(t, err)
	require.NoError(t, cloud.Advance(t.Context(), 200*24*time.Hour))

	rotations, err := c.ListKeyRotations(t.Context(), &kms.ListKeyRotationsInput{KeyId: key.KeyId})
	require.NoError(t, err)
	assert.Len(t, rotations.Rotations, 2)
	out, err := c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})
	require.NoError(t, err)
	assert.Equal(t, "before", string(out.Plaintext))
}

func TestMultiRegionKeysShareTheirMaterial(t *testing.T) {
	cloud, c := start(t)
	west := kms.NewFromConfig(cloud.Config("us-west-2"))
	key := createKey(t, c, true)
	single := createKey(t, c, false)
	assert.Regexp(t, `^mrk-[0-9a-f]{32}$`, *key.KeyId)

	replica, err := c.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: key.KeyId, ReplicaRegion: aws.String("us-west-2")})
	require.NoError(t, err)
	assert.Equal(t, types.MultiRegionKeyTypeReplica, replica.ReplicaKeyMetadata.MultiRegionConfiguration.MultiRegionKeyType)

	out, err := west.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: encrypt(t, c, *key.KeyId, "x", nil)})
	require.NoError(t, err)
	assert.Equal(t, "x", string(out.Plaintext))

	_, err = west.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: encrypt(t, c, *single.KeyId, "x", nil)})
	var notFound *types.NotFoundException
	assert.ErrorAs(t, err, &notFound, "a key of one region is not in another")
}

func TestPrimaryWaitsForItsReplicas(t *testing.T) {
	cloud, c := start(t)
	west := kms.NewFromConfig(cloud.Config("us-west-2"))
	key := createKey(t, c, true)
	_, err := c.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: key.KeyId, ReplicaRegion: aws.String("us-west-2")})
	require.NoError(t, err)

	out, err := c.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: key.KeyId, PendingWindowInDays: aws.Int32(7)})
	require.NoError(t, err)
	assert.Equal(t, types.KeyStatePendingReplicaDeletion, out.KeyState)
	require.NoError(t, cloud.Advance(t.Context(), 8*24*time.Hour))
	_, err = c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key.KeyId})
	require.NoError(t, err)

	_, err = west.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: key.KeyId, PendingWindowInDays: aws.Int32(7)})
	require.NoError(t, err)
	require.NoError(t, cloud.Advance(t.Context(), 8*24*time.Hour))
	_, err = c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key.KeyId})
	var notFound *types.NotFoundException
	assert.ErrorAs(t, err, &notFound)
}

func TestUnusableKeysRefuse(t *testing.T) {
	_, c := start(t)
	key := createKey(t, c, false)
	blob := encrypt(t, c, *key.KeyId, "x", nil)

	_, err := c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key.KeyId})
	require.NoError(t, err)
	_, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})
	var disabled *types.DisabledException
	assert.ErrorAs(t, err, &disabled)

	_, err = c.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: key.KeyId})
	require.NoError(t, err)
	_, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})
	var state *types.KMSInvalidStateException
	assert.ErrorAs(t, err, &state)

	_, err = c.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: key.KeyId})
	require.NoError(t, err)
	_, err = c.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: key.KeyId})
	require.NoError(t, err)
	_, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})
	assert.NoError(t, err)
}

func TestAliases(t *testing.T) {
	_, c := start(t)
	first, second := createKey(t, c, false), createKey(t, c, false)
	ctx := context.Background()
	_, err := c.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/app"), TargetKeyId: first.KeyId})
	require.NoError(t, err)
	_, err = c.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/app"), TargetKeyId: second.KeyId})
	var exists *types.AlreadyExistsException
	assert.ErrorAs(t, err, &exists)
	_, err = c.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: aws.String("alias/app"), TargetKeyId: second.KeyId})
	require.NoError(t, err)
	out, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/app")})
	require.NoError(t, err)
	assert.Equal(t, *second.KeyId, *out.KeyMetadata.KeyId)

	managed, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/aws/secretsmanager")})
	require.NoError(t, err)
	assert.Equal(t, types.KeyManagerTypeAws, managed.KeyMetadata.KeyManager)
	list, err := c.ListAliases(ctx, &kms.ListAliasesInput{})
	require.NoError(t, err)
	assert.Len(t, list.Aliases, 2)

	_, err = c.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: aws.String("alias/app")})
	require.NoError(t, err)
	_, err = c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/app")})
	var notFound *types.NotFoundException
	assert.ErrorAs(t, err, &notFound)
}

func TestDataKeys(t *testing.T) {
	_, c := start(t)
	key := createKey(t, c, false)
	out, err := c.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: key.KeyId, KeySpec: types.DataKeySpecAes256})
	require.NoError(t, err)
	assert.Len(t, out.Plaintext, 32)
	back, err := c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob})
	require.NoError(t, err)
	assert.Equal(t, out.Plaintext, back.Plaintext)

	second := createKey(t, c, false)
	moved, err := c.ReEncrypt(t.Context(), &kms.ReEncryptInput{CiphertextBlob: out.CiphertextBlob, DestinationKeyId: second.KeyId})
	require.NoError(t, err)
	back, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: moved.CiphertextBlob})
	require.NoError(t, err)
	assert.Equal(t, out.Plaintext, back.Plaintext)
	assert.Equal(t, *second.Arn, *back.KeyId)
}
