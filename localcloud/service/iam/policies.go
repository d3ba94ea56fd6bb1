package iam

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
	policy "github.com/aistudio/secrets/localcloud/iam"
)

// managedPolicy is a policy with an ARN of its own.
type managedPolicy struct {
	name, path, id, arn, description string
	created, updated                 time.Time
	versions                         []*policyVersion
	current                          *policyVersion // the default version
	next                             int            // number of the next version
	tags                             map[string]string
}

type policyVersion struct {
	document
	id      string
	created time.Time
}

const (
	maxManagedPolicy  = 6144
	maxPolicyVersions = 5
)

// policy finds a customer's or one of AWS's policies; mu is held. It returns
// nil if there is none.
func (s *Service) policy(account, arn string) *managedPolicy {
	if m, ok := awsPolicies()[arn]; ok {
		return m
	}
	if a := s.accounts[account]; a != nil {
		return a.policies[arn]
	}
	return nil
}

// attachments counts the roles and users that a policy is attached to, and
// those that it bounds; mu is held.
func (s *Service) attachments(account, arn string) (attached, bounds []*principal) {
	a := s.accounts[account]
	if a == nil {
		return nil, nil
	}
	note := func(p *principal) {
		if p.attached[arn] {
			attached = append(attached, p)
		}
		if p.boundary == arn {
			bounds = append(bounds, p)
		}
	}
	for _, x := range a.roles {
		note(&x.principal)
	}
	for _, u := range a.users {
		note(&u.principal)
	}
	return attached, bounds
}

type policyXML struct {
	PolicyName                    string
	PolicyId                      string
	Arn                           string
	Path                          string
	DefaultVersionId              string
	AttachmentCount               int
	PermissionsBoundaryUsageCount int
	IsAttachable                  bool
	Description                   string `xml:",omitempty"`
	CreateDate                    *api.XMLTime
	UpdateDate                    *api.XMLTime
	Tags                          []tag `xml:"Tags>member"`
}

func (s *Service) policyXML(account string, m *managedPolicy) policyXML {
	attached, bounds := s.attachments(account, m.arn)
	return policyXML{
		PolicyName: m.name, PolicyId: m.id, Arn: m.arn, Path: m.path, DefaultVersionId: m.current.id,
		AttachmentCount: len(attached), PermissionsBoundaryUsageCount: len(bounds), IsAttachable: true,
		Description: m.description,
		CreateDate:  api.NewXMLTime(m.created), UpdateDate: api.NewXMLTime(m.updated),
		Tags: tagList(m.tags),
	}
}

type createPolicyIn struct {
	PolicyName, Path, PolicyDocument, Description string
	Tags                                          []tag
}

type policyOut struct{ Policy policyXML }

func (s *Service) createPolicy(ctx context.Context, r *api.Request, in *createPolicyIn) (*policyOut, error) {
	path, err := checkPath(in.Path)
	if err == nil {
		err = checkName("policyName", in.PolicyName, 128)
	}
	if err != nil {
		r.AllowAll()
		return nil, err
	}
	arn := principalARN(r.Account, "policy", path, in.PolicyName)
	if err := ask(ctx, r, arn, requestTags(in.Tags)); err != nil {
		return nil, err
	}
	d, err := parseDocument(policy.Identity, in.PolicyDocument, maxManagedPolicy)
	if err != nil {
		return nil, err
	}
	m := &managedPolicy{name: in.PolicyName, path: path, arn: arn, description: in.Description, next: 1}
	if m.tags, err = addTags(nil, in.Tags); err != nil {
		return nil, err
	}
	if m.id, err = s.newID("ANPA", 21); err != nil {
		return nil, err
	}
	m.created = s.env.Clock.Now().Truncate(time.Second)
	m.current = m.add(d, m.created)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account(r.Account)
	if a.policies[arn] != nil {
		return nil, conflict("EntityAlreadyExists", "A policy called %s already exists. Duplicate names are not allowed.", in.PolicyName)
	}
	a.policies[arn] = m
	r.TrailResponse = map[string]any{"policy": map[string]any{
		"policyName": m.name, "policyId": m.id, "arn": m.arn, "path": m.path, "defaultVersionId": m.current.id,
	}}
	return &policyOut{s.policyXML(r.Account, m)}, nil
}

// add makes a version.
func (m *managedPolicy) add(d document, now time.Time) *policyVersion {
	v := &policyVersion{document: d, id: fmt.Sprintf("v%d", m.next), created: now}
	m.next++
	m.versions = append(m.versions, v)
	m.updated = now
	return v
}

func (m *managedPolicy) version(id string) *policyVersion {
	for _, v := range m.versions {
		if v.id == id {
			return v
		}
	}
	return nil
}

