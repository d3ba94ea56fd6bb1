package handlers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// noPolicy is how a program asks for a secret without a resource policy.
const noPolicy = "{}"

// secret is a secret without a value: its value never goes through Pulumi.
// RecoveryWindowInDays is 7 to 30 days, or 0 to delete at once.
type secret struct {
	ARN                         string          `json:"arn" prop:"out"`
	Description                 string          `json:"description" prop:"in"`
	ForceOverwriteReplicaSecret bool            `json:"forceOverwriteReplicaSecret" prop:"in,writeonly,default=false"`
	KMSKeyID                    string          `json:"kmsKeyId,omitempty" prop:"in"`
	Name                        string          `json:"name" prop:"in,replace,auto=512"`
	NamePrefix                  string          `json:"namePrefix,omitempty" prop:"in,replace,writeonly"`
	Policy                      string          `json:"policy,omitempty" prop:"in,out,json"`
	RecoveryWindowInDays        int             `json:"recoveryWindowInDays" prop:"in,writeonly,default=30"`
	Replicas                    []secretReplica `json:"replicas" prop:"in,out,set"`
	tagged
}

type secretReplica struct {
	KMSKeyID         string `json:"kmsKeyId,omitempty" prop:"in,out"`
	LastAccessedDate string `json:"lastAccessedDate,omitempty" prop:"out"`
	Region           string `json:"region" prop:"in,required,key"`
	Status           string `json:"status,omitempty" prop:"out"`
	StatusMessage    string `json:"statusMessage,omitempty" prop:"out"`
}

func secretKind() resourceType {
	return kind[secret]{
		token:  "aws:secretsmanager/secret:Secret",
		check:  checkSecret,
		create: createSecret,
		read:   readSecret,
		update: updateSecret,
		remove: removeSecret,
	}
}

func checkSecret(s *secret) error {
	if days := s.RecoveryWindowInDays; days != 0 && (days < 7 || days > 30) {
		return fmt.Errorf("recoveryWindowInDays is %d; Secrets Manager takes 7 to 30, or 0 to delete at once", days)
	}
	return nil
}

func secretTag(key, value string) smtypes.Tag {
	return smtypes.Tag{Key: &key, Value: &value}
}

func (r secretReplica) request() smtypes.ReplicaRegionType {
	return smtypes.ReplicaRegionType{Region: aws.String(r.Region), KmsKeyId: optional(r.KMSKeyID)}
}

func createSecret(ctx context.Context, c *clients, s *secret) (string, error) {
	name, err := nameOrPrefix(s.Name, s.NamePrefix)
	if err != nil {
		return "", err
	}
	input := &secretsmanager.CreateSecretInput{
		Description:                 aws.String(s.Description),
		ForceOverwriteReplicaSecret: s.ForceOverwriteReplicaSecret,
		KmsKeyId:                    optional(s.KMSKeyID),
		Name:                        &name,
		Tags:                        tagList(s.Tags, secretTag),
	}
	for _, replica := range s.Replicas {
		input.AddReplicaRegions = append(input.AddReplicaRegions, replica.request())
	}
	created, err := c.secrets.CreateSecret(ctx, input)
	if err != nil {
		if isError[*smtypes.InvalidRequestException](err) && strings.Contains(err.Error(), "scheduled for deletion") {
			return "", fmt.Errorf("the name %q belongs to a secret whose recovery window isn't over; restore that secret and import it, or choose another name: %w", name, err)
		}
		return "", err
	}
	id := aws.ToString(created.ARN)
	return id, putSecretPolicy(ctx, c, id, s.Policy)
}

func readSecret(ctx context.Context, c *clients, id string, s *secret) error {
	described, err := describeSecret(ctx, c, id)
	if err != nil {
		return err
	}
	policy, err := c.secrets.GetResourcePolicy(ctx, &secretsmanager.GetResourcePolicyInput{SecretId: &id})
	if err != nil {
		return gone[*smtypes.ResourceNotFoundException](err)
	}
	s.ARN = aws.ToString(described.ARN)
	s.Description = aws.ToString(described.Description)
	s.KMSKeyID = keepSpelling(s.KMSKeyID, aws.ToString(described.KmsKeyId), sameKey)
	s.Name = aws.ToString(described.Name)
	if s.Policy != noPolicy || policy.ResourcePolicy != nil {
		s.Policy = keepSpelling(s.Policy, aws.ToString(policy.ResourcePolicy), sameJSON)
	}
	before := s.Replicas
	s.Replicas = make([]secretReplica, 0, len(described.ReplicationStatus))
	for _, status := range described.ReplicationStatus {
		replica := secretReplica{
			KMSKeyID:      aws.ToString(status.KmsKeyId),
			Region:        aws.ToString(status.Region),
			Status:        string(status.Status),
			StatusMessage: aws.ToString(status.StatusMessage),
		}
		if known := findReplica(before, replica.Region); known != nil {
			replica.KMSKeyID = keepSpelling(known.KMSKeyID, replica.KMSKeyID, sameKey)
		}
		if status.LastAccessedDate != nil {
			replica.LastAccessedDate = status.LastAccessedDate.UTC().Format(time.RFC3339)
		}
		s.Replicas = append(s.Replicas, replica)
	}
	slices.SortFunc(s.Replicas, func(a, b secretReplica) int { return strings.Compare(a.Region, b.Region) })
	s.setTags(tagMap(described.Tags, func(t smtypes.Tag) (*string, *string) { return t.Key, t.Value }))
	return nil
}

