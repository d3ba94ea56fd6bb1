// Package iam is the local cloud's AWS Identity and Access Management: roles,
// users, policies, the sessions that are made of them, and the decision whether
// a caller may do something.
//
// What is not as on AWS: changes take effect at once; the root of an account may
// do everything in it, assume any of its roles included, whatever a resource's
// policy says; the emulator's loopback endpoint counts as secure transport
// (aws:SecureTransport is true); there are no groups, organisations, VPC
// endpoints or multi-factor devices; and a role that is deleted and made anew is
// a new principal for its old sessions, but policies that name its ARN go on
// naming it.
package iam

import (
	"context"
	"sync"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is AWS Identity and Access Management.
type Service struct {
	env    *api.Env
	parsed documentCache

	mu       sync.RWMutex
	accounts map[string]*account
	// sessions and keys are by access key id.
	sessions map[string]*session
	keys     map[string]*accessKey
}

// account is what IAM keeps for one account, in all regions.
type account struct {
	roles    map[string]*role          // by name
	users    map[string]*user          // by name
	policies map[string]*managedPolicy // by ARN
}

// New makes an empty IAM.
func New(env *api.Env) *Service {
	return &Service{
		env:      env,
		accounts: map[string]*account{},
		sessions: map[string]*session{},
		keys:     map[string]*accessKey{},
	}
}

// Name implements api.Service.
func (s *Service) Name() string { return "iam" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol {
	return api.Query{Namespace: "https://iam.amazonaws.com/doc/2010-05-08/"}
}

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{
		"CreateRole":                  api.FormXML(s.createRole),
		"GetRole":                     api.FormXML(s.getRole),
		"UpdateRole":                  api.FormXML(s.updateRole),
		"UpdateRoleDescription":       api.FormXML(s.updateRoleDescription),
		"UpdateAssumeRolePolicy":      api.FormXML(s.updateTrust),
		"DeleteRole":                  api.FormXML(s.deleteRole),
		"ListRoles":                   api.FormXML(s.listRoles),
		"ListInstanceProfilesForRole": api.FormXML(s.listInstanceProfilesForRole),

		"CreateUser":      api.FormXML(s.createUser),
		"GetUser":         api.FormXML(s.getUser),
		"DeleteUser":      api.FormXML(s.deleteUser),
		"ListUsers":       api.FormXML(s.listUsers),
		"CreateAccessKey": api.FormXML(s.createAccessKey),
		"UpdateAccessKey": api.FormXML(s.updateAccessKey),
		"DeleteAccessKey": api.FormXML(s.deleteAccessKey),
		"ListAccessKeys":  api.FormXML(s.listAccessKeys),

		"PutRolePolicy":    api.FormXML(s.putInlinePolicy),
		"GetRolePolicy":    api.FormXML(s.getInlinePolicy),
		"DeleteRolePolicy": api.FormXML(s.deleteInlinePolicy),
		"ListRolePolicies": api.FormXML(s.listInlinePolicies),
		"PutUserPolicy":    api.FormXML(s.putInlinePolicy),
		"GetUserPolicy":    api.FormXML(s.getInlinePolicy),
		"DeleteUserPolicy": api.FormXML(s.deleteInlinePolicy),
		"ListUserPolicies": api.FormXML(s.listInlinePolicies),

		"AttachRolePolicy":         api.FormXML(s.attachPolicy),
		"DetachRolePolicy":         api.FormXML(s.detachPolicy),
		"ListAttachedRolePolicies": api.FormXML(s.listAttachedPolicies),
		"AttachUserPolicy":         api.FormXML(s.attachPolicy),
		"DetachUserPolicy":         api.FormXML(s.detachPolicy),
		"ListAttachedUserPolicies": api.FormXML(s.listAttachedPolicies),

		"PutRolePermissionsBoundary":    api.FormXML(s.putBoundary),
		"DeleteRolePermissionsBoundary": api.FormXML(s.deleteBoundary),
		"PutUserPermissionsBoundary":    api.FormXML(s.putBoundary),
		"DeleteUserPermissionsBoundary": api.FormXML(s.deleteBoundary),

		"TagRole":      api.FormXML(s.tagPrincipal),
		"UntagRole":    api.FormXML(s.untagPrincipal),
		"ListRoleTags": api.FormXML(s.listPrincipalTags),
		"TagUser":      api.FormXML(s.tagPrincipal),
		"UntagUser":    api.FormXML(s.untagPrincipal),
		"ListUserTags": api.FormXML(s.listPrincipalTags),

		"CreatePolicy":            api.FormXML(s.createPolicy),
		"GetPolicy":               api.FormXML(s.getPolicy),
		"DeletePolicy":            api.FormXML(s.deletePolicy),
		"ListPolicies":            api.FormXML(s.listPolicies),
		"CreatePolicyVersion":     api.FormXML(s.createPolicyVersion),
		"GetPolicyVersion":        api.FormXML(s.getPolicyVersion),
		"ListPolicyVersions":      api.FormXML(s.listPolicyVersions),
		"SetDefaultPolicyVersion": api.FormXML(s.setDefaultPolicyVersion),
		"DeletePolicyVersion":     api.FormXML(s.deletePolicyVersion),
		"ListEntitiesForPolicy":   api.FormXML(s.listEntitiesForPolicy),
		"TagPolicy":               api.FormXML(s.tagPolicy),
		"UntagPolicy":             api.FormXML(s.untagPolicy),
		"ListPolicyTags":          api.FormXML(s.listPolicyTags),

		"GetAccountAuthorizationDetails": api.FormXML(s.details),
		"SimulatePrincipalPolicy":        api.FormXML(s.simulatePrincipalPolicy),
	}[operation]
}

// account returns an account's state; mu is held for writing.
func (s *Service) account(id string) *account {
	a, ok := s.accounts[id]
	if !ok {
		a = &account{roles: map[string]*role{}, users: map[string]*user{}, policies: map[string]*managedPolicy{}}
		s.accounts[id] = a
	}
	return a
}

// empty is the reply of operations without one. AWS still sends the result's
// element only where there is something in it.
type empty struct{}

// ask asks whether the caller may use the request's operation on a resource of
// IAM. It takes mu: don't hold it.
func ask(ctx context.Context, r *api.Request, resource string, more map[string][]string) error {
	r.TrailResources = append(r.TrailResources, resource)
	return r.Authorize(ctx, api.Check{Action: "iam:" + r.Operation, Resource: resource, Context: more})
}
