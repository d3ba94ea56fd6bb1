package conformance

import (
	"bytes"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/require"
)

const keyManagement = "KMS"

func (p *probe) kms(region string) *kms.Client { return kms.NewFromConfig(p.config(region)) }

func (p *probe) key(c *kms.Client) *types.KeyMetadata {
	out, err := c.CreateKey(p.ctx, &kms.CreateKeyInput{Description: aws.String("of a test")})
	require.NoError(p, err)
	return out.KeyMetadata
}

// hello is the ciphertext of "hello".
func (p *probe) hello(c *kms.Client, id *string, encryptionContext map[string]string) []byte {
	out, err := c.Encrypt(p.ctx, &kms.EncryptInput{KeyId: id, Plaintext: []byte("hello"), EncryptionContext: encryptionContext})
	require.NoError(p, err)
	return out.CiphertextBlob
}

func keyCases() []testCase {
	alias := func(p *probe) *string { return aws.String("alias/" + p.prefix) }
	return []testCase{
		{service: keyManagement, name: "create and describe", run: func(p *probe) {
			c := p.kms(region)
			key := p.key(c)
			out, err := c.DescribeKey(p.ctx, &kms.DescribeKeyInput{KeyId: key.KeyId})
			require.NoError(p, err)
			m := out.KeyMetadata
			p.equal("arn:aws:kms:us-east-1:123456789012:key/"+*key.KeyId, *m.Arn)
			p.equal(types.KeyStateEnabled, m.KeyState)
			p.equal(types.KeyUsageTypeEncryptDecrypt, m.KeyUsage)
			p.equal(types.KeySpecSymmetricDefault, m.KeySpec)
			p.equal(types.KeyManagerTypeCustomer, m.KeyManager)
			p.equal("of a test", *m.Description)
			require.True(p, m.Enabled)
			require.False(p, *m.MultiRegion)
		}, moto: &difference{"shows no KeyUsage unless it was given", "[CreateKey](https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html): the default KeyUsage is ENCRYPT_DECRYPT"}},
		{service: keyManagement, name: "describe what isn't there", run: func(p *probe) {
			c := p.kms(region)
			_, err := c.DescribeKey(p.ctx, &kms.DescribeKeyInput{KeyId: aws.String("1234abcd-12ab-34cd-56ef-1234567890ab")})
			p.fails(err, "NotFoundException", "Key 'arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab' does not exist")
			_, err = c.DescribeKey(p.ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/" + p.prefix)})
			p.fails(err, "NotFoundException", "")
		}},
		{service: keyManagement, name: "encrypt and decrypt", run: func(p *probe) {
			c := p.kms(region)
			key := p.key(c)
			blob := p.hello(c, key.KeyId, nil)
			require.False(p, bytes.Contains(blob, []byte("hello")))
			out, err := c.Decrypt(p.ctx, &kms.DecryptInput{CiphertextBlob: blob})
			require.NoError(p, err)
			p.equal("hello", string(out.Plaintext))
			p.equal(*key.Arn, *out.KeyId)
		}},
		{service: keyManagement, name: "the encryption context must be the same", run: func(p *probe) {
			c := p.kms(region)
			key := p.key(c)
			blob := p.hello(c, key.KeyId, map[string]string{"a": "1", "b": "2"})
			_, err := c.Decrypt(p.ctx, &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"b": "2", "a": "1"}})
			require.NoError(p, err)
			for _, other := range []map[string]string{nil, {"a": "1"}, {"a": "1", "b": "3"}} {
				_, err = c.Decrypt(p.ctx, &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: other})
				p.fails(err, "InvalidCiphertextException", "")
			}
		}},
		{service: keyManagement, name: "a ciphertext that was tampered with", run: func(p *probe) {
			c := p.kms(region)
			blob := p.hello(c, p.key(c).KeyId, nil)
			blob[len(blob)-1] ^= 1
			_, err := c.Decrypt(p.ctx, &kms.DecryptInput{CiphertextBlob: blob})
			p.fails(err, "InvalidCiphertextException", "")
		}},
		{service: keyManagement, name: "decrypt with another key", run: func(p *probe) {
			c := p.kms(region)
			blob := p.hello(c, p.key(c).KeyId, nil)
			_, err := c.Decrypt(p.ctx, &kms.DecryptInput{CiphertextBlob: blob, KeyId: p.key(c).KeyId})
			p.fails(err, "IncorrectKeyException", "")
		}, moto: &difference{"answers AccessDeniedException", "[Decrypt](https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html): IncorrectKeyException"}},
		{service: keyManagement, name: "encrypt more than 4096 bytes", run: func(p *probe) {
			c := p.kms(region)
			_, err := c.Encrypt(p.ctx, &kms.EncryptInput{KeyId: p.key(c).KeyId, Plaintext: make([]byte, 4097)})
			p.fails(err, "ValidationException", "")
		}},
		{service: keyManagement, name: "data key", run: func(p *probe) {
			c := p.kms(region)
			out, err := c.GenerateDataKey(p.ctx, &kms.GenerateDataKeyInput{KeyId: p.key(c).KeyId, KeySpec: types.DataKeySpecAes256, EncryptionContext: map[string]string{"a": "1"}})
			require.NoError(p, err)
			require.Len(p, out.Plaintext, 32)
			plain, err := c.Decrypt(p.ctx, &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob, EncryptionContext: map[string]string{"a": "1"}})
			require.NoError(p, err)
			p.equal(out.Plaintext, plain.Plaintext)
		}},
		{service: keyManagement, name: "data key without plaintext", run: func(p *probe) {
			c := p.kms(region)
			out, err := c.GenerateDataKeyWithoutPlaintext(p.ctx, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: p.key(c).KeyId, NumberOfBytes: aws.Int32(20)})
			require.NoError(p, err)
			plain, err := c.Decrypt(p.ctx, &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob})
			require.NoError(p, err)
			require.Len(p, plain.Plaintext, 20)
		}},
		{service: keyManagement, name: "data key with two sizes", run: func(p *probe) {
			c := p.kms(region)
			_, err := c.GenerateDataKey(p.ctx, &kms.GenerateDataKeyInput{KeyId: p.key(c).KeyId, KeySpec: types.DataKeySpecAes256, NumberOfBytes: aws.Int32(32)})
			p.fails(err, "ValidationException", "")
		}},
		{service: keyManagement, name: "encrypt again under another key", run: func(p *probe) {
			c := p.kms(region)
			to := p.key(c)
			blob := p.hello(c, p.key(c).KeyId, map[string]string{"a": "1"})
			out, err := c.ReEncrypt(p.ctx, &kms.ReEncryptInput{CiphertextBlob: blob, SourceEncryptionContext: map[string]string{"a": "1"}, DestinationKeyId: to.KeyId})
			require.NoError(p, err)
			plain, err := c.Decrypt(p.ctx, &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob})
			require.NoError(p, err)
			p.equal("hello", string(plain.Plaintext))
			p.equal(*to.Arn, *plain.KeyId)
		}},
		{service: keyManagement, name: "alias", run: func(p *probe) {
			c := p.kms(region)
			first, second := p.key(c), p.key(c)
			_, err := c.CreateAlias(p.ctx, &kms.CreateAliasInput{AliasName: alias(p), TargetKeyId: first.KeyId})
			require.NoError(p, err)
			blob := p.hello(c, alias(p), nil)
			_, err = c.UpdateAlias(p.ctx, &kms.UpdateAliasInput{AliasName: alias(p), TargetKeyId: second.KeyId})
			require.NoError(p, err)
			out, err := c.DescribeKey(p.ctx, &kms.DescribeKeyInput{KeyId: alias(p)})
			require.NoError(p, err)
			p.equal(*second.KeyId, *out.KeyMetadata.KeyId)
			plain, err := c.Decrypt(p.ctx, &kms.DecryptInput{CiphertextBlob: blob})
			require.NoError(p, err)
			p.equal(*first.Arn, *plain.KeyId)
			_, err = c.DeleteAlias(p.ctx, &kms.DeleteAliasInput{AliasName: alias(p)})
			require.NoError(p, err)
			_, err = c.DescribeKey(p.ctx, &kms.DescribeKeyInput{KeyId: alias(p)})
			p.fails(err, "NotFoundException", "")
		}},
		{service: keyManagement, name: "alias that is there", run: func(p *probe) {
			c := p.kms(region)
			key := p.key(c)
			in := &kms.CreateAliasInput{AliasName: alias(p), TargetKeyId: key.KeyId}
			_, err := c.CreateAlias(p.ctx, in)
			require.NoError(p, err)
			_, err = c.CreateAlias(p.ctx, in)
			p.fails(err, "AlreadyExistsException", "An alias with the name arn:aws:kms:us-east-1:123456789012:"+*alias(p)+" already exists")
		}},
		{service: keyManagement, name: "alias in AWS's own name", run: func(p *probe) {
			c := p.kms(region)
			_, err := c.CreateAlias(p.ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/aws/" + p.prefix), TargetKeyId: p.key(c).KeyId})
			require.Error(p, err)
		}, moto: &difference{"creates it", "[CreateAlias](https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateAlias.html): the name cannot begin with alias/aws/"}},
		{service: keyManagement, name: "rotation", run: func(p *probe) {
			c := p.kms(region)
			id := p.key(c).KeyId
			status, err := c.GetKeyRotationStatus(p.ctx, &kms.GetKeyRotationStatusInput{KeyId: id})
			require.NoError(p, err)
			require.False(p, status.KeyRotationEnabled)
			_, err = c.EnableKeyRotation(p.ctx, &kms.EnableKeyRotationInput{KeyId: id, RotationPeriodInDays: aws.Int32(90)})
			require.NoError(p, err)
			status, err = c.GetKeyRotationStatus(p.ctx, &kms.GetKeyRotationStatusInput{KeyId: id})
			require.NoError(p, err)
			require.True(p, status.KeyRotationEnabled)
			p.equal(int32(90), aws.ToInt32(status.RotationPeriodInDays))
		}, moto: &difference{"shows no RotationPeriodInDays", "[GetKeyRotationStatus](https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyRotationStatus.html): RotationPeriodInDays"}},
		{service: keyManagement, name: "disabled key", run: func(p *probe) {
			c := p.kms(region)
			id := p.key(c).KeyId
			blob := p.hello(c, id, nil)
			_, err := c.DisableKey(p.ctx, &kms.DisableKeyInput{KeyId: id})
			require.NoError(p, err)
			_, err = c.Decrypt(p.ctx, &kms.DecryptInput{CiphertextBlob: blob})
			p.fails(err, "DisabledException", "is disabled")
			_, err = c.EnableKey(p.ctx, &kms.EnableKeyInput{KeyId: id})
			require.NoError(p, err)
			_, err = c.Decrypt(p.ctx, &kms.DecryptInput{CiphertextBlob: blob})
			require.NoError(p, err)
		}, moto: &difference{"decrypts with it", "[Decrypt](https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html): DisabledException"}},
		{service: keyManagement, name: "key pending deletion", run: func(p *probe) {
			c := p.kms(region)
			id := p.key(c).KeyId
			blob := p.hello(c, id, nil)
			_, err := c.ScheduleKeyDeletion(p.ctx, &kms.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)})
			require.NoError(p, err)
			_, err = c.Decrypt(p.ctx, &kms.DecryptInput{CiphertextBlob: blob})
			p.fails(err, "KMSInvalidStateException", "is pending deletion")
			_, err = c.CancelKeyDeletion(p.ctx, &kms.CancelKeyDeletionInput{KeyId: id})
			require.NoError(p, err)
			out, err := c.DescribeKey(p.ctx, &kms.DescribeKeyInput{KeyId: id})
			require.NoError(p, err)
			p.equal(types.KeyStateDisabled, out.KeyMetadata.KeyState)
		}, moto: &difference{"decrypts with it", "[Decrypt](https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html): KMSInvalidStateException"}},
		{service: keyManagement, name: "deletion in six days", run: func(p *probe) {
			c := p.kms(region)
			_, err := c.ScheduleKeyDeletion(p.ctx, &kms.ScheduleKeyDeletionInput{KeyId: p.key(c).KeyId, PendingWindowInDays: aws.Int32(6)})
			p.fails(err, "ValidationException", "")
		}, moto: &difference{"takes any number of days", "[ScheduleKeyDeletion](https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html): PendingWindowInDays is between 7 and 30"}},
		{service: keyManagement, name: "key policy", run: func(p *probe) {
			c := p.kms(region)
			id := p.key(c).KeyId
			got, err := c.GetKeyPolicy(p.ctx, &kms.GetKeyPolicyInput{KeyId: id})
			require.NoError(p, err)
			require.Contains(p, *got.Policy, "arn:aws:iam::123456789012:root")
			policy := strings.Replace(*got.Policy, "kms:*", "kms:Describe*", 1)
			_, err = c.PutKeyPolicy(p.ctx, &kms.PutKeyPolicyInput{KeyId: id, Policy: &policy, BypassPolicyLockoutSafetyCheck: true})
			require.NoError(p, err)
			got, err = c.GetKeyPolicy(p.ctx, &kms.GetKeyPolicyInput{KeyId: id})
			require.NoError(p, err)
			require.JSONEq(p, policy, *got.Policy)
		}, moto: &difference{"has no policy named default when PolicyName is left out", "[GetKeyPolicy](https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyPolicy.html): if no policy name is specified, the default value is default"}},
		{service: keyManagement, name: "malformed key policy", run: func(p *probe) {
			c := p.kms(region)
			_, err := c.PutKeyPolicy(p.ctx, &kms.PutKeyPolicyInput{KeyId: p.key(c).KeyId, Policy: aws.String("no policy")})
			p.fails(err, "MalformedPolicyDocumentException", "")
		}, moto: &difference{"asks for the PolicyName", "[PutKeyPolicy](https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html): MalformedPolicyDocumentException; PolicyName is default if it is left out"}},
		{service: keyManagement, name: "multi-region key", run: func(p *probe) {
			c, dr := p.kms(region), p.kms(drRegion)
			primary, err := c.CreateKey(p.ctx, &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})
			require.NoError(p, err)
			id := primary.KeyMetadata.KeyId
			require.Regexp(p, "^mrk-[0-9a-f]{32}$", *id)
			_, err = c.ReplicateKey(p.ctx, &kms.ReplicateKeyInput{KeyId: id, ReplicaRegion: aws.String(drRegion)})
			require.NoError(p, err)
			out, err := dr.DescribeKey(p.ctx, &kms.DescribeKeyInput{KeyId: id})
			require.NoError(p, err)
			p.equal(types.MultiRegionKeyTypeReplica, out.KeyMetadata.MultiRegionConfiguration.MultiRegionKeyType)
			p.equal(*primary.KeyMetadata.Arn, *out.KeyMetadata.MultiRegionConfiguration.PrimaryKey.Arn)
			blob := p.hello(c, id, nil)
			plain, err := dr.Decrypt(p.ctx, &kms.DecryptInput{CiphertextBlob: blob})
			require.NoError(p, err)
			p.equal("hello", string(plain.Plaintext))
		}, moto: &difference{"makes ids with hyphens", "[developer guide](https://docs.aws.amazon.com/kms/latest/developerguide/mrk-how-it-works.html): ids have the form mrk- and 32 hexadecimal digits"}},
		{service: keyManagement, name: "tags", run: func(p *probe) {
			c := p.kms(region)
			id := p.key(c).KeyId
			_, err := c.TagResource(p.ctx, &kms.TagResourceInput{KeyId: id, Tags: []types.Tag{{TagKey: aws.String("a"), TagValue: aws.String("1")}, {TagKey: aws.String("b"), TagValue: aws.String("2")}}})
			require.NoError(p, err)
			_, err = c.UntagResource(p.ctx, &kms.UntagResourceInput{KeyId: id, TagKeys: []string{"a"}})
			require.NoError(p, err)
			out, err := c.ListResourceTags(p.ctx, &kms.ListResourceTagsInput{KeyId: id})
			require.NoError(p, err)
			require.Len(p, out.Tags, 1)
			p.equal("b", *out.Tags[0].TagKey)
		}},
		{service: keyManagement, name: "a secret under a customer key", run: func(p *probe) {
			key := p.key(p.kms(region))
			p.createWithKey(key.Arn)
			p.equal(*key.Arn, *p.describe(p.name("s")).KmsKeyId)
			p.equal("v", *p.get(p.name("s")).SecretString)
		}},
		{service: keyManagement, name: "a secret whose key is disabled", run: func(p *probe) {
			c := p.kms(region)
			key := p.key(c)
			p.createWithKey(key.Arn)
			_, err := c.DisableKey(p.ctx, &kms.DisableKeyInput{KeyId: key.KeyId})
			require.NoError(p, err)
			_, err = p.getErr(p.name("s"))
			require.Error(p, err)
		}, moto: &difference{"reads it", "[GetSecretValue](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html): DecryptionFailure"}},
	}
}