func updateSecret(ctx context.Context, c *clients, id string, old, s *secret) error {
	if old.Description != s.Description || old.KMSKeyID != s.KMSKeyID {
		// An empty key ID asks for the AWS managed key.
		_, err := c.secrets.UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{
			Description: aws.String(s.Description),
			KmsKeyId:    aws.String(s.KMSKeyID),
			SecretId:    &id,
		})
		if err != nil {
			return err
		}
	}
	if !sameJSON(old.Policy, s.Policy) {
		if err := putSecretPolicy(ctx, c, id, s.Policy); err != nil {
			return err
		}
	}
	if err := updateReplicas(ctx, c, id, old, s); err != nil {
		return err
	}
	put, remove := tagChanges(old.Tags, s.Tags)
	if len(remove) > 0 {
		if _, err := c.secrets.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: &id, TagKeys: remove}); err != nil {
			return err
		}
	}
	if len(put) > 0 {
		if _, err := c.secrets.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: &id, Tags: tagList(put, secretTag)}); err != nil {
			return err
		}
	}
	return nil
}

// updateReplicas removes and adds replicas. A replica's key can't be changed:
// the replica is made again.
func updateReplicas(ctx context.Context, c *clients, id string, old, s *secret) error {
	changed := func(replica secretReplica, others []secretReplica) bool {
		other := findReplica(others, replica.Region)
		return other == nil || other.KMSKeyID != replica.KMSKeyID && other.KMSKeyID != "" && replica.KMSKeyID != ""
	}
	var remove []string
	for _, replica := range old.Replicas {
		if changed(replica, s.Replicas) {
			remove = append(remove, replica.Region)
		}
	}
	if err := removeReplicas(ctx, c, id, remove); err != nil {
		return err
	}
	var add []smtypes.ReplicaRegionType
	for _, replica := range s.Replicas {
		if changed(replica, old.Replicas) {
			add = append(add, replica.request())
		}
	}
	if len(add) == 0 {
		return nil
	}
	_, err := c.secrets.ReplicateSecretToRegions(ctx, &secretsmanager.ReplicateSecretToRegionsInput{
		AddReplicaRegions:           add,
		ForceOverwriteReplicaSecret: s.ForceOverwriteReplicaSecret,
		SecretId:                    &id,
	})
	return err
}

func removeReplicas(ctx context.Context, c *clients, id string, regions []string) error {
	if len(regions) == 0 {
		return nil
	}
	_, err := c.secrets.RemoveRegionsFromReplication(ctx, &secretsmanager.RemoveRegionsFromReplicationInput{
		RemoveReplicaRegions: regions,
		SecretId:             &id,
	})
	if err != nil {
		return err
	}
	return wait(ctx, "the replicas to be removed", func() (bool, error) {
		described, err := describeSecret(ctx, c, id)
		if err != nil {
			return false, err
		}
		return !slices.ContainsFunc(described.ReplicationStatus, func(status smtypes.ReplicationStatusType) bool {
			return slices.Contains(regions, aws.ToString(status.Region))
		}), nil
	})
}

func findReplica(replicas []secretReplica, region string) *secretReplica {
	for i := range replicas {
		if replicas[i].Region == region {
			return &replicas[i]
		}
	}
	return nil
}

// removeSecret removes the replicas, which AWS wants gone first, and then the
// secret. What AWS has counts, not what the state remembers.
func removeSecret(ctx context.Context, c *clients, id string, s *secret) error {
	described, err := describeSecret(ctx, c, id)
	if errors.Is(err, errNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var regions []string
	for _, status := range described.ReplicationStatus {
		regions = append(regions, aws.ToString(status.Region))
	}
	if err := removeReplicas(ctx, c, id, regions); err != nil {
		return err
	}
	input := &secretsmanager.DeleteSecretInput{SecretId: &id}
	if s.RecoveryWindowInDays == 0 {
		input.ForceDeleteWithoutRecovery = aws.Bool(true)
	} else {
		input.RecoveryWindowInDays = aws.Int64(int64(s.RecoveryWindowInDays))
	}
	_, err = c.secrets.DeleteSecret(ctx, input)
	return unlessGone[*smtypes.ResourceNotFoundException](err)
}

// describeSecret returns errNotFound also for a secret in its recovery window.
func describeSecret(ctx context.Context, c *clients, id string) (*secretsmanager.DescribeSecretOutput, error) {
	described, err := c.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil {
		return nil, gone[*smtypes.ResourceNotFoundException](err)
	}
	if described.DeletedDate != nil {
		return nil, errNotFound
	}
	return described, nil
}

// putSecretPolicy sets the resource policy. An empty text leaves it alone, since
// a SecretPolicy may own it; noPolicy deletes it.
func putSecretPolicy(ctx context.Context, c *clients, id, policy string) error {
	var err error
	switch {
	case policy == "":
	case sameJSON(policy, noPolicy):
		_, err = c.secrets.DeleteResourcePolicy(ctx, &secretsmanager.DeleteResourcePolicyInput{SecretId: &id})
	default:
		_, err = c.secrets.PutResourcePolicy(ctx, &secretsmanager.PutResourcePolicyInput{ResourcePolicy: &policy, SecretId: &id})
	}
	return err
}
