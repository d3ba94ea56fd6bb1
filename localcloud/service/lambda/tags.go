package lambda

import (
	"context"
	"maps"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

const maxTags = 50

func validateTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return invalid("The number of tags exceeds the limit of %d.", maxTags)
	}
	for k, v := range tags {
		if k == "" || len(k) > 128 || len(v) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return invalid("The tag key %q, or its value, is not valid: keys have 1 to 128 characters and don't begin with aws:, values have at most 256.", k)
		}
	}
	return nil
}

// tagged finds the function that a tag operation is about and asks IAM.
func (s *Service) tagged(ctx context.Context, r *api.Request, action string, tags map[string]string, keys []string) (reference, error) {
	ref, err := parseReference(r.Path["Resource"], "", r.Region, r.Account)
	if err != nil {
		return ref, err
	}
	if ref.qualifier != "" {
		return ref, invalid("Tags on function aliases and versions are not supported. Please specify either a function arn.")
	}
	r.TrailResources = []string{ref.arn()}
	check := s.check(ref, "lambda:"+action)
	for k, v := range tags {
		check.Context["aws:RequestTag/"+k] = []string{v}
		keys = append(keys, k)
	}
	if len(keys) > 0 {
		check.Context["aws:TagKeys"] = keys
	}
	return ref, r.Authorize(ctx, check)
}

type tagsOutput struct{ Tags map[string]string }

func (s *Service) listTags(ctx context.Context, r *api.Request, _ *empty) (*tagsOutput, error) {
	ref, err := s.tagged(ctx, r, "ListTags", nil, nil)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, _, err := s.find(ref)
	if err != nil {
		return nil, err
	}
	out := &tagsOutput{map[string]string{}}
	maps.Copy(out.Tags, f.tags)
	return out, nil
}

type tagInput struct{ Tags map[string]string }

func (s *Service) tagResource(ctx context.Context, r *api.Request, in *tagInput) (*api.Reply, error) {
	ref, err := s.tagged(ctx, r, "TagResource", in.Tags, nil)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, _, err := s.find(ref)
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	maps.Copy(tags, f.tags)
	maps.Copy(tags, in.Tags)
	if err := validateTags(tags); err != nil {
		return nil, err
	}
	f.tags = tags
	return noContent(), nil
}

func (s *Service) untagResource(ctx context.Context, r *api.Request, _ *empty) (*api.Reply, error) {
	keys := r.HTTP.URL.Query()["tagKeys"]
	ref, err := s.tagged(ctx, r, "UntagResource", nil, keys)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, _, err := s.find(ref)
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	maps.Copy(tags, f.tags)
	for _, k := range keys {
		delete(tags, k)
	}
	f.tags = tags
	return noContent(), nil
}