// withPolicy asks IAM, then runs f under the lock with the policy. Only a
// customer's own policies can be changed.
func (s *Service) withPolicy(ctx context.Context, r *api.Request, arn string, more map[string][]string, f func(*managedPolicy) error) error {
	if err := ask(ctx, r, arn, more); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.policy(r.Account, arn)
	if m == nil {
		return noSuchEntity("Policy %s was not found.", arn)
	}
	reads := strings.HasPrefix(r.Operation, "Get") || strings.HasPrefix(r.Operation, "List")
	if strings.HasPrefix(arn, awsPolicyPrefix) && !reads {
		return api.StatusErrorf(403, "AccessDenied", "User: %s is not authorized to perform: iam:%s on resource: policy %s", r.Caller.ARN, r.Operation, arn)
	}
	return f(m)
}

type policyIn struct{ PolicyArn string }

func (s *Service) getPolicy(ctx context.Context, r *api.Request, in *policyIn) (*policyOut, error) {
	out := &policyOut{}
	err := s.withPolicy(ctx, r, in.PolicyArn, nil, func(m *managedPolicy) error {
		out.Policy = s.policyXML(r.Account, m)
		return nil
	})
	return out, err
}

func (s *Service) deletePolicy(ctx context.Context, r *api.Request, in *policyIn) (*empty, error) {
	return nil, s.withPolicy(ctx, r, in.PolicyArn, nil, func(m *managedPolicy) error {
		if attached, bounds := s.attachments(r.Account, m.arn); len(attached)+len(bounds) > 0 {
			return conflict("DeleteConflict", "Cannot delete a policy attached to entities.")
		}
		if len(m.versions) > 1 {
			return conflict("DeleteConflict", "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		delete(s.accounts[r.Account].policies, m.arn)
		return nil
	})
}

type listPoliciesIn struct {
	Scope, PathPrefix, PolicyUsageFilter, Marker string
	OnlyAttached                                 *bool
	MaxItems                                     *int
}

type listPoliciesOut struct {
	Policies []policyXML `xml:"Policies>member"`
	page
}

func (s *Service) listPolicies(ctx context.Context, r *api.Request, in *listPoliciesIn) (*listPoliciesOut, error) {
	if err := ask(ctx, r, principalARN(r.Account, "policy", "/", ""), nil); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []policyXML
	note := func(m *managedPolicy) {
		x := s.policyXML(r.Account, m)
		switch {
		case !strings.HasPrefix(m.path, in.PathPrefix),
			in.OnlyAttached != nil && *in.OnlyAttached && x.AttachmentCount+x.PermissionsBoundaryUsageCount == 0,
			in.PolicyUsageFilter == "PermissionsPolicy" && x.AttachmentCount == 0,
			in.PolicyUsageFilter == "PermissionsBoundary" && x.PermissionsBoundaryUsageCount == 0:
			return
		}
		x.Tags, x.Description = nil, "" // as on AWS
		list = append(list, x)
	}
	if in.Scope != "Local" {
		for _, m := range awsPolicies() {
			note(m)
		}
	}
	if a := s.accounts[r.Account]; a != nil && in.Scope != "AWS" {
		for _, m := range a.policies {
			note(m)
		}
	}
	out := &listPoliciesOut{}
	var err error
	out.Policies, out.page, err = paginate(list, func(x policyXML) string { return x.Arn }, in.Marker, in.MaxItems)
	return out, err
}

type versionXML struct {
	Document         string `xml:",omitempty"`
	VersionId        string
	IsDefaultVersion bool
	CreateDate       *api.XMLTime
}

func (m *managedPolicy) versionXML(v *policyVersion) versionXML {
	return versionXML{VersionId: v.id, IsDefaultVersion: v == m.current, CreateDate: api.NewXMLTime(v.created)}
}

type versionOut struct{ PolicyVersion versionXML }

type createPolicyVersionIn struct {
	PolicyArn, PolicyDocument string
	SetAsDefault              *bool
}

func (s *Service) createPolicyVersion(ctx context.Context, r *api.Request, in *createPolicyVersionIn) (*versionOut, error) {
	out := &versionOut{}
	err := s.withPolicy(ctx, r, in.PolicyArn, nil, func(m *managedPolicy) error {
		d, err := parseDocument(policy.Identity, in.PolicyDocument, maxManagedPolicy)
		if err != nil {
			return err
		}
		if len(m.versions) >= maxPolicyVersions {
			return conflict("LimitExceeded", "A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxPolicyVersions)
		}
		v := m.add(d, s.env.Clock.Now().Truncate(time.Second))
		if in.SetAsDefault != nil && *in.SetAsDefault {
			m.current = v
		}
		out.PolicyVersion = m.versionXML(v)
		return nil
	})
	return out, err
}

type policyVersionIn struct{ PolicyArn, VersionId string }

// withVersion is withPolicy for one version.
func (s *Service) withVersion(ctx context.Context, r *api.Request, in *policyVersionIn, f func(*managedPolicy, *policyVersion) error) error {
	return s.withPolicy(ctx, r, in.PolicyArn, nil, func(m *managedPolicy) error {
		v := m.version(in.VersionId)
		if v == nil {
			return noSuchEntity("Policy %s version %s does not exist or is not attachable.", in.PolicyArn, in.VersionId)
		}
		return f(m, v)
	})
}

func (s *Service) getPolicyVersion(ctx context.Context, r *api.Request, in *policyVersionIn) (*versionOut, error) {
	out := &versionOut{}
	err := s.withVersion(ctx, r, in, func(m *managedPolicy, v *policyVersion) error {
		out.PolicyVersion = m.versionXML(v)
		out.PolicyVersion.Document = v.encoded()
		return nil
	})
	return out, err
}

func (s *Service) setDefaultPolicyVersion(ctx context.Context, r *api.Request, in *policyVersionIn) (*empty, error) {
	return nil, s.withVersion(ctx, r, in, func(m *managedPolicy, v *policyVersion) error {
		m.current = v
		return nil
	})
}

func (s *Service) deletePolicyVersion(ctx context.Context, r *api.Request, in *policyVersionIn) (*empty, error) {
	return nil, s.withVersion(ctx, r, in, func(m *managedPolicy, v *policyVersion) error {
		if v == m.current {
			return conflict("DeleteConflict", "Cannot delete the default version of a policy.")
		}
		kept := m.versions[:0]
		for _, o := range m.versions {
			if o != v {
				kept = append(kept, o)
			}
		}
		m.versions = kept
		return nil
	})
}

type listPolicyIn struct {
	PolicyArn, Marker string
	MaxItems          *int
}

type listVersionsOut struct {
	Versions []versionXML `xml:"Versions>member"`
	page
}

func (s *Service) listPolicyVersions(ctx context.Context, r *api.Request, in *listPolicyIn) (*listVersionsOut, error) {
	out := &listVersionsOut{}
	err := s.withPolicy(ctx, r, in.PolicyArn, nil, func(m *managedPolicy) (err error) {
		var list []versionXML
		for _, v := range m.versions {
			list = append(list, m.versionXML(v))
		}
		out.Versions, out.page, err = paginate(list, func(x versionXML) string { return x.VersionId }, in.Marker, in.MaxItems)
		return err
	})
	return out, err
}

type entityRole struct{ RoleName, RoleId string }

type entityUser struct{ UserName, UserId string }

type listEntitiesIn struct {
	PolicyArn, EntityFilter, PathPrefix, PolicyUsageFilter, Marker string
	MaxItems                                                       *int
}

type listEntitiesOut struct {
	PolicyRoles []entityRole `xml:"PolicyRoles>member"`
	PolicyUsers []entityUser `xml:"PolicyUsers>member"`
	page
}

func (s *Service) listEntitiesForPolicy(ctx context.Context, r *api.Request, in *listEntitiesIn) (*listEntitiesOut, error) {
	out := &listEntitiesOut{}
	err := s.withPolicy(ctx, r, in.PolicyArn, nil, func(m *managedPolicy) error {
		list, bounds := s.attachments(r.Account, m.arn)
		if in.PolicyUsageFilter == "PermissionsBoundary" {
			list = bounds
		}
		list, page, err := paginate(list, func(p *principal) string { return p.arn }, in.Marker, in.MaxItems)
		if err != nil {
			return err
		}
		out.page = page
		for _, p := range list {
			isRole := strings.Contains(p.arn, ":role/")
			switch {
			case !strings.HasPrefix(p.path, in.PathPrefix):
			case isRole && (in.EntityFilter == "" || in.EntityFilter == "Role"):
				out.PolicyRoles = append(out.PolicyRoles, entityRole{p.name, p.id})
			case !isRole && (in.EntityFilter == "" || in.EntityFilter == "User"):
				out.PolicyUsers = append(out.PolicyUsers, entityUser{p.name, p.id})
			}
		}
		return nil
	})
	return out, err
}

type tagPolicyIn struct {
	PolicyArn string
	Tags      []tag
}

func (s *Service) tagPolicy(ctx context.Context, r *api.Request, in *tagPolicyIn) (*empty, error) {
	return nil, s.withPolicy(ctx, r, in.PolicyArn, requestTags(in.Tags), func(m *managedPolicy) error {
		all, err := addTags(m.tags, in.Tags)
		if err == nil {
			m.tags = all
		}
		return err
	})
}

type untagPolicyIn struct {
	PolicyArn string
	TagKeys   []string
}

func (s *Service) untagPolicy(ctx context.Context, r *api.Request, in *untagPolicyIn) (*empty, error) {
	return nil, s.withPolicy(ctx, r, in.PolicyArn, map[string][]string{"aws:TagKeys": in.TagKeys}, func(m *managedPolicy) error {
		for _, k := range in.TagKeys {
			delete(m.tags, k)
		}
		return nil
	})
}

func (s *Service) listPolicyTags(ctx context.Context, r *api.Request, in *listPolicyIn) (*tagsOut, error) {
	out := &tagsOut{}
	err := s.withPolicy(ctx, r, in.PolicyArn, nil, func(m *managedPolicy) (err error) {
		out.Tags, out.page, err = paginate(tagList(m.tags), func(t tag) string { return t.Key }, in.Marker, in.MaxItems)
		return err
	})
	return out, err
}

// ManagedPolicy returns the default version of a managed policy.
func (s *Service) ManagedPolicy(account, arn string) (*policy.Document, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m := s.policy(account, arn)
	if m == nil {
		return nil, false
	}
	return m.current.parsed, true
}
