package iam

import (
	"context"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
	policy "github.com/aistudio/secrets/localcloud/iam"
)

type role struct {
	principal
	trust       document
	description string
	maxSession  time.Duration
	lastUsed    time.Time
	lastRegion  string
}

// maxTrustPolicy is AWS's default quota for a role's trust policy.
const maxTrustPolicy = 2048

type roleXML struct {
	Path                     string
	RoleName                 string
	RoleId                   string
	Arn                      string
	CreateDate               *api.XMLTime
	AssumeRolePolicyDocument string
	Description              string `xml:",omitempty"`
	MaxSessionDuration       int
	PermissionsBoundary      *boundaryXML `xml:",omitempty"`
	Tags                     []tag        `xml:"Tags>member"`
	RoleLastUsed             *lastUsedXML `xml:",omitempty"`
}

type lastUsedXML struct {
	LastUsedDate *api.XMLTime
	Region       string
}

func (x *role) xml() roleXML {
	out := roleXML{
		Path: x.path, RoleName: x.name, RoleId: x.id, Arn: x.arn,
		CreateDate:               api.NewXMLTime(x.created),
		AssumeRolePolicyDocument: x.trust.encoded(),
		Description:              x.description,
		MaxSessionDuration:       int(x.maxSession.Seconds()),
		PermissionsBoundary:      x.boundaryXML(),
		Tags:                     tagList(x.tags),
	}
	if !x.lastUsed.IsZero() {
		out.RoleLastUsed = &lastUsedXML{api.NewXMLTime(x.lastUsed), x.lastRegion}
	}
	return out
}

type createRoleIn struct {
	Path, RoleName, AssumeRolePolicyDocument, Description, PermissionsBoundary string
	MaxSessionDuration                                                         *int
	Tags                                                                       []tag
}

type roleOut struct{ Role roleXML }

func (s *Service) createRole(ctx context.Context, r *api.Request, in *createRoleIn) (*roleOut, error) {
	p, err := s.newPrincipal(r.Account, "role", "AROA", in.Path, in.RoleName, in.Tags)
	if err != nil {
		r.AllowAll()
		return nil, err
	}
	keys := requestTags(in.Tags)
	if in.PermissionsBoundary != "" {
		keys["iam:PermissionsBoundary"] = []string{in.PermissionsBoundary}
	}
	if err := ask(ctx, r, p.arn, keys); err != nil {
		return nil, err
	}
	x := &role{principal: p, description: in.Description}
	if x.maxSession, err = sessionLimit(in.MaxSessionDuration, time.Hour); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.trust, err = s.parseTrust(in.AssumeRolePolicyDocument); err != nil {
		return nil, err
	}
	a := s.account(r.Account)
	for name := range a.roles {
		if strings.EqualFold(name, in.RoleName) {
			return nil, conflict("EntityAlreadyExists", "Role with name %s already exists.", in.RoleName)
		}
	}
	if in.PermissionsBoundary != "" {
		if s.policy(r.Account, in.PermissionsBoundary) == nil {
			return nil, notAttachable(in.PermissionsBoundary)
		}
		x.boundary = in.PermissionsBoundary
	}
	a.roles[in.RoleName] = x
	r.TrailResponse = map[string]any{"role": map[string]any{
		"path": x.path, "roleName": x.name, "roleId": x.id, "arn": x.arn,
		"createDate": x.created, "assumeRolePolicyDocument": x.trust.encoded(),
	}}
	return &roleOut{x.xml()}, nil
}

// sessionLimit reads MaxSessionDuration.
func sessionLimit(seconds *int, otherwise time.Duration) (time.Duration, error) {
	if seconds == nil {
		return otherwise, nil
	}
	if *seconds < 3600 || *seconds > 43200 {
		return 0, validation("1 validation error detected: Value '%d' at 'maxSessionDuration' failed to satisfy constraint: Member must have value between 3600 and 43200", *seconds)
	}
	return time.Duration(*seconds) * time.Second, nil
}

// parseTrust reads a trust policy; the roles and users that it names must exist,
// as on AWS. mu is held.
func (s *Service) parseTrust(text string) (document, error) {
	d, err := parseDocument(policy.Trust, text, maxTrustPolicy)
	if err != nil {
		return d, err
	}
	for _, arn := range d.parsed.Principals() {
		if !s.exists(arn) {
			return d, api.Errorf("MalformedPolicyDocument", "Invalid principal in policy: \"AWS\":%q", arn)
		}
	}
	return d, nil
}

