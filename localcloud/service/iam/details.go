package iam

import (
	"context"
	"maps"
	"slices"

	"github.com/aistudio/secrets/localcloud/api"
)

type detailsIn struct {
	Filter   []string
	Marker   string
	MaxItems *int
}

type inlineXML struct{ PolicyName, PolicyDocument string }

type roleDetailXML struct {
	roleXML
	RolePolicyList          []inlineXML      `xml:"RolePolicyList>member"`
	AttachedManagedPolicies []attachedPolicy `xml:"AttachedManagedPolicies>member"`
}

type userDetailXML struct {
	userXML
	UserPolicyList          []inlineXML      `xml:"UserPolicyList>member"`
	AttachedManagedPolicies []attachedPolicy `xml:"AttachedManagedPolicies>member"`
}

type policyDetailXML struct {
	policyXML
	PolicyVersionList []versionXML `xml:"PolicyVersionList>member"`
}

type detailsOut struct {
	UserDetailList []userDetailXML   `xml:"UserDetailList>member"`
	RoleDetailList []roleDetailXML   `xml:"RoleDetailList>member"`
	Policies       []policyDetailXML `xml:"Policies>member"`
	page
}

// detail is one of what a page holds.
type detail struct {
	key    string
	user   *userDetailXML
	role   *roleDetailXML
	policy *policyDetailXML
}

// The kinds of details. Groups are none of the emulator's.
const (
	detailUser      = "User"
	detailRole      = "Role"
	detailGroup     = "Group"
	detailOwnPolicy = "LocalManagedPolicy"
	detailAWSPolicy = "AWSManagedPolicy"
)

// details answers GetAccountAuthorizationDetails: all users, roles and managed
// policies of an account with their documents, in pages that mix them. Of AWS's
// own policies only those that are in use are there.
func (s *Service) details(ctx context.Context, r *api.Request, in *detailsIn) (*detailsOut, error) {
	if err := ask(ctx, r, "*", nil); err != nil {
		return nil, err
	}
	kinds := []string{detailUser, detailRole, detailGroup, detailOwnPolicy, detailAWSPolicy}
	for _, kind := range in.Filter {
		if !slices.Contains(kinds, kind) {
			return nil, validation("1 validation error detected: Value '[%s]' at 'filter' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [LocalManagedPolicy, User, Role, AWSManagedPolicy, Group]]", kind)
		}
	}
	if len(in.Filter) > 0 {
		kinds = in.Filter
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	found, next, err := paginate(s.allDetails(r.Account, kinds), func(d detail) string { return d.key }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &detailsOut{page: next}
	for _, d := range found {
		switch {
		case d.user != nil:
			out.UserDetailList = append(out.UserDetailList, *d.user)
		case d.role != nil:
			out.RoleDetailList = append(out.RoleDetailList, *d.role)
		default:
			out.Policies = append(out.Policies, *d.policy)
		}
	}
	return out, nil
}

// allDetails are those of the kinds; mu is held.
func (s *Service) allDetails(id string, kinds []string) []detail {
	a := s.accounts[id]
	if a == nil {
		return nil
	}
	var all []detail
	inUse := map[string]bool{}
	if slices.Contains(kinds, detailUser) {
		for _, u := range a.users {
			all = append(all, detail{key: u.arn, user: &userDetailXML{u.xml(), u.inlineXML(), s.attachedXML(id, &u.principal)}})
		}
	}
	for _, x := range a.roles {
		for arn := range x.attached {
			inUse[arn] = true
		}
		if slices.Contains(kinds, detailRole) {
			shown := roleDetailXML{x.xml(), x.inlineXML(), s.attachedXML(id, &x.principal)}
			shown.Description, shown.MaxSessionDuration = "", 0 // no members of a RoleDetail
			all = append(all, detail{key: x.arn, role: &shown})
		}
	}
	for _, u := range a.users {
		for arn := range u.attached {
			inUse[arn] = true
		}
	}
	add := func(m *managedPolicy) {
		shown := policyDetailXML{policyXML: s.policyXML(id, m)}
		for _, v := range m.versions {
			version := m.versionXML(v)
			version.Document = v.encoded()
			shown.PolicyVersionList = append(shown.PolicyVersionList, version)
		}
		shown.Tags = nil // no member of a ManagedPolicyDetail
		all = append(all, detail{key: m.arn, policy: &shown})
	}
	if slices.Contains(kinds, detailOwnPolicy) {
		for _, m := range a.policies {
			add(m)
		}
	}
	if slices.Contains(kinds, detailAWSPolicy) {
		for arn := range inUse {
			if m := awsPolicies()[arn]; m != nil {
				add(m)
			}
		}
	}
	return all
}

func (p *principal) inlineXML() []inlineXML {
	var list []inlineXML
	for _, name := range slices.Sorted(maps.Keys(p.inline)) {
		list = append(list, inlineXML{name, p.inline[name].encoded()})
	}
	return list
}

func (s *Service) attachedXML(account string, p *principal) []attachedPolicy {
	var list []attachedPolicy
	for _, arn := range slices.Sorted(maps.Keys(p.attached)) {
		if m := s.policy(account, arn); m != nil {
			list = append(list, attachedPolicy{m.name, arn})
		}
	}
	return list
}
