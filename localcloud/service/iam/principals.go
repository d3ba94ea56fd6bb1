package iam

import (
	"context"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
	policy "github.com/aistudio/secrets/localcloud/iam"
)

// principal is what roles and users have in common.
type principal struct {
	name, path, id, arn string
	created             time.Time
	inline              map[string]document
	attached            map[string]bool // ARNs of managed policies
	boundary            string          // ARN of a managed policy
	tags                map[string]string
}

func (s *Service) newPrincipal(account, kind, idPrefix, path, name string, tags []tag) (principal, error) {
	if err := checkName(strings.ToLower(kind)+"Name", name, 64); err != nil {
		return principal{}, err
	}
	path, err := checkPath(path)
	if err != nil {
		return principal{}, err
	}
	all, err := addTags(nil, tags)
	if err != nil {
		return principal{}, err
	}
	id, err := s.newID(idPrefix, 21)
	if err != nil {
		return principal{}, err
	}
	return principal{
		name: name, path: path, id: id, tags: all,
		arn:      principalARN(account, kind, path, name),
		created:  s.env.Clock.Now().Truncate(time.Second),
		inline:   map[string]document{},
		attached: map[string]bool{},
	}, nil
}

func principalARN(account, kind, path, name string) string {
	return "arn:aws:iam::" + account + ":" + kind + path + name
}

// principalRef names a role or a user, whichever the operation is about.
type principalRef struct{ RoleName, UserName string }

// find returns the role or user; mu is held.
func (s *Service) find(r *api.Request, ref principalRef) (*principal, error) {
	a := s.accounts[r.Account]
	if strings.Contains(r.Operation, "Role") {
		if a != nil && a.roles[ref.RoleName] != nil {
			return &a.roles[ref.RoleName].principal, nil
		}
		return nil, noSuchEntity("The role with name %s cannot be found.", ref.RoleName)
	}
	if a != nil && a.users[ref.UserName] != nil {
		return &a.users[ref.UserName].principal, nil
	}
	return nil, noSuchEntity("The user with name %s cannot be found.", ref.UserName)
}

// askAbout asks whether the caller may use the operation on a role or user. One
// that doesn't exist is asked about by the ARN that it would have.
func (s *Service) askAbout(ctx context.Context, r *api.Request, ref principalRef, more map[string][]string) error {
	keys := map[string][]string{}
	for k, v := range more {
		keys[k] = v
	}
	s.mu.RLock()
	p, err := s.find(r, ref)
	var arn string
	switch {
	case err == nil:
		arn = p.arn
		for k, v := range p.tags {
			keys["iam:ResourceTag/"+k] = []string{v}
			keys["aws:ResourceTag/"+k] = []string{v}
		}
		if p.boundary != "" && keys["iam:PermissionsBoundary"] == nil {
			keys["iam:PermissionsBoundary"] = []string{p.boundary}
		}
	case strings.Contains(r.Operation, "Role"):
		arn = principalARN(r.Account, "role", "/", ref.RoleName)
	default:
		arn = principalARN(r.Account, "user", "/", ref.UserName)
	}
	s.mu.RUnlock()
	return ask(ctx, r, arn, keys)
}

// change asks IAM, then changes a role or user under the lock.
func (s *Service) change(ctx context.Context, r *api.Request, ref principalRef, more map[string][]string, f func(*principal) error) (*empty, error) {
	if err := s.askAbout(ctx, r, ref, more); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.find(r, ref)
	if err != nil {
		return nil, err
	}
	return nil, f(p)
}

// view is change for operations that only read.
func (s *Service) view(ctx context.Context, r *api.Request, ref principalRef, f func(*principal) error) error {
	if err := s.askAbout(ctx, r, ref, nil); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, err := s.find(r, ref)
	if err != nil {
		return err
	}
	return f(p)
}

// AWS's quotas for the sum of a principal's inline policies; one is the most
// that a single policy can have.
const (
	maxRolePolicy = 10240
	maxUserPolicy = 2048
)

type putInlinePolicyIn struct{ RoleName, UserName, PolicyName, PolicyDocument string }

