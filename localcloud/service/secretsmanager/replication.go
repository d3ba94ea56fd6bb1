package secretsmanager

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"github.com/aistudio/secrets/localcloud/api"
)

// replica is what a primary knows of one of its copies.
type replica struct {
	region    string
	kmsKeyID  string
	overwrite bool
	status    string
	message   string
}

const (
	inProgress = "InProgress"
	inSync     = "InSync"
	failed     = "Failed"
)

type replicaRegion struct {
	Region   *string
	KmsKeyId *string
}

type replicationStatus struct {
	KmsKeyId         string    `json:",omitempty"`
	LastAccessedDate *api.Time `json:",omitempty"`
	Region           string
	Status           string
	StatusMessage    string `json:",omitempty"`
}

var regionPattern = regexp.MustCompile(`^([a-z]+-)+\d+$`)

func (c *constraints) replicaRegions(regions []replicaRegion) {
	for _, r := range regions {
		c.required("addReplicaRegions.region", r.Region != nil)
		c.length("addReplicaRegions.region", r.Region, 1, 128)
		c.pattern("addReplicaRegions.region", r.Region, regionPattern)
		c.length("addReplicaRegions.kmsKeyId", r.KmsKeyId, 0, 2048)
	}
}

func (c conditions) addReplicaRegions(regions []replicaRegion) conditions {
	for _, r := range regions {
		if r.Region != nil {
			c["secretsmanager:AddReplicaRegions"] = append(c["secretsmanager:AddReplicaRegions"], *r.Region)
		}
	}
	return c
}

func (sec *secret) replicationStatus(s *Service) []replicationStatus {
	var list []replicationStatus
	for _, rep := range sec.replicas {
		st := replicationStatus{Region: rep.region, KmsKeyId: rep.kmsKeyID, Status: rep.status, StatusMessage: rep.message}
		if st.KmsKeyId == "" {
			st.KmsKeyId = defaultKey
		}
		if copied := s.copyOf(sec, rep); copied != nil {
			st.LastAccessedDate = api.NewTime(copied.accessed)
		}
		list = append(list, st)
	}
	return list
}

// copyOf returns the secret that a replica entry stands for, or nil.
func (s *Service) copyOf(primary *secret, rep *replica) *secret {
	sec := s.secrets[place{primary.account, rep.region}][primary.name]
	if sec == nil || sec.primaryRegion != primary.region || sec.suffix != primary.suffix {
		return nil
	}
	return sec
}

// replicaOf returns the entry in its primary of a secret that is a replica.
func (s *Service) replicaOf(sec *secret) *replica {
	if !sec.isReplica() {
		return nil
	}
	primary := s.secrets[place{sec.account, sec.primaryRegion}][sec.name]
	if primary == nil {
		return nil
	}
	for _, rep := range primary.replicas {
		if rep.region == sec.region && s.copyOf(primary, rep) == sec {
			return rep
		}
	}
	return nil
}

// addReplicas enters new copies; replicate makes them.
func (s *Service) addReplicas(r *api.Request, sec *secret, regions []replicaRegion, overwrite *bool) error {
	added := slices.Clone(sec.replicas)
	for _, want := range regions {
		if *want.Region == sec.region {
			return errParameter("Invalid replica region.")
		}
		rep := &replica{region: *want.Region, status: inProgress, overwrite: overwrite != nil && *overwrite}
		if want.KmsKeyId != nil {
			rep.kmsKeyID = customKey(*want.KmsKeyId)
		}
		i := slices.IndexFunc(added, func(x *replica) bool { return x.region == rep.region })
		switch {
		case i < 0:
			added = append(added, rep)
		case added[i].status == failed: // a further try
			added[i] = rep
		default:
			return errParameter("The secret is already replicated to the Region %s.", rep.region)
		}
	}
	if len(regions) > 0 {
		sec.replicas, sec.primaryRegion = added, sec.region
		sec.changed = r.Time
	}
	return nil
}

// replicate brings all copies up to date in the background, with the keys used
// in the name of the caller.
func (s *Service) replicate(caller api.Caller, sec *secret) {
	if len(sec.replicas) == 0 {
		return
	}
	s.env.Clock.Go(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, rep := range sec.replicas {
			s.bringUpToDate(caller, sec, rep)
		}
	})
}

// refresh brings the copies up to date with a change that Secrets Manager made
// by itself, which concerns no values.
func (s *Service) refresh(sec *secret) {
	for _, rep := range sec.replicas {
		if rep.status == inSync {
			s.bringUpToDate(s.asService(sec), sec, rep)
		}
	}
}

func (s *Service) bringUpToDate(caller api.Caller, sec *secret, rep *replica) {
	if err := s.sync(context.Background(), caller, sec, rep); err != nil {
		rep.status, rep.message = failed, err.Error()
		return
	}
	rep.status, rep.message = inSync, ""
}

