package handlers

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// keyPolicyName is the only name that KMS gives a key's policy.
const keyPolicyName = "default"

// sharedKey holds what the primary key and the replica of a multi-Region key
// have in common. Deletion takes effect after 7 to 30 days, 30 by default.
type sharedKey struct {
	ARN                            string `json:"arn" prop:"out"`
	BypassPolicyLockoutSafetyCheck bool   `json:"bypassPolicyLockoutSafetyCheck" prop:"in,writeonly,default=false"`
	DeletionWindowInDays           int    `json:"deletionWindowInDays" prop:"in,writeonly,default=30"`
	KeyID                          string `json:"keyId" prop:"out"`
	Policy                         string `json:"policy,omitempty" prop:"in,out,json"`
	tagged
}

type key struct {
	sharedKey
	CustomerMasterKeySpec string `json:"customerMasterKeySpec" prop:"in,replace,default=\"SYMMETRIC_DEFAULT\""`
	Description           string `json:"description" prop:"in,out"`
	EnableKeyRotation     bool   `json:"enableKeyRotation" prop:"in,default=false"`
	IsEnabled             bool   `json:"isEnabled" prop:"in,default=true"`
	KeyUsage              string `json:"keyUsage" prop:"in,replace,default=\"ENCRYPT_DECRYPT\""`
	MultiRegion           bool   `json:"multiRegion" prop:"in,out,replace"`
	RotationPeriodInDays  int    `json:"rotationPeriodInDays,omitempty" prop:"in,out"`
}

type replicaKey struct {
	sharedKey
	Description        string `json:"description" prop:"in"`
	Enabled            bool   `json:"enabled" prop:"in,default=true"`
	KeyRotationEnabled bool   `json:"keyRotationEnabled" prop:"out"`
	KeySpec            string `json:"keySpec" prop:"out"`
	KeyUsage           string `json:"keyUsage" prop:"out"`
	PrimaryKeyARN      string `json:"primaryKeyArn" prop:"in,required,replace"`
}

func keyKind() resourceType {
	return kind[key]{
		token:  "aws:kms/key:Key",
		check:  func(k *key) error { return k.checkDeletionWindow() },
		create: createKey,
		read:   readKey,
		update: updateKey,
		remove: func(ctx context.Context, c *clients, id string, k *key) error {
			return scheduleKeyDeletion(ctx, c, id, k.DeletionWindowInDays)
		},
	}
}

func replicaKeyKind() resourceType {
	return kind[replicaKey]{
		token:  "aws:kms/replicaKey:ReplicaKey",
		check:  func(k *replicaKey) error { return k.checkDeletionWindow() },
		create: createReplicaKey,
		read:   readReplicaKey,
		update: func(ctx context.Context, c *clients, id string, old, k *replicaKey) error {
			return errors.Join(
				updateSharedKey(ctx, c, id, &old.sharedKey, &k.sharedKey),
				updateKeyDescription(ctx, c, id, old.Description, k.Description),
				setKeyEnabled(ctx, c, id, old.Enabled, k.Enabled),
			)
		},
		remove: func(ctx context.Context, c *clients, id string, k *replicaKey) error {
			return scheduleKeyDeletion(ctx, c, id, k.DeletionWindowInDays)
		},
	}
}

func (k *sharedKey) checkDeletionWindow() error {
	if days := k.DeletionWindowInDays; days < 7 || days > 30 {
		return fmt.Errorf("deletionWindowInDays is %d; KMS takes 7 to 30", days)
	}
	return nil
}

func kmsTag(key, value string) kmstypes.Tag {
	return kmstypes.Tag{TagKey: &key, TagValue: &value}
}

func createKey(ctx context.Context, c *clients, k *key) (string, error) {
	created, err := c.kms.CreateKey(ctx, &kms.CreateKeyInput{
		BypassPolicyLockoutSafetyCheck: k.BypassPolicyLockoutSafetyCheck,
		Description:                    aws.String(k.Description),
		KeySpec:                        kmstypes.KeySpec(k.CustomerMasterKeySpec),
		KeyUsage:                       kmstypes.KeyUsageType(k.KeyUsage),
		MultiRegion:                    aws.Bool(k.MultiRegion),
		Policy:                         optional(k.Policy),
		Tags:                           tagList(k.Tags, kmsTag),
	})
	if err != nil {
		return "", err
	}
	id := aws.ToString(created.KeyMetadata.KeyId)
	return id, errors.Join(
		setKeyRotation(ctx, c, id, &key{}, k),
		setKeyEnabled(ctx, c, id, true, k.IsEnabled),
	)
}

