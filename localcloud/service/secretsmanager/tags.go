package secretsmanager

import (
	"context"
	"slices"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

const maxTags = 50

type tagInput struct {
	SecretId *string
	Tags     []tag
}

type untagInput struct {
	SecretId *string
	TagKeys  []string
}

func (c *constraints) tags(tags []tag) {
	for _, t := range tags {
		c.length("tags.key", &t.Key, 1, 128)
		c.length("tags.value", &t.Value, 0, 256)
	}
}

// checkTags checks what the shape of a tag doesn't say.
func checkTags(tags []tag) error {
	seen := map[string]bool{}
	for _, t := range tags {
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return errParameter("Tag keys can't start with the reserved prefix aws:.")
		}
		if seen[t.Key] {
			return errParameter("You can't specify the tag key %s more than once.", t.Key)
		}
		seen[t.Key] = true
	}
	if len(tags) > maxTags {
		return errParameter("A secret can't have more than %d tags.", maxTags)
	}
	return nil
}

func (s *Service) tagResource(ctx context.Context, r *api.Request, in *tagInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.openPrimary(ctx, r, "TagResource", in.SecretId, conditions{}.requestTags(in.Tags))
	if err != nil {
		return nil, err
	}
	var c constraints
	c.required("tags", in.Tags != nil)
	c.tags(in.Tags)
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	tags := slices.Clone(sec.tags)
	for _, t := range in.Tags {
		if i := slices.IndexFunc(tags, func(x tag) bool { return x.Key == t.Key }); i >= 0 {
			tags[i] = t
		} else {
			tags = append(tags, t)
		}
	}
	if err := checkTags(tags); err != nil {
		return nil, err
	}
	sec.tags, sec.changed = tags, r.Time
	s.replicate(r.Caller, sec)
	return &struct{}{}, nil
}

func (s *Service) untagResource(ctx context.Context, r *api.Request, in *untagInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := conditions{}
	if len(in.TagKeys) > 0 {
		keys["aws:TagKeys"] = in.TagKeys
	}
	sec, err := s.openPrimary(ctx, r, "UntagResource", in.SecretId, keys)
	if err != nil {
		return nil, err
	}
	var c constraints
	c.required("tagKeys", in.TagKeys != nil)
	if err := c.err(); err != nil {
		return nil, err
	}
	sec.tags = slices.DeleteFunc(slices.Clone(sec.tags), func(t tag) bool { return slices.Contains(in.TagKeys, t.Key) })
	sec.changed = r.Time
	s.replicate(r.Caller, sec)
	return &struct{}{}, nil
}
