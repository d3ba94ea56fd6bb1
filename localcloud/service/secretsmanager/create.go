package secretsmanager

import (
	"context"
	"regexp"
	"unicode/utf8"

	"github.com/aistudio/secrets/localcloud/api"
)

type createInput struct {
	Name                        *string
	ClientRequestToken          *string
	Description                 *string
	KmsKeyId                    *string
	SecretBinary                []byte
	SecretString                *string
	Tags                        []tag
	AddReplicaRegions           []replicaRegion
	ForceOverwriteReplicaSecret *bool
}

type createOutput struct {
	ARN               string
	Name              string
	VersionId         string              `json:",omitempty"`
	ReplicationStatus []replicationStatus `json:",omitempty"`
}

var validName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]+$`)

func (in *createInput) validate() error {
	var c constraints
	c.required("name", in.Name != nil)
	c.length("name", in.Name, 1, 512)
	c.length("description", in.Description, 0, 2048)
	c.length("kmsKeyId", in.KmsKeyId, 0, 2048)
	c.tags(in.Tags)
	c.replicaRegions(in.AddReplicaRegions)
	if err := c.err(); err != nil {
		return err
	}
	if !validName.MatchString(*in.Name) {
		return api.Errorf("ValidationException",
			"Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	return checkTags(in.Tags)
}

func (s *Service) createSecret(ctx context.Context, r *api.Request, in *createInput) (*createOutput, error) {
	if err := in.validate(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.allowCreate(ctx, r, in); err != nil {
		return nil, err
	}
	val, err := valueOf(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	token, err := requestToken(in.ClientRequestToken, val != nil)
	if err != nil {
		return nil, err
	}
	if existing := s.secrets[place{r.Account, r.Region}][*in.Name]; existing != nil {
		return s.createAgain(ctx, r, existing, token, val)
	}

	sec := &secret{place: place{r.Account, r.Region}, name: *in.Name, tags: in.Tags, created: r.Time, changed: r.Time}
	if in.Description != nil {
		sec.description = *in.Description
	}
	if in.KmsKeyId != nil {
		sec.kmsKeyID = customKey(*in.KmsKeyId)
	}
	if sec.suffix, err = newSuffix(s.env.Rand); err != nil {
		return nil, err
	}
	out := &createOutput{ARN: sec.arn(), Name: sec.name}
	r.TrailResources = []string{sec.arn()}
	if val != nil {
		v := &version{id: token, created: r.Time, stages: []string{current}}
		if err := s.seal(ctx, r.Caller, sec, v, val); err != nil {
			return nil, err
		}
		sec.versions = []*version{v}
		out.VersionId = v.id
	}
	if err := s.addReplicas(r, sec, in.AddReplicaRegions, in.ForceOverwriteReplicaSecret); err != nil {
		return nil, err
	}
	s.store(sec)
	s.replicate(r.Caller, sec)
	out.ReplicationStatus = sec.replicationStatus(s)
	r.TrailResponse = map[string]any{"arn": out.ARN, "name": out.Name, "versionId": out.VersionId}
	return out, nil
}

// allowCreate asks about all that a creation includes.
func (s *Service) allowCreate(ctx context.Context, r *api.Request, in *createInput) error {
	keys := conditions{}.
		set("secretsmanager:Name", in.Name).
		set("secretsmanager:Description", in.Description).
		kmsKey(in.KmsKeyId).
		requestTags(in.Tags).
		addReplicaRegions(in.AddReplicaRegions).
		setBool("secretsmanager:ForceOverwriteReplicaSecret", in.ForceOverwriteReplicaSecret)
	actions := []string{"CreateSecret"}
	if len(in.Tags) > 0 {
		actions = append(actions, "TagResource")
	}
	if len(in.AddReplicaRegions) > 0 {
		actions = append(actions, "ReplicateSecretToRegions")
	}
	for _, action := range actions {
		if err := s.allow(ctx, r, action, nil, *in.Name, keys); err != nil {
			return err
		}
	}
	return nil
}

// createAgain answers a creation of a secret that is there: a repeated request
// is a success, anything else is not.
func (s *Service) createAgain(ctx context.Context, r *api.Request, sec *secret, token string, val *value) (*createOutput, error) {
	if !sec.deletion.IsZero() {
		return nil, errRequest("You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	if v := sec.version(token); v != nil && val != nil && v.ciphertext != nil {
		before, err := s.unseal(ctx, r.Caller, sec, v)
		if err != nil {
			return nil, err
		}
		if before.equal(val) {
			return &createOutput{ARN: sec.arn(), Name: sec.name, VersionId: token, ReplicationStatus: sec.replicationStatus(s)}, nil
		}
	}
	return nil, api.Errorf("ResourceExistsException", "The operation failed because the secret %s already exists.", sec.name)
}

// requestToken checks the token that becomes a version's id. SDKs make one by
// themselves.
func requestToken(token *string, needed bool) (string, error) {
	if token == nil || *token == "" {
		if needed {
			return "", errRequest("You must provide a ClientRequestToken value. We recommend a UUID-type value.")
		}
		return "", nil
	}
	if n := utf8.RuneCountInString(*token); n < 32 || n > 64 {
		return "", errParameter("ClientRequestToken must be 32-64 characters long.")
	}
	return *token, nil
}