func (s *Service) sync(ctx context.Context, caller api.Caller, primary *secret, rep *replica) error {
	copied := s.copyOf(primary, rep)
	if copied == nil {
		where := place{primary.account, rep.region}
		if other := s.secrets[where][primary.name]; other != nil {
			if !rep.overwrite || other.isReplica() || len(other.replicas) > 0 {
				return fmt.Errorf("Replication failed: Secret name already exists in region %s", rep.region)
			}
			s.drop(other)
		}
		copied = &secret{
			place: where, name: primary.name, suffix: primary.suffix, created: primary.created,
			kmsKeyID: rep.kmsKeyID, primaryRegion: primary.region,
		}
	}
	versions := make([]*version, 0, len(primary.versions))
	for _, v := range primary.versions {
		if v.isTest() {
			continue
		}
		w := &version{id: v.id, created: v.created}
		if earlier := copied.version(v.id); earlier != nil {
			*w = *earlier // what fails on a later version leaves the replica as it was
		}
		if w.ciphertext == nil && v.ciphertext != nil {
			val, err := s.unseal(ctx, caller, primary, v)
			if err != nil {
				return err
			}
			if err := s.seal(ctx, caller, copied, w, val); err != nil {
				return err
			}
		}
		w.stages = slices.Clone(v.stages)
		versions = append(versions, w)
	}
	copied.versions = versions
	copied.copyMetadata(primary)
	s.store(copied)
	return nil
}

func (sec *secret) copyMetadata(primary *secret) {
	sec.description = primary.description
	sec.tags = slices.Clone(primary.tags)
	sec.policy = primary.policy
	sec.changed, sec.rotated = primary.changed, primary.rotated
	sec.rotation = rotation{
		configured: primary.rotation.configured, enabled: primary.rotation.enabled,
		functionARN: primary.rotation.functionARN, rules: primary.rotation.rules, nextDate: primary.rotation.nextDate,
	}
}

type replicateInput struct {
	SecretId                    *string
	AddReplicaRegions           []replicaRegion
	ForceOverwriteReplicaSecret *bool
}

type replicationOutput struct {
	ARN               string
	ReplicationStatus []replicationStatus `json:",omitempty"`
}

func (s *Service) replicateSecretToRegions(ctx context.Context, r *api.Request, in *replicateInput) (*replicationOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := conditions{}.addReplicaRegions(in.AddReplicaRegions).
		setBool("secretsmanager:ForceOverwriteReplicaSecret", in.ForceOverwriteReplicaSecret)
	sec, err := s.openPrimary(ctx, r, "ReplicateSecretToRegions", in.SecretId, keys)
	if err != nil {
		return nil, err
	}
	var c constraints
	c.required("addReplicaRegions", in.AddReplicaRegions != nil)
	if in.AddReplicaRegions != nil {
		c.size("addReplicaRegions", "", len(in.AddReplicaRegions), 1, len(in.AddReplicaRegions)+1)
	}
	c.replicaRegions(in.AddReplicaRegions)
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := s.addReplicas(r, sec, in.AddReplicaRegions, in.ForceOverwriteReplicaSecret); err != nil {
		return nil, err
	}
	s.replicate(r.Caller, sec)
	out := &replicationOutput{ARN: sec.arn(), ReplicationStatus: sec.replicationStatus(s)}
	r.TrailResponse = map[string]any{"arn": out.ARN}
	return out, nil
}

type removeRegionsInput struct {
	SecretId             *string
	RemoveReplicaRegions []string
}

func (s *Service) removeRegionsFromReplication(ctx context.Context, r *api.Request, in *removeRegionsInput) (*replicationOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.openPrimary(ctx, r, "RemoveRegionsFromReplication", in.SecretId, nil)
	if err != nil {
		return nil, err
	}
	var c constraints
	c.required("removeReplicaRegions", in.RemoveReplicaRegions != nil)
	if in.RemoveReplicaRegions != nil {
		c.size("removeReplicaRegions", "", len(in.RemoveReplicaRegions), 1, len(in.RemoveReplicaRegions)+1)
	}
	for _, region := range in.RemoveReplicaRegions {
		c.pattern("removeReplicaRegions", &region, regionPattern)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	for _, region := range in.RemoveReplicaRegions {
		if !slices.Contains(sec.regions(), region) {
			return nil, errParameter("The secret has no replica in the Region %s.", region)
		}
	}
	for _, region := range in.RemoveReplicaRegions {
		i := slices.IndexFunc(sec.replicas, func(x *replica) bool { return x.region == region })
		if i < 0 { // named twice
			continue
		}
		if copied := s.copyOf(sec, sec.replicas[i]); copied != nil {
			s.drop(copied)
		}
		sec.replicas = slices.Delete(sec.replicas, i, i+1)
	}
	if len(sec.replicas) == 0 {
		sec.primaryRegion = ""
	}
	sec.changed = r.Time
	out := &replicationOutput{ARN: sec.arn(), ReplicationStatus: sec.replicationStatus(s)}
	r.TrailResponse = map[string]any{"arn": out.ARN}
	return out, nil
}

type arnOutput struct{ ARN string }

// stopReplicationToReplica makes a replica a secret of its own. Its rotation
// has to be set up anew.
func (s *Service) stopReplicationToReplica(ctx context.Context, r *api.Request, in *idInput) (*arnOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.open(ctx, r, "StopReplicationToReplica", in.SecretId, nil)
	if err != nil {
		return nil, err
	}
	if !sec.isReplica() {
		return nil, errParameter("Operation not permitted on a primary secret. Call must be made in the replica secret's region.")
	}
	if primary := s.secrets[place{sec.account, sec.primaryRegion}][sec.name]; primary != nil {
		primary.replicas = slices.DeleteFunc(primary.replicas, func(x *replica) bool { return s.copyOf(primary, x) == sec })
		if len(primary.replicas) == 0 {
			primary.primaryRegion = ""
		}
	}
	sec.primaryRegion = ""
	sec.rotation = rotation{}
	sec.changed = r.Time
	r.TrailResponse = map[string]any{"arn": sec.arn()}
	return &arnOutput{ARN: sec.arn()}, nil
}