func (s *Service) putInlinePolicy(ctx context.Context, r *api.Request, in *putInlinePolicyIn) (*empty, error) {
	longest := maxRolePolicy
	if r.Operation == "PutUserPolicy" {
		longest = maxUserPolicy
	}
	return s.change(ctx, r, principalRef{in.RoleName, in.UserName}, nil, func(p *principal) error {
		if err := checkName("policyName", in.PolicyName, 128); err != nil {
			return err
		}
		d, err := parseDocument(policy.Identity, in.PolicyDocument, longest)
		if err != nil {
			return err
		}
		p.inline[in.PolicyName] = d
		return nil
	})
}

type inlinePolicyIn struct{ RoleName, UserName, PolicyName string }

type inlinePolicyOut struct {
	RoleName       string `xml:",omitempty"`
	UserName       string `xml:",omitempty"`
	PolicyName     string
	PolicyDocument string
}

func (s *Service) getInlinePolicy(ctx context.Context, r *api.Request, in *inlinePolicyIn) (*inlinePolicyOut, error) {
	out := &inlinePolicyOut{RoleName: in.RoleName, UserName: in.UserName, PolicyName: in.PolicyName}
	err := s.view(ctx, r, principalRef{in.RoleName, in.UserName}, func(p *principal) error {
		d, ok := p.inline[in.PolicyName]
		if !ok {
			return noInlinePolicy(r, in.PolicyName)
		}
		out.PolicyDocument = d.encoded()
		return nil
	})
	return out, err
}

func noInlinePolicy(r *api.Request, name string) error {
	kind := "user"
	if strings.Contains(r.Operation, "Role") {
		kind = "role"
	}
	return noSuchEntity("The %s policy with name %s cannot be found.", kind, name)
}

func (s *Service) deleteInlinePolicy(ctx context.Context, r *api.Request, in *inlinePolicyIn) (*empty, error) {
	return s.change(ctx, r, principalRef{in.RoleName, in.UserName}, nil, func(p *principal) error {
		if _, ok := p.inline[in.PolicyName]; !ok {
			return noInlinePolicy(r, in.PolicyName)
		}
		delete(p.inline, in.PolicyName)
		return nil
	})
}

type listPrincipalIn struct {
	RoleName, UserName, PathPrefix, Marker string
	MaxItems                               *int
}

type listInlinePoliciesOut struct {
	PolicyNames []string `xml:"PolicyNames>member"`
	page
}

func (s *Service) listInlinePolicies(ctx context.Context, r *api.Request, in *listPrincipalIn) (*listInlinePoliciesOut, error) {
	out := &listInlinePoliciesOut{}
	err := s.view(ctx, r, principalRef{in.RoleName, in.UserName}, func(p *principal) (err error) {
		out.PolicyNames, out.page, err = paginate(keysOf(p.inline), itself, in.Marker, in.MaxItems)
		return err
	})
	return out, err
}

func itself(s string) string { return s }

