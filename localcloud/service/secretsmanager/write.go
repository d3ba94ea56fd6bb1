package secretsmanager

import (
	"context"
	"regexp"
	"slices"

	"github.com/aistudio/secrets/localcloud/api"
)

type putInput struct {
	SecretId           *string
	ClientRequestToken *string
	SecretBinary       []byte
	SecretString       *string
	VersionStages      []string
	RotationToken      *string
}

type putOutput struct {
	ARN           string
	Name          string
	VersionId     string
	VersionStages []string `json:",omitempty"`
}

var rotationTokenPattern = regexp.MustCompile(`^[a-zA-Z0-9\-]+$`)

func (in *putInput) validate() error {
	var c constraints
	if in.VersionStages != nil {
		c.size("versionStages", "", len(in.VersionStages), 1, maxStages)
	}
	for _, stage := range in.VersionStages {
		c.length("versionStages", &stage, 1, 256)
	}
	if in.RotationToken != nil {
		c.size("rotationToken", "", len(*in.RotationToken), 36, 256)
		if !rotationTokenPattern.MatchString(*in.RotationToken) {
			c.fail("rotationToken", "", "Member must satisfy regular expression pattern: "+rotationTokenPattern.String())
		}
	}
	return c.err()
}

func (s *Service) putSecretValue(ctx context.Context, r *api.Request, in *putInput) (*putOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := conditions{}
	if len(in.VersionStages) > 0 {
		keys["secretsmanager:VersionStage"] = in.VersionStages
	}
	sec, err := s.openPrimary(ctx, r, "PutSecretValue", in.SecretId, keys)
	if err != nil {
		return nil, err
	}
	if err := in.validate(); err != nil {
		return nil, err
	}
	val, err := valueOf(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	if val == nil {
		return nil, errRequest("You must provide either SecretString or SecretBinary.")
	}
	token, err := requestToken(in.ClientRequestToken, true)
	if err != nil {
		return nil, err
	}
	if err := sec.rotation.checkToken(in.RotationToken); err != nil {
		return nil, err
	}
	v := sec.version(token)
	if v != nil && v.ciphertext != nil {
		before, err := s.unseal(ctx, r.Caller, sec, v)
		if err != nil {
			return nil, err
		}
		if !before.equal(val) {
			return nil, errTokenInUse(token, sec)
		}
		return putReply(sec, v), nil
	}
	if v, err = s.addVersion(ctx, r, sec, token, val, in.VersionStages); err != nil {
		return nil, err
	}
	out := putReply(sec, v)
	r.TrailResponse = map[string]any{"arn": out.ARN, "name": out.Name, "versionId": out.VersionId, "versionStages": out.VersionStages}
	return out, nil
}

func putReply(sec *secret, v *version) *putOutput {
	return &putOutput{ARN: sec.arn(), Name: sec.name, VersionId: v.id, VersionStages: slices.Clone(v.stages)}
}

func errTokenInUse(token string, sec *secret) error {
	return api.Errorf("ResourceExistsException",
		"You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", token, sec.arn())
}

// addVersion gives the secret a new value under a token that has none yet: that
// of a new version, or of the one that a rotation is waiting for. No stages
// means AWSCURRENT, which a secret's first version gets in any case.
func (s *Service) addVersion(ctx context.Context, r *api.Request, sec *secret, token string, val *value, stages []string) (*version, error) {
	if len(stages) == 0 {
		stages = []string{current}
	}
	if sec.staged(current) == nil && !slices.Contains(stages, current) {
		stages = append(slices.Clone(stages), current)
	}
	v := sec.version(token)
	if v == nil {
		if err := sec.room(r.Time, stages); err != nil {
			return nil, err
		}
		v = &version{id: token, created: r.Time}
	}
	if err := s.seal(ctx, r.Caller, sec, v, val); err != nil {
		return nil, err
	}
	if sec.version(token) == nil {
		sec.versions = append(sec.versions, v)
	}
	for _, stage := range stages {
		sec.move(stage, v)
	}
	sec.changed = r.Time
	if slices.Contains(stages, current) {
		s.changedByHand(ctx, r, sec, v)
	}
	s.replicate(r.Caller, sec)
	return v, nil
}

type updateInput struct {
	SecretId           *string
	ClientRequestToken *string
	Description        *string
	KmsKeyId           *string
	SecretBinary       []byte
	SecretString       *string
}

type updateOutput struct {
	ARN       string
	Name      string
	VersionId string `json:",omitempty"`
}

func (in *updateInput) validate() error {
	var c constraints
	c.length("description", in.Description, 0, 2048)
	c.length("kmsKeyId", in.KmsKeyId, 0, 2048)
	return c.err()
}

func (s *Service) updateSecret(ctx context.Context, r *api.Request, in *updateInput) (*updateOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := conditions{}.
		set("secretsmanager:Description", in.Description).
		kmsKey(in.KmsKeyId)
	sec, err := s.open(ctx, r, "UpdateSecret", in.SecretId, keys)
	if err != nil {
		return nil, err
	}
	if err := in.validate(); err != nil {
		return nil, err
	}
	val, err := valueOf(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	// A replica's key is the one thing about it that is its own.
	onlyKey := in.KmsKeyId != nil && in.Description == nil && val == nil
	if sec.isReplica() && !onlyKey {
		return nil, errReplica()
	}
	if !sec.deletion.IsZero() {
		return nil, errDeleted()
	}
	token, err := requestToken(in.ClientRequestToken, val != nil)
	if err != nil {
		return nil, err
	}
	if v := sec.version(token); val != nil && v != nil && v.ciphertext != nil {
		return nil, errTokenInUse(token, sec)
	}
	out := &updateOutput{ARN: sec.arn(), Name: sec.name}
	if in.KmsKeyId != nil {
		if err := s.changeKey(ctx, r, sec, customKey(*in.KmsKeyId)); err != nil {
			return nil, err
		}
	}
	if val != nil {
		v, err := s.addVersion(ctx, r, sec, token, val, nil)
		if err != nil {
			return nil, err
		}
		out.VersionId = v.id
	}
	if in.Description != nil {
		sec.description = *in.Description
	}
	sec.changed = r.Time
	s.replicate(r.Caller, sec)
	r.TrailResponse = map[string]any{"arn": out.ARN, "name": out.Name, "versionId": out.VersionId}
	return out, nil
}

// changeKey encrypts the versions with one of AWS's own labels again, as the
// documentation of UpdateSecret says. Without the right to use the new key they
// stay as they are and only new versions use it.
func (s *Service) changeKey(ctx context.Context, r *api.Request, sec *secret, keyID string) error {
	before := sec.kmsKeyID
	sec.kmsKeyID = keyID
	if replica := s.replicaOf(sec); replica != nil {
		replica.kmsKeyID = keyID
	}
	if before == keyID {
		return nil
	}
	for _, v := range sec.versions {
		if v.ciphertext == nil || !(v.has(current) || v.has(previous) || v.has(pending)) {
			continue
		}
		val, err := s.unseal(ctx, r.Caller, sec, v)
		if err != nil {
			sec.kmsKeyID = before
			return err
		}
		if err := s.seal(ctx, r.Caller, sec, v, val); err != nil && !isDenied(err) {
			sec.kmsKeyID = before
			return err
		}
	}
	return nil
}

type stageInput struct {
	SecretId            *string
	VersionStage        *string
	RemoveFromVersionId *string
	MoveToVersionId     *string
}

type nameOutput struct {
	ARN  string
	Name string
}

func (in *stageInput) validate() error {
	var c constraints
	c.required("versionStage", in.VersionStage != nil)
	c.length("versionStage", in.VersionStage, 1, 256)
	c.length("removeFromVersionId", in.RemoveFromVersionId, 32, 64)
	c.length("moveToVersionId", in.MoveToVersionId, 32, 64)
	return c.err()
}

func (s *Service) updateSecretVersionStage(ctx context.Context, r *api.Request, in *stageInput) (*nameOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := conditions{}.set("secretsmanager:VersionStage", in.VersionStage)
	sec, err := s.openPrimary(ctx, r, "UpdateSecretVersionStage", in.SecretId, keys)
	if err != nil {
		return nil, err
	}
	if err := in.validate(); err != nil {
		return nil, err
	}
	if err := sec.relabel(*in.VersionStage, in.RemoveFromVersionId, in.MoveToVersionId); err != nil {
		return nil, err
	}
	sec.changed = r.Time
	s.replicate(r.Caller, sec)
	out := &nameOutput{ARN: sec.arn(), Name: sec.name}
	r.TrailResponse = map[string]any{"arn": out.ARN, "name": out.Name}
	return out, nil
}

// relabel moves, adds or removes one staging label.
func (sec *secret) relabel(stage string, fromID, toID *string) error {
	var from, to *version
	if fromID != nil {
		if from = sec.version(*fromID); from == nil {
			return errNoVersion(*fromID)
		}
		if !from.has(stage) {
			return errParameter("The staging label %s is not attached to version %s.", stage, *fromID)
		}
	}
	if toID != nil {
		if to = sec.version(*toID); to == nil {
			return errNoVersion(*toID)
		}
	}
	holder := sec.staged(stage)
	switch {
	case from == nil && to == nil:
		return errParameter("You must specify RemoveFromVersionId, MoveToVersionId or both.")
	case to == nil && stage == current:
		return errParameter("You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.")
	case to == nil:
		from.unlabel(stage)
		return nil
	case holder != nil && holder != to && from == nil:
		return errParameter("The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", stage, holder.id)
	case from != nil && from == to:
		return nil
	}
	if err := sec.roomForStages([]string{stage}); err != nil {
		return err
	}
	sec.move(stage, to)
	return nil
}