func readKey(ctx context.Context, c *clients, id string, k *key) error {
	metadata, err := readSharedKey(ctx, c, id, &k.sharedKey)
	if err != nil {
		return err
	}
	k.Description = aws.ToString(metadata.Description)
	k.IsEnabled = metadata.Enabled
	k.CustomerMasterKeySpec = string(metadata.KeySpec)
	k.KeyUsage = string(metadata.KeyUsage)
	k.MultiRegion = aws.ToBool(metadata.MultiRegion)
	k.EnableKeyRotation, k.RotationPeriodInDays, err = readKeyRotation(ctx, c, id, metadata)
	return err
}

func updateKey(ctx context.Context, c *clients, id string, old, k *key) error {
	// A disabled key takes no other change: enable first, disable last.
	if k.IsEnabled {
		if err := setKeyEnabled(ctx, c, id, old.IsEnabled, true); err != nil {
			return err
		}
	}
	err := errors.Join(
		updateSharedKey(ctx, c, id, &old.sharedKey, &k.sharedKey),
		updateKeyDescription(ctx, c, id, old.Description, k.Description),
		setKeyRotation(ctx, c, id, old, k),
	)
	if err != nil || k.IsEnabled {
		return err
	}
	return setKeyEnabled(ctx, c, id, old.IsEnabled, false)
}

func createReplicaKey(ctx context.Context, c *clients, k *replicaKey) (string, error) {
	primary, err := arn.Parse(k.PrimaryKeyARN)
	if err != nil {
		return "", fmt.Errorf("primaryKeyArn: %w", err)
	}
	keyID := strings.TrimPrefix(primary.Resource, "key/")
	// KMS takes the call in the primary's region.
	replicated, err := c.inRegion(primary.Region).kms.ReplicateKey(ctx, &kms.ReplicateKeyInput{
		BypassPolicyLockoutSafetyCheck: k.BypassPolicyLockoutSafetyCheck,
		Description:                    aws.String(k.Description),
		KeyId:                          &keyID,
		Policy:                         optional(k.Policy),
		ReplicaRegion:                  aws.String(c.config.Region),
		Tags:                           tagList(k.Tags, kmsTag),
	})
	if err != nil {
		return "", err
	}
	id := aws.ToString(replicated.ReplicaKeyMetadata.KeyId)
	err = wait(ctx, "the replica key to be created", func() (bool, error) {
		described, err := c.kms.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
		if err != nil {
			return false, err
		}
		return described.KeyMetadata.KeyState != kmstypes.KeyStateCreating, nil
	})
	if err != nil {
		return id, err
	}
	return id, setKeyEnabled(ctx, c, id, true, k.Enabled)
}

func readReplicaKey(ctx context.Context, c *clients, id string, k *replicaKey) error {
	metadata, err := readSharedKey(ctx, c, id, &k.sharedKey)
	if err != nil {
		return err
	}
	k.Description = aws.ToString(metadata.Description)
	k.Enabled = metadata.Enabled
	k.KeySpec = string(metadata.KeySpec)
	k.KeyUsage = string(metadata.KeyUsage)
	if metadata.MultiRegionConfiguration != nil && metadata.MultiRegionConfiguration.PrimaryKey != nil {
		k.PrimaryKeyARN = aws.ToString(metadata.MultiRegionConfiguration.PrimaryKey.Arn)
	}
	k.KeyRotationEnabled, _, err = readKeyRotation(ctx, c, id, metadata)
	return err
}

