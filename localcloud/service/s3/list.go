package s3

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

// maxKeys is the most that a page has.
const maxKeys = 1000

// page is what the three listings ask for.
type page struct {
	prefix, delimiter, after string
	max                      int
	encode                   bool // keys as in URLs
}

type item struct {
	Key          string
	LastModified stamp
	ETag         string
	Algorithm    string `xml:"ChecksumAlgorithm"`
	ChecksumType string
	Size         int
	StorageClass string
	Owner        *owner `xml:",omitempty"`
}

type prefixItem struct{ Prefix string }

type listOutput struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name, Prefix          string
	Delimiter             string  `xml:",omitempty"`
	Marker                *string `xml:",omitempty"`
	NextMarker            string  `xml:",omitempty"`
	StartAfter            string  `xml:",omitempty"`
	ContinuationToken     string  `xml:",omitempty"`
	NextContinuationToken string  `xml:",omitempty"`
	KeyCount              *int    `xml:",omitempty"`
	MaxKeys               int
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	Contents              []item
	CommonPrefixes        []prefixItem
}

// list reads a listing's parameters and asks whether the caller may list.
func (s *Service) list(ctx context.Context, r *api.Request, action string) (*bucket, page, error) {
	query := r.HTTP.URL.Query()
	p := page{prefix: query.Get("prefix"), delimiter: query.Get("delimiter"), max: maxKeys, encode: query.Get("encoding-type") == "url"}
	conditions := map[string][]string{"s3:prefix": {p.prefix}}
	if p.delimiter != "" {
		conditions["s3:delimiter"] = []string{p.delimiter}
	}
	if text := query.Get("max-keys"); text != "" {
		conditions["s3:max-keys"] = []string{text}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			r.AllowAll()
			return nil, p, badRequest("InvalidArgument", "Argument max-keys must be an integer between 0 and 2147483647")
		}
		p.max = min(n, maxKeys)
	}
	b, err := s.bucket(ctx, r, action, conditions)
	return b, p, err
}

// keys goes through the bucket's keys in order. each gets a key or, with a
// delimiter, a common prefix of several, and tells whether it takes it.
func (b *bucket) keys(p page, each func(key string, common bool) bool) {
	last := ""
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		if !strings.HasPrefix(key, p.prefix) {
			continue
		}
		name, common := key, false
		if p.delimiter != "" {
			if i := strings.Index(key[len(p.prefix):], p.delimiter); i >= 0 {
				name, common = key[:len(p.prefix)+i+len(p.delimiter)], true
			}
		}
		if name <= p.after || (common && name == last) || (common && strings.HasPrefix(p.after, name)) {
			continue
		}
		if !common && b.current(key) == nil {
			continue
		}
		if common && !b.hasCurrent(name) {
			continue
		}
		last = name
		if !each(name, common) {
			return
		}
	}
}

func (b *bucket) hasCurrent(prefix string) bool {
	for key := range b.objects {
		if strings.HasPrefix(key, prefix) && b.current(key) != nil {
			return true
		}
	}
	return false
}

// fill lists objects. It returns the last name listed if there are more.
func (b *bucket) fill(out *listOutput, p page, withOwner bool) string {
	show := func(s string) string { return s }
	if p.encode {
		out.EncodingType, show = "url", encodeKey
	}
	out.Name, out.Prefix, out.Delimiter, out.MaxKeys = b.name, show(p.prefix), show(p.delimiter), p.max
	last := ""
	b.keys(p, func(name string, common bool) bool {
		if len(out.Contents)+len(out.CommonPrefixes) >= p.max {
			out.IsTruncated = p.max > 0
			return false
		}
		last = name
		if common {
			out.CommonPrefixes = append(out.CommonPrefixes, prefixItem{show(name)})
			return true
		}
		v := b.current(name)
		i := item{show(name), stamp{v.modified}, v.etag, v.checksum.algorithm, "FULL_OBJECT", len(v.data), v.storageClass(), nil}
		if withOwner {
			o := ownerID(b.account)
			i.Owner = &o
		}
		out.Contents = append(out.Contents, i)
		return true
	})
	if !out.IsTruncated {
		return ""
	}
	return last
}

func (v *version) storageClass() string {
	if class := v.metadata.Get("X-Amz-Storage-Class"); class != "" {
		return class
	}
	return "STANDARD"
}

