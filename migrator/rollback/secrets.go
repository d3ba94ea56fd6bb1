package rollback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/aistudio/secrets/migrator/apply/refusal"
	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/sdk/spec"
)

type secretsAPI interface {
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	RemoveRegionsFromReplication(context.Context, *secretsmanager.RemoveRegionsFromReplicationInput, ...func(*secretsmanager.Options)) (*secretsmanager.RemoveRegionsFromReplicationOutput, error)
	DeleteSecret(context.Context, *secretsmanager.DeleteSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DeleteSecretOutput, error)
}

const (
	current = "AWSCURRENT"
	pending = "AWSPENDING"
)

// unrotated tells whether the secret's current version is still the one that the
// migration wrote or found, and no rotation is under way: its second step changes
// the password, and its fourth the version (Secrets Manager user guide, "Rotation
// by Lambda function"). A secret that is gone can't have been rotated.
func (r *run) unrotated(ctx context.Context, name string) error {
	out, err := r.describe(ctx, name)
	if err != nil || out == nil {
		return err
	}
	known := r.known.Secret(name)
	now := labelled(out, current)
	if next := labelled(out, pending); next != "" && next != now {
		return fmt.Errorf("secret %s: a rotation of it is under way, or failed halfway, so the old value may be of no use already: wait until it is done; or, if what the secret is for still takes the old value, run aws secretsmanager update-secret-version-stage --secret-id %s --version-stage %s --remove-from-version-id %s and roll back again", name, name, pending, next)
	}
	if now == known.Version || now == "" {
		return nil
	}
	when := ""
	if out.LastChangedDate != nil {
		when = " on " + out.LastChangedDate.UTC().Format(time.RFC3339)
	}
	return fmt.Errorf("secret %s was rotated or changed%s since the migration wrote it, so the old value may be of no use: leave the service at the secret; or, if what the secret is for still takes the old value, run aws secretsmanager update-secret-version-stage --secret-id %s --version-stage %s --move-to-version-id %s --remove-from-version-id %s and roll back again", name, when, name, current, known.Version, now)
}

// describe returns nil if there is no secret of the name.
func (r *run) describe(ctx context.Context, name string) (*secretsmanager.DescribeSecretOutput, error) {
	out, err := r.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name})
	if missing := (&types.ResourceNotFoundException{}); errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", name, refusal.Of(err))
	}
	return out, nil
}

// labelled is the version with the label, or "".
func labelled(s *secretsmanager.DescribeSecretOutput, label string) string {
	for version, stages := range s.VersionIdsToStages {
		if slices.Contains(stages, label) {
			return version
		}
	}
	return ""
}

// field reads a secret's value as the migration wrote it, or a field of it.
func (r *run) field(ctx context.Context, name, field string) (spec.Value, error) {
	version := r.known.Secret(name).Version
	out, err := r.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name, VersionId: &version})
	if err != nil {
		return spec.Value{}, fmt.Errorf("read secret %s, which has the only copy of the old value: %w", name, refusal.Of(err))
	}
	text := out.SecretBinary
	if out.SecretString != nil {
		text = []byte(*out.SecretString)
	}
	defer clear(text)
	if field == "" {
		return spec.NewValue(text), nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(text, &object) != nil { // whose error would quote it
		return spec.Value{}, fmt.Errorf("secret %s is no JSON object", name)
	}
	var value string
	if raw := object[field]; json.Unmarshal(raw, &value) != nil {
		value = string(raw) // a number
	}
	return spec.ValueString(value), nil
}

// deletable are the secrets whose deletion is asked for: those that the migration
// made.
func (r *run) deletable() []journal.Secret {
	var list []journal.Secret
	if r.DeleteAfter == 0 {
		return nil
	}
	for _, s := range r.known.Secrets {
		if s.Made && (s.Status == journal.Written || s.Status == journal.Deleting) {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b journal.Secret) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// remove schedules a secret for deletion, its replicas first: AWS refuses to
// delete a secret that has any.
func (r *run) remove(ctx context.Context, s journal.Secret) (steps.Outcome, string, error) {
	if other := r.using(func(x journal.Service) bool { return slices.Contains(secretsOf(x), s.Name) }); other != "" {
		return steps.Already, "kept: " + other + " uses it", nil
	}
	found, err := r.describe(ctx, s.Name)
	if err != nil {
		return "", "", err
	}
	deleted := found == nil || found.DeletedDate != nil
	if !deleted && labelled(found, current) != s.Version {
		return "", "", errors.New("it was rotated or changed since the migration wrote it, so somebody uses it: delete it by hand if nobody does")
	}
	if r.DryRun {
		return steps.Would, fmt.Sprintf("scheduled for deletion in %d days", r.DeleteAfter), nil
	}
	s.Status = journal.Deleting
	if err := r.record(journal.Entry{Secret: &s}); err != nil {
		return "", "", err
	}
	if !deleted {
		if err := r.delete(ctx, found); err != nil {
			return "", "", err
		}
	}
	s.Status = journal.Deleted
	return steps.Done, fmt.Sprintf("scheduled for deletion in %d days: until then aws secretsmanager restore-secret --secret-id %s brings it back", r.DeleteAfter, s.Name), r.record(journal.Entry{Secret: &s})
}

func (r *run) delete(ctx context.Context, s *secretsmanager.DescribeSecretOutput) error {
	var regions []string
	for _, replica := range s.ReplicationStatus {
		regions = append(regions, aws.ToString(replica.Region))
	}
	if len(regions) > 0 {
		if _, err := r.secrets.RemoveRegionsFromReplication(ctx, &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: s.Name, RemoveReplicaRegions: regions}); err != nil {
			return fmt.Errorf("remove its replicas in %s: %w", strings.Join(regions, ", "), refusal.Of(err))
		}
	}
	if _, err := r.secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: s.Name, RecoveryWindowInDays: aws.Int64(int64(r.DeleteAfter))}); err != nil {
		return fmt.Errorf("schedule it for deletion: %w", refusal.Of(err))
	}
	return nil
}
