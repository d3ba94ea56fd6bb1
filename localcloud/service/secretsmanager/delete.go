package secretsmanager

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

type deleteInput struct {
	SecretId                   *string
	RecoveryWindowInDays       *int64
	ForceDeleteWithoutRecovery *bool
}

type deleteOutput struct {
	ARN          string
	Name         string
	DeletionDate api.Time
}

const (
	defaultRecoveryDays = 30
	minRecoveryDays     = 7
	maxRecoveryDays     = 30
)

func (s *Service) deleteSecret(ctx context.Context, r *api.Request, in *deleteInput) (*deleteOutput, error) {
	if err := requireID(in.SecretId); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	force := in.ForceDeleteWithoutRecovery != nil && *in.ForceDeleteWithoutRecovery
	days := int64(defaultRecoveryDays)
	if in.RecoveryWindowInDays != nil {
		days = *in.RecoveryWindowInDays
	}
	keys := conditions{}.setBool("secretsmanager:ForceDeleteWithoutRecovery", in.ForceDeleteWithoutRecovery)
	if !force {
		keys["secretsmanager:RecoveryWindowInDays"] = []string{decimal(days)}
	}
	sec := s.lookup(r, *in.SecretId)
	if err := s.allow(ctx, r, "DeleteSecret", sec, *in.SecretId, keys); err != nil {
		return nil, err
	}
	if force && in.RecoveryWindowInDays != nil {
		return nil, errParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	}
	if days < minRecoveryDays || days > maxRecoveryDays {
		return nil, errParameter("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
	}
	if sec == nil {
		return s.deleteNothing(r, *in.SecretId, force)
	}
	r.TrailResources = []string{sec.arn()}
	if sec.isReplica() {
		return nil, errReplica()
	}
	if len(sec.replicas) > 0 {
		return nil, errParameter("You can't delete secret %s that still has replica regions [%s].", sec.arn(), strings.Join(sec.regions(), ", "))
	}
	if !sec.deletion.IsZero() && !force {
		return nil, errDeleted()
	}
	out := &deleteOutput{ARN: sec.arn(), Name: sec.name}
	if force {
		out.DeletionDate = api.Time{Time: r.Time}
		s.drop(sec)
	} else {
		s.schedule(sec, r.Time.Add(time.Duration(days)*24*time.Hour))
		sec.changed = r.Time
		out.DeletionDate = api.Time{Time: sec.deletion}
	}
	r.TrailResponse = map[string]any{"arn": out.ARN, "name": out.Name, "deletionDate": out.DeletionDate.Format(time.RFC3339)}
	return out, nil
}

// deleteNothing: a forced deletion of a secret that isn't there succeeds.
func (s *Service) deleteNothing(r *api.Request, id string, force bool) (*deleteOutput, error) {
	if !force {
		return nil, errNoSecret()
	}
	ref := parseReference(r, id)
	name := ref.name
	arn := api.ARN("secretsmanager", ref.region, ref.account, "secret:"+name)
	if ref.suffix != "" {
		arn += "-" + ref.suffix
	}
	return &deleteOutput{ARN: arn, Name: name, DeletionDate: api.Time{Time: r.Time}}, nil
}

// schedule lets the secret be gone at a time, with its rotation at rest until
// then.
func (s *Service) schedule(sec *secret, at time.Time) {
	sec.deletion = at
	sec.rotation.stop()
	sec.reaper = s.env.Clock.AtFunc(at, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if sec.deletion.Equal(at) {
			s.drop(sec)
		}
	})
}

func (s *Service) restoreSecret(ctx context.Context, r *api.Request, in *idInput) (*nameOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.open(ctx, r, "RestoreSecret", in.SecretId, nil)
	if err != nil {
		return nil, err
	}
	if sec.isReplica() {
		return nil, errReplica()
	}
	if !sec.deletion.IsZero() {
		sec.reaper.Stop()
		sec.deletion, sec.changed = time.Time{}, r.Time
		s.arm(sec)
	}
	out := &nameOutput{ARN: sec.arn(), Name: sec.name}
	r.TrailResponse = map[string]any{"arn": out.ARN, "name": out.Name}
	return out, nil
}

func (sec *secret) regions() []string {
	var regions []string
	for _, r := range sec.replicas {
		regions = append(regions, r.region)
	}
	slices.Sort(regions)
	return regions
}