func encodeKey(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(key), "+", "%20"), "%2F", "/")
}

func (s *Service) listObjects(ctx context.Context, r *api.Request) (any, error) {
	b, p, err := s.list(ctx, r, "ListBucket")
	if err != nil {
		return nil, err
	}
	p.after = r.HTTP.URL.Query().Get("marker")
	s.mu.RLock()
	defer s.mu.RUnlock()
	marker := p.after
	out := &listOutput{Marker: &marker}
	if last := b.fill(out, p, true); p.delimiter != "" {
		out.NextMarker = last
	}
	return out, nil
}

func (s *Service) listObjectsV2(ctx context.Context, r *api.Request) (any, error) {
	b, p, err := s.list(ctx, r, "ListBucket")
	if err != nil {
		return nil, err
	}
	query := r.HTTP.URL.Query()
	out := &listOutput{ContinuationToken: query.Get("continuation-token"), StartAfter: query.Get("start-after")}
	p.after = out.StartAfter
	if out.ContinuationToken != "" {
		if p.after, err = decodeToken(out.ContinuationToken); err != nil {
			return nil, err
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if last := b.fill(out, p, query.Get("fetch-owner") == "true"); last != "" {
		out.NextContinuationToken = encodeToken(last)
	}
	n := len(out.Contents) + len(out.CommonPrefixes)
	out.KeyCount = &n
	return out, nil
}

func encodeToken(key string) string { return base64.RawURLEncoding.EncodeToString([]byte(key)) }

func decodeToken(token string) (string, error) {
	key, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", badRequest("InvalidArgument", "The continuation token provided is incorrect")
	}
	return string(key), nil
}

type versionItem struct {
	XMLName      xml.Name
	Key          string
	VersionId    string
	IsLatest     bool
	LastModified stamp
	ETag         string `xml:",omitempty"`
	Size         *int   `xml:",omitempty"`
	StorageClass string `xml:",omitempty"`
	Owner        owner
}

type versionsOutput struct {
	XMLName             xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListVersionsResult"`
	Name, Prefix        string
	KeyMarker           string
	VersionIdMarker     string
	NextKeyMarker       string `xml:",omitempty"`
	NextVersionIdMarker string `xml:",omitempty"`
	MaxKeys             int
	EncodingType        string `xml:",omitempty"`
	IsTruncated         bool
	Items               []versionItem
}

// listObjectVersions lists all versions, the newest of each key first.
func (s *Service) listObjectVersions(ctx context.Context, r *api.Request) (any, error) {
	b, p, err := s.list(ctx, r, "ListBucketVersions")
	if err != nil {
		return nil, err
	}
	if p.delimiter != "" {
		return nil, unsupported("a delimiter in ListObjectVersions")
	}
	show := func(s string) string { return s }
	query := r.HTTP.URL.Query()
	out := &versionsOutput{Name: b.name, Prefix: p.prefix, MaxKeys: p.max, KeyMarker: query.Get("key-marker"), VersionIdMarker: query.Get("version-id-marker")}
	if p.encode {
		out.EncodingType, show = "url", encodeKey
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		if !strings.HasPrefix(key, p.prefix) || key < out.KeyMarker || (key == out.KeyMarker && out.VersionIdMarker == "") {
			continue
		}
		skip := key == out.KeyMarker // up to the version of the marker
		for i, v := range slices.Backward(b.objects[key]) {
			if skip {
				skip = v.id != out.VersionIdMarker
				continue
			}
			if len(out.Items) == p.max {
				last := out.Items[len(out.Items)-1]
				out.IsTruncated, out.NextKeyMarker, out.NextVersionIdMarker = true, last.Key, last.VersionId
				return out, nil
			}
			out.Items = append(out.Items, b.versionItem(v, show(key), i == len(b.objects[key])-1))
		}
	}
	return out, nil
}

func (b *bucket) versionItem(v *version, key string, latest bool) versionItem {
	i := versionItem{
		XMLName: xml.Name{Local: "DeleteMarker"}, Key: key, VersionId: v.id, IsLatest: latest,
		LastModified: stamp{v.modified}, Owner: ownerID(b.account),
	}
	if !v.marker {
		size := len(v.data)
		i.XMLName.Local, i.ETag, i.Size, i.StorageClass = "Version", v.etag, &size, v.storageClass()
	}
	return i
}
