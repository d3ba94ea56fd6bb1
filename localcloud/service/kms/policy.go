package kms

import (
	"context"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

type putKeyPolicyInput struct {
	KeyID                          string `json:"KeyId"`
	PolicyName                     string
	Policy                         string
	BypassPolicyLockoutSafetyCheck bool
}

func (s *Service) putKeyPolicy(ctx context.Context, r *api.Request, in *putKeyPolicyInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.openCustomer(ctx, r, in.KeyID, "PutKeyPolicy")
	if err != nil {
		return nil, err
	}
	if err := checkPolicy(in.Policy); err != nil {
		return nil, err
	}
	k.policy = in.Policy
	return nil, nil
}

type getKeyPolicyInput struct {
	KeyID      string `json:"KeyId"`
	PolicyName string
}

type getKeyPolicyOutput struct{ Policy, PolicyName string }

func (s *Service) getKeyPolicy(ctx context.Context, r *api.Request, in *getKeyPolicyInput) (*getKeyPolicyOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.open(ctx, r, in.KeyID, "GetKeyPolicy", nil)
	if err != nil {
		return nil, err
	}
	if in.PolicyName != "" && in.PolicyName != "default" {
		return nil, api.Errorf("NotFoundException", "No such policy exists")
	}
	return &getKeyPolicyOutput{k.policy, "default"}, nil
}

type listKeyPoliciesInput struct {
	KeyID  string `json:"KeyId"`
	Limit  *int
	Marker string
}

type listKeyPoliciesOutput struct {
	PolicyNames []string
	Truncated   bool
}

func (s *Service) listKeyPolicies(ctx context.Context, r *api.Request, in *listKeyPoliciesInput) (*listKeyPoliciesOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.open(ctx, r, in.KeyID, "ListKeyPolicies", nil); err != nil {
		return nil, err
	}
	return &listKeyPoliciesOutput{PolicyNames: []string{"default"}}, nil
}

func (k *key) tagList() []tag {
	list := []tag{}
	for _, name := range sortedKeys(k.tags) {
		list = append(list, tag{name, k.tags[name]})
	}
	return list
}

type tagResourceInput struct {
	KeyID string `json:"KeyId"`
	Tags  []tag
}

func (s *Service) tagResource(ctx context.Context, r *api.Request, in *tagResourceInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.openCustomer(ctx, r, in.KeyID, "TagResource")
	if err != nil {
		return nil, err
	}
	for _, t := range in.Tags {
		if strings.HasPrefix(t.TagKey, "aws:") || t.TagKey == "" {
			return nil, api.Errorf("TagException", "The tag key %q is not allowed.", t.TagKey)
		}
	}
	for _, t := range in.Tags {
		k.tags[t.TagKey] = t.TagValue
	}
	return nil, nil
}

type untagResourceInput struct {
	KeyID   string `json:"KeyId"`
	TagKeys []string
}

func (s *Service) untagResource(ctx context.Context, r *api.Request, in *untagResourceInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.openCustomer(ctx, r, in.KeyID, "UntagResource")
	if err != nil {
		return nil, err
	}
	for _, name := range in.TagKeys {
		delete(k.tags, name)
	}
	return nil, nil
}

type listResourceTagsInput struct {
	KeyID  string `json:"KeyId"`
	Limit  *int
	Marker string
}

type listResourceTagsOutput struct {
	Tags      []tag
	Truncated bool
}

func (s *Service) listResourceTags(ctx context.Context, r *api.Request, in *listResourceTagsInput) (*listResourceTagsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.open(ctx, r, in.KeyID, "ListResourceTags", nil)
	if err != nil {
		return nil, err
	}
	return &listResourceTagsOutput{Tags: k.tagList()}, nil
}
