package s3

import (
	"context"
	"encoding/xml"
	"maps"
	"net/url"
	"slices"

	"github.com/aistudio/secrets/localcloud/api"
)

type tagging struct {
	XMLName xml.Name                      `xml:"Tagging"`
	Tags    []struct{ Key, Value string } `xml:"TagSet>Tag"`
}

// parseTags reads the tags of an upload's header.
func parseTags(text string) (map[string]string, error) {
	values, err := url.ParseQuery(text)
	if err != nil || len(values) > maxTags {
		return nil, badRequest("InvalidTag", "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates, at most %d.", maxTags)
	}
	tags := map[string]string{}
	for k := range values {
		tags[k] = values.Get(k)
	}
	return tags, nil
}

func (s *Service) getObjectTagging(ctx context.Context, r *api.Request) (any, error) {
	_, v, err := s.object(ctx, r, "GetObjectTagging")
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := &tagging{}
	for _, k := range slices.Sorted(maps.Keys(v.tags)) {
		out.Tags = append(out.Tags, struct{ Key, Value string }{k, v.tags[k]})
	}
	return out, nil
}

func (s *Service) putObjectTagging(ctx context.Context, r *api.Request) (any, error) {
	_, v, err := s.object(ctx, r, "PutObjectTagging")
	if err != nil {
		return nil, err
	}
	body, _, err := readBody(r)
	if err != nil {
		return nil, err
	}
	var in tagging
	if err := parse(body, &in, "Tagging", "TagSet", "Tag", "Key", "Value"); err != nil {
		return nil, err
	}
	if len(in.Tags) > maxTags {
		return nil, badRequest("BadRequest", "Object tags cannot be greater than %d", maxTags)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v.tags = map[string]string{}
	for _, t := range in.Tags {
		v.tags[t.Key] = t.Value
	}
	return &api.Reply{}, nil
}

func (s *Service) deleteObjectTagging(ctx context.Context, r *api.Request) (any, error) {
	_, v, err := s.object(ctx, r, "DeleteObjectTagging")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v.tags = nil
	return noContent(), nil
}
