package s3

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"

	"github.com/aistudio/secrets/localcloud/api"
)

type copyOutput struct {
	XMLName      xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyObjectResult"`
	ETag         string
	LastModified stamp
}

// deleteObject deletes a version, or puts a delete marker on top of them all.
func (s *Service) deleteObject(ctx context.Context, r *api.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(r)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	v, err := s.remove(ctx, r, b, r.Path["Key"], r.HTTP.URL.Query().Get("versionId"), r.HTTP.Header.Get("If-Match"))
	if err != nil {
		return nil, err
	}
	if v != nil && b.versioning() != "" {
		header.Set("X-Amz-Version-Id", v.id)
		if v.marker {
			header.Set("X-Amz-Delete-Marker", "true")
		}
	}
	return &api.Reply{Status: http.StatusNoContent, Header: header}, nil
}

// remove returns the version that went or the marker that came; nil if there was
// nothing to do. s.mu is held.
func (s *Service) remove(ctx context.Context, r *api.Request, b *bucket, key, id, match string) (*version, error) {
	action := "DeleteObject"
	var conditions map[string][]string
	if id != "" {
		action, conditions = "DeleteObjectVersion", map[string][]string{"s3:VersionId": {id}}
	}
	if err := s.authorize(ctx, r, b, action, key, conditions); err != nil {
		return nil, err
	}
	if match != "" {
		if err := writeConditions(http.Header{"If-Match": {match}}, b.current(key)); err != nil {
			return nil, err
		}
	}
	if id != "" {
		for _, v := range b.objects[key] {
			if v.id != id {
				continue
			}
			if err := s.mayRemove(ctx, r, b, v); err != nil {
				return nil, err
			}
			b.remove(v)
			return v, nil
		}
		return nil, nil //nolint:nilnil // deleting is idempotent
	}
	if b.versioning() == "" {
		v := b.current(key)
		if v != nil {
			b.remove(v)
		}
		return v, nil
	}
	marker := &version{key: key, marker: true, modified: r.Time}
	return marker, s.add(b, marker)
}

type deleteInput struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool
	Object  []struct{ Key, VersionId, ETag string }
}

type deleteOutput struct {
	XMLName xml.Name      `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
	Deleted []deletedItem `xml:",omitempty"`
	Error   []deleteError `xml:",omitempty"`
}

type deletedItem struct {
	Key                   string
	VersionId             string `xml:",omitempty"`
	DeleteMarker          bool   `xml:",omitempty"`
	DeleteMarkerVersionId string `xml:",omitempty"`
}

type deleteError struct {
	Key       string
	VersionId string `xml:",omitempty"`
	Code      string
	Message   string
}

// deleteObjects deletes up to 1000, each for itself.
func (s *Service) deleteObjects(ctx context.Context, r *api.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(r)
	if err != nil {
		return nil, err
	}
	r.AllowAll() // each object is asked for below
	body, _, err := readBody(r)
	if err != nil {
		return nil, err
	}
	var in deleteInput
	if err := parse(body, &in, "Delete", "Quiet", "Object", "Key", "VersionId", "ETag"); err != nil {
		return nil, err
	}
	if len(in.Object) == 0 || len(in.Object) > 1000 {
		return nil, malformed()
	}
	out := &deleteOutput{}
	for _, o := range in.Object {
		v, err := s.remove(ctx, r, b, o.Key, o.VersionId, o.ETag)
		var apiErr *api.Error
		switch {
		case errors.As(err, &apiErr):
			code := apiErr.Code
			if code == "AccessDeniedException" {
				code = "AccessDenied"
			}
			out.Error = append(out.Error, deleteError{o.Key, o.VersionId, code, apiErr.Message})
		case err != nil:
			return nil, err
		case in.Quiet:
		default:
			item := deletedItem{Key: o.Key, VersionId: o.VersionId}
			if v != nil && v.marker {
				item.DeleteMarker, item.DeleteMarkerVersionId = true, v.id
			}
			out.Deleted = append(out.Deleted, item)
		}
	}
	return out, nil
}