func keysOf[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

type attachIn struct{ RoleName, UserName, PolicyArn string }

const maxAttached = 20

func (s *Service) attachPolicy(ctx context.Context, r *api.Request, in *attachIn) (*empty, error) {
	keys := map[string][]string{"iam:PolicyARN": {in.PolicyArn}}
	return s.change(ctx, r, principalRef{in.RoleName, in.UserName}, keys, func(p *principal) error {
		if s.policy(r.Account, in.PolicyArn) == nil {
			return notAttachable(in.PolicyArn)
		}
		if len(p.attached) >= maxAttached && !p.attached[in.PolicyArn] {
			return conflict("LimitExceeded", "Cannot exceed quota for PoliciesPerRole: %d", maxAttached)
		}
		p.attached[in.PolicyArn] = true
		return nil
	})
}

func notAttachable(arn string) error {
	if strings.HasPrefix(arn, awsPolicyPrefix) {
		return noSuchEntity("Policy %s does not exist or is not attachable. (The emulator has only some of AWS's managed policies.)", arn)
	}
	return noSuchEntity("Policy %s does not exist or is not attachable.", arn)
}

func (s *Service) detachPolicy(ctx context.Context, r *api.Request, in *attachIn) (*empty, error) {
	keys := map[string][]string{"iam:PolicyARN": {in.PolicyArn}}
	return s.change(ctx, r, principalRef{in.RoleName, in.UserName}, keys, func(p *principal) error {
		if !p.attached[in.PolicyArn] {
			return noSuchEntity("Policy %s was not found.", in.PolicyArn)
		}
		delete(p.attached, in.PolicyArn)
		return nil
	})
}

type attachedPolicy struct{ PolicyName, PolicyArn string }

type listAttachedOut struct {
	AttachedPolicies []attachedPolicy `xml:"AttachedPolicies>member"`
	page
}

func (s *Service) listAttachedPolicies(ctx context.Context, r *api.Request, in *listPrincipalIn) (*listAttachedOut, error) {
	out := &listAttachedOut{}
	err := s.view(ctx, r, principalRef{in.RoleName, in.UserName}, func(p *principal) (err error) {
		var list []attachedPolicy
		for arn := range p.attached {
			if m := s.policy(r.Account, arn); m != nil && strings.HasPrefix(m.path, in.PathPrefix) {
				list = append(list, attachedPolicy{m.name, arn})
			}
		}
		key := func(a attachedPolicy) string { return a.PolicyArn }
		out.AttachedPolicies, out.page, err = paginate(list, key, in.Marker, in.MaxItems)
		return err
	})
	return out, err
}

type putBoundaryIn struct{ RoleName, UserName, PermissionsBoundary string }

func (s *Service) putBoundary(ctx context.Context, r *api.Request, in *putBoundaryIn) (*empty, error) {
	keys := map[string][]string{"iam:PermissionsBoundary": {in.PermissionsBoundary}}
	return s.change(ctx, r, principalRef{in.RoleName, in.UserName}, keys, func(p *principal) error {
		if s.policy(r.Account, in.PermissionsBoundary) == nil {
			return notAttachable(in.PermissionsBoundary)
		}
		p.boundary = in.PermissionsBoundary
		return nil
	})
}

func (s *Service) deleteBoundary(ctx context.Context, r *api.Request, in *principalRef) (*empty, error) {
	return s.change(ctx, r, *in, nil, func(p *principal) error {
		if p.boundary == "" {
			return noSuchEntity("%s does not have a permissions boundary.", p.arn)
		}
		p.boundary = ""
		return nil
	})
}

type tagPrincipalIn struct {
	RoleName, UserName string
	Tags               []tag
}

func (s *Service) tagPrincipal(ctx context.Context, r *api.Request, in *tagPrincipalIn) (*empty, error) {
	return s.change(ctx, r, principalRef{in.RoleName, in.UserName}, requestTags(in.Tags), func(p *principal) (err error) {
		all, err := addTags(p.tags, in.Tags)
		if err == nil {
			p.tags = all
		}
		return err
	})
}

type untagPrincipalIn struct {
	RoleName, UserName string
	TagKeys            []string
}

func (s *Service) untagPrincipal(ctx context.Context, r *api.Request, in *untagPrincipalIn) (*empty, error) {
	keys := map[string][]string{"aws:TagKeys": in.TagKeys}
	return s.change(ctx, r, principalRef{in.RoleName, in.UserName}, keys, func(p *principal) error {
		for _, k := range in.TagKeys {
			delete(p.tags, k)
		}
		return nil
	})
}

type tagsOut struct {
	Tags []tag `xml:"Tags>member"`
	page
}

func (s *Service) listPrincipalTags(ctx context.Context, r *api.Request, in *listPrincipalIn) (*tagsOut, error) {
	out := &tagsOut{}
	err := s.view(ctx, r, principalRef{in.RoleName, in.UserName}, func(p *principal) (err error) {
		out.Tags, out.page, err = paginate(tagList(p.tags), func(t tag) string { return t.Key }, in.Marker, in.MaxItems)
		return err
	})
	return out, err
}

type boundaryXML struct {
	PermissionsBoundaryType string
	PermissionsBoundaryArn  string
}

func (p *principal) boundaryXML() *boundaryXML {
	if p.boundary == "" {
		return nil
	}
	return &boundaryXML{"Policy", p.boundary}
}

// deletable says why a role or user can't be deleted yet.
func (p *principal) deletable() error {
	if len(p.attached) > 0 {
		return conflict("DeleteConflict", "Cannot delete entity, must detach all policies first.")
	}
	if len(p.inline) > 0 {
		return conflict("DeleteConflict", "Cannot delete entity, must delete policies first.")
	}
	return nil
}
