package kms

import (
	"context"
	"regexp"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

var aliasPattern = regexp.MustCompile(`^alias/[a-zA-Z0-9/_-]{1,250}$`)

type aliasInput struct {
	AliasName   string
	TargetKeyID string `json:"TargetKeyId"`
}

// putAlias points a name at a key. s.mu is held.
func (s *Service) putAlias(p place, name, keyID string) *alias {
	if s.aliases[p] == nil {
		s.aliases[p] = map[string]*alias{}
	}
	now := s.env.Clock.Now()
	a := s.aliases[p][name]
	if a == nil {
		a = &alias{name: name, arn: api.ARN("kms", p.region, p.account, name), created: now}
		s.aliases[p][name] = a
	}
	a.keyID, a.updated = keyID, now
	return a
}

// openForAlias asks for an alias operation, which needs the right on both the
// alias and the key: https://docs.aws.amazon.com/kms/latest/developerguide/alias-access.html.
func (s *Service) openForAlias(ctx context.Context, r *api.Request, action, name, keyID string) (*key, error) {
	if err := r.Authorize(ctx, api.Check{Action: "kms:" + action, Resource: r.ARN("kms", name)}); err != nil {
		return nil, err
	}
	return s.open(ctx, r, keyID, action, nil)
}

func checkAliasName(name string) error {
	switch {
	case !aliasPattern.MatchString(name):
		return api.Errorf("InvalidAliasNameException", "Alias names begin with alias/ and hold letters, digits, /, _ and -.")
	case strings.HasPrefix(name, "alias/aws/"):
		return api.Errorf("NotAuthorizedException", "Aliases that begin with alias/aws/ are reserved.")
	}
	return nil
}

func (s *Service) createAlias(ctx context.Context, r *api.Request, in *aliasInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.openForAlias(ctx, r, "CreateAlias", in.AliasName, in.TargetKeyID)
	if err != nil {
		return nil, err
	}
	if err := checkAliasName(in.AliasName); err != nil {
		return nil, err
	}
	if a := s.aliases[at(r)][in.AliasName]; a != nil {
		return nil, api.Errorf("AlreadyExistsException", "An alias with the name %s already exists", a.arn)
	}
	s.putAlias(at(r), in.AliasName, k.id)
	return nil, nil
}

func (s *Service) updateAlias(ctx context.Context, r *api.Request, in *aliasInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.openForAlias(ctx, r, "UpdateAlias", in.AliasName, in.TargetKeyID)
	if err != nil {
		return nil, err
	}
	old := s.aliases[at(r)][in.AliasName]
	if old == nil {
		return nil, api.Errorf("NotFoundException", "Alias %s is not found.", r.ARN("kms", in.AliasName))
	}
	if before := s.keys[at(r)][old.keyID]; before != nil {
		if err := r.Authorize(ctx, s.check("UpdateAlias", before, nil)); err != nil {
			return nil, err
		}
	}
	s.putAlias(at(r), in.AliasName, k.id)
	return nil, nil
}

type deleteAliasInput struct{ AliasName string }

func (s *Service) deleteAlias(ctx context.Context, r *api.Request, in *deleteAliasInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.aliases[at(r)][in.AliasName]
	if a == nil {
		r.AllowAll()
		return nil, api.Errorf("NotFoundException", "Alias %s is not found.", r.ARN("kms", in.AliasName))
	}
	if _, err := s.openForAlias(ctx, r, "DeleteAlias", in.AliasName, a.keyID); err != nil {
		return nil, err
	}
	if err := checkAliasName(in.AliasName); err != nil {
		return nil, err
	}
	delete(s.aliases[at(r)], in.AliasName)
	return nil, nil
}

type listAliasesInput struct {
	KeyID  string `json:"KeyId"`
	Limit  *int
	Marker string
}

type aliasListEntry struct {
	AliasName, AliasArn string
	TargetKeyID         string `json:"TargetKeyId"`
	CreationDate        *api.Time
	LastUpdatedDate     *api.Time
}

type listAliasesOutput struct {
	Aliases    []aliasListEntry
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

func (s *Service) listAliases(ctx context.Context, r *api.Request, in *listAliasesInput) (*listAliasesOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "kms:ListAliases", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	keyID := ""
	if in.KeyID != "" {
		k, err := s.find(at(r), in.KeyID)
		if err != nil {
			return nil, err
		}
		keyID = k.id
	}
	names, next, err := page(sortedKeys(s.aliases[at(r)]), in.Limit, in.Marker)
	if err != nil {
		return nil, err
	}
	out := &listAliasesOutput{Aliases: []aliasListEntry{}, NextMarker: next, Truncated: next != ""}
	for _, name := range names {
		a := s.aliases[at(r)][name]
		if keyID == "" || a.keyID == keyID {
			out.Aliases = append(out.Aliases, aliasListEntry{a.name, a.arn, a.keyID, api.NewTime(a.created), api.NewTime(a.updated)})
		}
	}
	return out, nil
}
