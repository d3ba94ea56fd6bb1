package secretsmanager

import (
	"context"
	"maps"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

// conditions are condition keys of a request with their values.
type conditions map[string][]string

func (c conditions) set(key string, value *string) conditions {
	if value != nil {
		c[key] = []string{*value}
	}
	return c
}

func (c conditions) setBool(key string, value *bool) conditions {
	if value != nil {
		c[key] = []string{boolText(*value)}
	}
	return c
}

// kmsKey adds the keys that say which KMS key a request names. The ARN of one
// that is named otherwise is left out.
func (c conditions) kmsKey(id *string) conditions {
	c.set("secretsmanager:KmsKeyId", id)
	if id != nil && strings.HasPrefix(*id, "arn:") {
		c.set("secretsmanager:KmsKeyArn", id)
	}
	return c
}

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// requestTags adds the keys that say which tags a request sets.
func (c conditions) requestTags(tags []tag) conditions {
	if len(tags) == 0 {
		return c
	}
	for _, t := range tags {
		c["aws:RequestTag/"+t.Key] = []string{t.Value}
		c["aws:TagKeys"] = append(c["aws:TagKeys"], t.Key)
	}
	return c
}

// open finds a secret and asks IAM about it. Whoever may not do the action does
// not learn whether the secret exists. The caller holds the lock.
func (s *Service) open(ctx context.Context, r *api.Request, action string, id *string, more conditions) (*secret, error) {
	if err := requireID(id); err != nil {
		return nil, err
	}
	sec := s.lookup(r, *id)
	if err := s.allow(ctx, r, action, sec, *id, more); err != nil {
		return nil, err
	}
	if sec == nil {
		return nil, errNoSecret()
	}
	r.TrailResources = append(r.TrailResources, sec.arn())
	return sec, nil
}

// openPrimary is open for what can only be done to a secret that is neither a
// replica nor scheduled for deletion.
func (s *Service) openPrimary(ctx context.Context, r *api.Request, action string, id *string, more conditions) (*secret, error) {
	sec, err := s.open(ctx, r, action, id, more)
	if err != nil {
		return nil, err
	}
	if sec.isReplica() {
		return nil, errReplica()
	}
	if !sec.deletion.IsZero() {
		return nil, errDeleted()
	}
	return sec, nil
}

// allow asks IAM about an action on a secret, or on the one that id would name.
// The condition keys are those of the service authorization reference.
func (s *Service) allow(ctx context.Context, r *api.Request, action string, sec *secret, id string, more conditions) error {
	check := api.Check{
		Action:  "secretsmanager:" + action,
		Context: conditions{"secretsmanager:SecretId": {id}},
	}
	if sec != nil {
		check.Resource = sec.arn()
		check.ResourcePolicy = sec.policy
		for _, t := range sec.tags {
			check.Context["aws:ResourceTag/"+t.Key] = []string{t.Value}
			check.Context["secretsmanager:ResourceTag/"+t.Key] = []string{t.Value}
		}
		if sec.rotation.functionARN != "" {
			check.Context["secretsmanager:resource/AllowRotationLambdaArn"] = []string{sec.rotation.functionARN}
		}
		if sec.primaryRegion != "" {
			check.Context["secretsmanager:SecretPrimaryRegion"] = []string{sec.primaryRegion}
		}
	} else {
		ref := parseReference(r, id)
		name := ref.name
		if ref.suffix != "" {
			name += "-" + ref.suffix
		}
		check.Resource = api.ARN("secretsmanager", ref.region, ref.account, "secret:"+name)
	}
	maps.Copy(check.Context, more)
	return r.Authorize(ctx, check)
}