func readSharedKey(ctx context.Context, c *clients, id string, k *sharedKey) (*kmstypes.KeyMetadata, error) {
	described, err := c.kms.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
	if err != nil {
		return nil, gone[*kmstypes.NotFoundException](err)
	}
	metadata := described.KeyMetadata
	switch metadata.KeyState {
	case kmstypes.KeyStatePendingDeletion, kmstypes.KeyStatePendingReplicaDeletion:
		return nil, errNotFound
	}
	policy, err := c.kms.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &id, PolicyName: aws.String(keyPolicyName)})
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	pages := kms.NewListResourceTagsPaginator(c.kms, &kms.ListResourceTagsInput{KeyId: &id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, tag := range page.Tags {
			tags[aws.ToString(tag.TagKey)] = aws.ToString(tag.TagValue)
		}
	}
	k.ARN = aws.ToString(metadata.Arn)
	k.KeyID = aws.ToString(metadata.KeyId)
	k.Policy = keepSpelling(k.Policy, aws.ToString(policy.Policy), sameJSON)
	k.setTags(tags)
	return metadata, nil
}

// readKeyRotation tells whether KMS rotates the key, and how often. Only
// symmetric keys can be rotated.
func readKeyRotation(ctx context.Context, c *clients, id string, metadata *kmstypes.KeyMetadata) (bool, int, error) {
	if metadata.KeySpec != kmstypes.KeySpecSymmetricDefault {
		return false, 0, nil
	}
	status, err := c.kms.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: &id})
	if err != nil {
		return false, 0, err
	}
	return status.KeyRotationEnabled, int(aws.ToInt32(status.RotationPeriodInDays)), nil
}

func updateSharedKey(ctx context.Context, c *clients, id string, old, k *sharedKey) error {
	if k.Policy != "" && !sameJSON(old.Policy, k.Policy) {
		_, err := c.kms.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{
			BypassPolicyLockoutSafetyCheck: k.BypassPolicyLockoutSafetyCheck,
			KeyId:                          &id,
			Policy:                         &k.Policy,
			PolicyName:                     aws.String(keyPolicyName),
		})
		if err != nil {
			return err
		}
	}
	put, remove := tagChanges(old.Tags, k.Tags)
	if len(remove) > 0 {
		if _, err := c.kms.UntagResource(ctx, &kms.UntagResourceInput{KeyId: &id, TagKeys: remove}); err != nil {
			return err
		}
	}
	if len(put) > 0 {
		if _, err := c.kms.TagResource(ctx, &kms.TagResourceInput{KeyId: &id, Tags: tagList(put, kmsTag)}); err != nil {
			return err
		}
	}
	return nil
}

func updateKeyDescription(ctx context.Context, c *clients, id, old, description string) error {
	if old == description {
		return nil
	}
	_, err := c.kms.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: &id, Description: &description})
	return err
}

func setKeyRotation(ctx context.Context, c *clients, id string, old, k *key) error {
	switch {
	case k.EnableKeyRotation && (!old.EnableKeyRotation || old.RotationPeriodInDays != k.RotationPeriodInDays):
		input := &kms.EnableKeyRotationInput{KeyId: &id}
		if k.RotationPeriodInDays != 0 {
			input.RotationPeriodInDays = aws.Int32(int32(k.RotationPeriodInDays))
		}
		_, err := c.kms.EnableKeyRotation(ctx, input)
		return err
	case !k.EnableKeyRotation && old.EnableKeyRotation:
		_, err := c.kms.DisableKeyRotation(ctx, &kms.DisableKeyRotationInput{KeyId: &id})
		return err
	default:
		return nil
	}
}

func setKeyEnabled(ctx context.Context, c *clients, id string, old, enabled bool) error {
	var err error
	switch {
	case enabled && !old:
		_, err = c.kms.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &id})
	case !enabled && old:
		_, err = c.kms.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &id})
	}
	return err
}

func scheduleKeyDeletion(ctx context.Context, c *clients, id string, days int) error {
	_, err := c.kms.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{
		KeyId:               &id,
		PendingWindowInDays: aws.Int32(int32(days)),
	})
	if isError[*kmstypes.NotFoundException](err) || isError[*kmstypes.KMSInvalidStateException](err) && pendingDeletion(ctx, c, id) {
		return nil
	}
	return err
}

// pendingDeletion tells whether the key waits for its deletion already.
func pendingDeletion(ctx context.Context, c *clients, id string) bool {
	_, err := readSharedKey(ctx, c, id, &sharedKey{})
	return errors.Is(err, errNotFound)
}