// exists reports whether an ARN is that of a role, of a user or of a session of
// a role; mu is held.
func (s *Service) exists(arn string) bool {
	parts := strings.SplitN(arn, ":", 6)
	a := s.accounts[parts[4]]
	if a == nil {
		return false
	}
	kind, rest, _ := strings.Cut(parts[5], "/")
	name := rest[strings.LastIndex(rest, "/")+1:]
	switch kind {
	case "role":
		return a.roles[name] != nil && a.roles[name].arn == arn
	case "user":
		return a.users[name] != nil && a.users[name].arn == arn
	case "assumed-role":
		name, _, _ = strings.Cut(rest, "/")
		return a.roles[name] != nil
	}
	return false
}

func (s *Service) getRole(ctx context.Context, r *api.Request, in *struct{ RoleName string }) (*roleOut, error) {
	out := &roleOut{}
	err := s.view(ctx, r, principalRef{RoleName: in.RoleName}, func(*principal) error {
		out.Role = s.accounts[r.Account].roles[in.RoleName].xml()
		return nil
	})
	return out, err
}

type updateRoleIn struct {
	RoleName           string
	Description        *string
	MaxSessionDuration *int
}

func (s *Service) updateRole(ctx context.Context, r *api.Request, in *updateRoleIn) (*empty, error) {
	_, err := s.change(ctx, r, principalRef{RoleName: in.RoleName}, nil, func(*principal) error {
		x := s.accounts[r.Account].roles[in.RoleName]
		limit, err := sessionLimit(in.MaxSessionDuration, x.maxSession)
		if err != nil {
			return err
		}
		x.maxSession = limit
		if in.Description != nil {
			x.description = *in.Description
		}
		return nil
	})
	return &empty{}, err
}

func (s *Service) updateRoleDescription(ctx context.Context, r *api.Request, in *struct{ RoleName, Description string }) (*roleOut, error) {
	out := &roleOut{}
	_, err := s.change(ctx, r, principalRef{RoleName: in.RoleName}, nil, func(*principal) error {
		x := s.accounts[r.Account].roles[in.RoleName]
		x.description = in.Description
		out.Role = x.xml()
		return nil
	})
	return out, err
}

func (s *Service) updateTrust(ctx context.Context, r *api.Request, in *struct{ RoleName, PolicyDocument string }) (*empty, error) {
	return s.change(ctx, r, principalRef{RoleName: in.RoleName}, nil, func(*principal) error {
		trust, err := s.parseTrust(in.PolicyDocument)
		if err == nil {
			s.accounts[r.Account].roles[in.RoleName].trust = trust
		}
		return err
	})
}

func (s *Service) deleteRole(ctx context.Context, r *api.Request, in *struct{ RoleName string }) (*empty, error) {
	return s.change(ctx, r, principalRef{RoleName: in.RoleName}, nil, func(p *principal) error {
		if err := p.deletable(); err != nil {
			return err
		}
		delete(s.accounts[r.Account].roles, in.RoleName)
		return nil
	})
}

type listIn struct {
	PathPrefix, Marker string
	MaxItems           *int
}

type listRolesOut struct {
	Roles []roleXML `xml:"Roles>member"`
	page
}

func (s *Service) listRoles(ctx context.Context, r *api.Request, in *listIn) (*listRolesOut, error) {
	if err := ask(ctx, r, principalARN(r.Account, "role", "/", ""), nil); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []roleXML
	if a := s.accounts[r.Account]; a != nil {
		for _, x := range a.roles {
			if strings.HasPrefix(x.path, in.PathPrefix) {
				shown := x.xml()
				// AWS shows these only to GetRole.
				shown.Tags, shown.PermissionsBoundary, shown.RoleLastUsed = nil, nil, nil
				list = append(list, shown)
			}
		}
	}
	out := &listRolesOut{}
	var err error
	out.Roles, out.page, err = paginate(list, func(x roleXML) string { return x.RoleName }, in.Marker, in.MaxItems)
	return out, err
}

type listInstanceProfilesOut struct {
	page
}

// listInstanceProfilesForRole has nothing to list: the emulator has no EC2.
// Pulumi and Terraform ask before they delete a role.
func (s *Service) listInstanceProfilesForRole(ctx context.Context, r *api.Request, in *listPrincipalIn) (*listInstanceProfilesOut, error) {
	return &listInstanceProfilesOut{}, s.view(ctx, r, principalRef{RoleName: in.RoleName}, func(*principal) error { return nil })
}
