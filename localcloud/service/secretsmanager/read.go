package secretsmanager

import (
	"context"
	"slices"

	"github.com/aistudio/secrets/localcloud/api"
)

type getInput struct {
	SecretId     *string
	VersionId    *string
	VersionStage *string
}

type secretValue struct {
	ARN           string
	CreatedDate   *api.Time
	Name          string
	SecretBinary  []byte  `json:",omitempty"`
	SecretString  *string `json:",omitempty"`
	VersionId     string
	VersionStages []string `json:",omitempty"`
}

func (in *getInput) validate() error {
	var c constraints
	c.length("versionId", in.VersionId, 32, 64)
	c.length("versionStage", in.VersionStage, 1, 256)
	return c.err()
}

func (s *Service) getSecretValue(ctx context.Context, r *api.Request, in *getInput) (*secretValue, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read(ctx, r, in)
}

// read is GetSecretValue under the lock.
func (s *Service) read(ctx context.Context, r *api.Request, in *getInput) (*secretValue, error) {
	// AWS documents the key as the stages in the request, so a read that names
	// none has none.
	keys := conditions{}.set("secretsmanager:VersionId", in.VersionId).set("secretsmanager:VersionStage", in.VersionStage)
	sec, err := s.open(ctx, r, "GetSecretValue", in.SecretId, keys)
	if err != nil {
		return nil, err
	}
	if err := in.validate(); err != nil {
		return nil, err
	}
	if !sec.deletion.IsZero() {
		return nil, errDeleted()
	}
	v, err := sec.find(in.VersionId, in.VersionStage)
	if err != nil {
		return nil, err
	}
	val, err := s.unseal(ctx, r.Caller, sec, v)
	if err != nil {
		return nil, err
	}
	sec.accessed, v.accessed = day(r.Time), day(r.Time)
	out := &secretValue{
		ARN: sec.arn(), Name: sec.name, CreatedDate: api.NewTime(v.created),
		VersionId: v.id, VersionStages: slices.Clone(v.stages),
	}
	out.SecretString, out.SecretBinary = val.members()
	return out, nil
}

// find picks the version that a read names: by id, by staging label (default
// AWSCURRENT) or by both.
func (sec *secret) find(id, stage *string) (*version, error) {
	if id == nil {
		want := current
		if stage != nil {
			want = *stage
		}
		v := sec.staged(want)
		if v == nil || v.ciphertext == nil {
			return nil, errNoStage(want)
		}
		return v, nil
	}
	v := sec.version(*id)
	switch {
	case v == nil:
		return nil, errNoVersion(*id)
	case stage != nil && !v.has(*stage):
		return nil, errRequest("You provided a VersionStage that is not associated to the provided VersionId.")
	case v.ciphertext == nil:
		return nil, errNoVersion(*id)
	}
	return v, nil
}

type idInput struct{ SecretId *string }

// description is what DescribeSecret and ListSecrets show of a secret.
type description struct {
	ARN               string
	CreatedDate       *api.Time
	DeletedDate       *api.Time `json:",omitempty"`
	Description       string    `json:",omitempty"`
	KmsKeyId          string    `json:",omitempty"`
	LastAccessedDate  *api.Time `json:",omitempty"`
	LastChangedDate   *api.Time `json:",omitempty"`
	LastRotatedDate   *api.Time `json:",omitempty"`
	Name              string
	NextRotationDate  *api.Time      `json:",omitempty"`
	PrimaryRegion     string         `json:",omitempty"`
	RotationEnabled   *bool          `json:",omitempty"`
	RotationLambdaARN string         `json:",omitempty"`
	RotationRules     *rotationRules `json:",omitempty"`
	Tags              []tag          `json:",omitempty"`
}

func (sec *secret) describe() description {
	d := description{
		ARN: sec.arn(), Name: sec.name, Description: sec.description, KmsKeyId: sec.kmsKeyID,
		CreatedDate: api.NewTime(sec.created), LastChangedDate: api.NewTime(sec.changed),
		LastAccessedDate: api.NewTime(sec.accessed), LastRotatedDate: api.NewTime(sec.rotated),
		DeletedDate: api.NewTime(sec.deletion), PrimaryRegion: sec.primaryRegion, Tags: slices.Clone(sec.tags),
	}
	if sec.rotation.configured {
		enabled := sec.rotation.enabled
		rules := sec.rotation.rules
		d.RotationEnabled = &enabled
		d.RotationLambdaARN = sec.rotation.functionARN
		d.RotationRules = &rules
		if enabled {
			d.NextRotationDate = api.NewTime(sec.rotation.nextDate)
		}
	}
	return d
}

// stages maps the ids of the versions that have staging labels to these.
func (sec *secret) stages() map[string][]string {
	m := map[string][]string{}
	for _, v := range sec.versions {
		if len(v.stages) > 0 {
			m[v.id] = slices.Clone(v.stages)
		}
	}
	return m
}

type describeOutput struct {
	description
	ReplicationStatus  []replicationStatus `json:",omitempty"`
	VersionIdsToStages map[string][]string `json:",omitempty"`
}

func (s *Service) describeSecret(ctx context.Context, r *api.Request, in *idInput) (*describeOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.open(ctx, r, "DescribeSecret", in.SecretId, nil)
	if err != nil {
		return nil, err
	}
	return &describeOutput{
		description: sec.describe(), ReplicationStatus: sec.replicationStatus(s), VersionIdsToStages: sec.stages(),
	}, nil
}

type listVersionsInput struct {
	SecretId          *string
	IncludeDeprecated *bool
	MaxResults        *int64
	NextToken         *string
}

type listVersionsOutput struct {
	ARN       string
	Name      string
	NextToken string `json:",omitempty"`
	Versions  []versionEntry
}

type versionEntry struct {
	CreatedDate      *api.Time
	KmsKeyIds        []string  `json:",omitempty"`
	LastAccessedDate *api.Time `json:",omitempty"`
	VersionId        string
	VersionStages    []string `json:",omitempty"`
}

func (s *Service) listSecretVersionIDs(ctx context.Context, r *api.Request, in *listVersionsInput) (*listVersionsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.open(ctx, r, "ListSecretVersionIds", in.SecretId, nil)
	if err != nil {
		return nil, err
	}
	var c constraints
	c.number("maxResults", in.MaxResults, 100)
	if err := c.err(); err != nil {
		return nil, err
	}
	var entries []versionEntry
	for _, v := range sec.versions {
		if len(v.stages) == 0 && (in.IncludeDeprecated == nil || !*in.IncludeDeprecated) {
			continue
		}
		e := versionEntry{
			CreatedDate: api.NewTime(v.created), LastAccessedDate: api.NewTime(v.accessed),
			VersionId: v.id, VersionStages: slices.Clone(v.stages),
		}
		switch {
		case v.defaultKey:
			e.KmsKeyIds = []string{"DefaultEncryptionKey"}
		case v.keyARN != "":
			e.KmsKeyIds = []string{v.keyARN}
		}
		entries = append(entries, e)
	}
	out := &listVersionsOutput{ARN: sec.arn(), Name: sec.name}
	if out.Versions, out.NextToken, err = page(slices.Values(entries), in.MaxResults, 100, in.NextToken); err != nil {
		return nil, err
	}
	return out, nil
}
