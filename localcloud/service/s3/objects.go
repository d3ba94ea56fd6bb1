package s3

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's ETag, no protection
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// Limits of an object.
const (
	maxKey      = 1024 // bytes
	maxMetadata = 2 << 10
	maxTags     = 10
)

// version is a version of an object, or a delete marker.
type version struct {
	key, id  string
	marker   bool
	data     []byte
	etag     string // with its quotes
	modified time.Time
	metadata http.Header
	checksum checksum
	tags     map[string]string
	sealed   seal
	lock     lock
}

// seal is how an object is encrypted.
type seal struct {
	algorithm string // AES256 or aws:kms
	keyARN    string
	dataKey   []byte // encrypted by KMS
	bucketKey bool
	context   map[string]string
}

// nullVersion is the ID of a version that was put while versioning was off.
const nullVersion = "null"

// kept are the headers that an object keeps and gives back.
var kept = []string{"Content-Type", "Cache-Control", "Content-Disposition", "Content-Language", "Expires", "X-Amz-Storage-Class", "X-Amz-Website-Redirect-Location"}

// refused are headers that would have an effect that the emulator doesn't know.
var refused = []string{"X-Amz-Server-Side-Encryption-Customer-Algorithm", "X-Amz-Grant-Read", "X-Amz-Grant-Full-Control", "X-Amz-Write-Offset-Bytes"}

// current is the newest version of an object; nil for none, and when that is a
// delete marker.
func (b *bucket) current(key string) *version {
	list := b.objects[key]
	if len(list) == 0 || list[len(list)-1].marker {
		return nil
	}
	return list[len(list)-1]
}

// find finds a version, or the current one for "".
func (b *bucket) find(key, id string) (*version, error) {
	if id == "" {
		if v := b.current(key); v != nil {
			return v, nil
		}
		e := fail(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
		if list := b.objects[key]; len(list) > 0 {
			e.Fields = map[string]any{"X-Amz-Delete-Marker": "true", "X-Amz-Version-Id": list[len(list)-1].id}
		}
		return nil, e
	}
	for _, v := range b.objects[key] {
		if v.id == id && v.marker {
			e := fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
			e.Fields = map[string]any{"X-Amz-Delete-Marker": "true", "X-Amz-Version-Id": id}
			return nil, e
		} else if v.id == id {
			return v, nil
		}
	}
	return nil, fail(http.StatusNotFound, "NoSuchVersion", "The specified version does not exist.")
}

// add makes v the current version of its key.
func (s *Service) add(b *bucket, v *version) error {
	v.id = nullVersion
	if b.versioning() == "Enabled" {
		random := make([]byte, 24)
		if _, err := io.ReadFull(s.env.Rand, random); err != nil {
			return fmt.Errorf("make a version ID: %w", err)
		}
		v.id = base64.RawURLEncoding.EncodeToString(random)
	}
	list := slices.DeleteFunc(slices.Clone(b.objects[v.key]), func(old *version) bool { return v.id == nullVersion && old.id == nullVersion })
	b.objects[v.key] = append(list, v)
	return nil
}

func (b *bucket) remove(v *version) {
	list := slices.DeleteFunc(slices.Clone(b.objects[v.key]), func(old *version) bool { return old == v })
	if len(list) == 0 {
		delete(b.objects, v.key)
		return
	}
	b.objects[v.key] = list
}

// putObject stores an object as a whole, if the request's conditions hold.
func (s *Service) putObject(ctx context.Context, r *api.Request) (any, error) {
	header := r.HTTP.Header
	if err := s.mayPut(ctx, r); err != nil {
		return nil, err
	}
	body, sum, err := readBody(r)
	if err != nil {
		return nil, err
	}
	v := &version{key: r.Path["Key"], data: body, checksum: sum, modified: r.Time.Truncate(time.Second), metadata: metadata(header)}
	if v.tags, err = parseTags(header.Get("X-Amz-Tagging")); err != nil {
		return nil, err
	}
	return s.store(ctx, r, v)
}

// mayPut checks what a request to make an object says, and asks for it.
func (s *Service) mayPut(ctx context.Context, r *api.Request) error {
	header := r.HTTP.Header
	conditions := map[string][]string{}
	for _, name := range []string{"X-Amz-Acl", "X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "X-Amz-Storage-Class", "If-Match", "If-None-Match"} {
		if value := header.Get(name); value != "" {
			conditions["s3:"+strings.ToLower(name)] = []string{value}
		}
	}
	if _, err := s.bucket(ctx, r, "PutObject", conditions); err != nil {
		return err
	}
	for name, action := range map[string]string{
		"X-Amz-Tagging": "PutObjectTagging", "X-Amz-Object-Lock-Mode": "PutObjectRetention", "X-Amz-Object-Lock-Legal-Hold": "PutObjectLegalHold",
	} {
		if header.Get(name) != "" {
			if _, err := s.bucket(ctx, r, action, nil); err != nil {
				return err
			}
		}
	}
	for _, name := range refused {
		if header.Get(name) != "" {
			return unsupported("the header " + name)
		}
	}
	if acl := header.Get("X-Amz-Acl"); acl != "" && acl != "private" && acl != "bucket-owner-full-control" {
		return badRequest("AccessControlListNotSupported", "The bucket does not allow ACLs")
	}
	if len(r.Path["Key"]) > maxKey {
		return badRequest("KeyTooLongError", "Your key is too long")
	}
	return nil
}

func metadata(header http.Header) http.Header {
	out := http.Header{}
	for _, name := range kept {
		if v := header.Get(name); v != "" {
			out.Set(name, v)
		}
	}
	if out.Get("Content-Type") == "" {
		out.Set("Content-Type", "binary/octet-stream")
	}
	// aws-chunked is the request's encoding, not the object's.
	encodings := slices.DeleteFunc(strings.Split(header.Get("Content-Encoding"), ","), func(e string) bool {
		return strings.TrimSpace(e) == "aws-chunked" || strings.TrimSpace(e) == ""
	})
	if len(encodings) > 0 {
		out.Set("Content-Encoding", strings.Join(encodings, ","))
	}
	for name, values := range header {
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			out[name] = values
		}
	}
	return out
}

// store checks the conditions and adds the version, encrypted.
func (s *Service) store(ctx context.Context, r *api.Request, v *version) (*api.Reply, error) {
	size := 0
	for name, values := range v.metadata {
		if meta, ok := strings.CutPrefix(name, "X-Amz-Meta-"); ok {
			size += len(meta) + len(values[0])
		}
	}
	if size > maxMetadata {
		return nil, badRequest("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(r)
	if err != nil {
		return nil, err
	}
	if err := writeConditions(r.HTTP.Header, b.current(v.key)); err != nil {
		return nil, err
	}
	if v.lock, err = b.lockOf(r); err != nil {
		return nil, err
	}
	if v.sealed, err = s.seal(ctx, r, b, v); err != nil {
		return nil, err
	}
	sum := md5.Sum(v.data) //nolint:gosec // as above
	if v.sealed.algorithm == "aws:kms" {
		// No digest of the data, but something unique.
		if _, err := io.ReadFull(s.env.Rand, sum[:]); err != nil {
			return nil, fmt.Errorf("make an ETag: %w", err)
		}
	}
	v.etag = `"` + hex.EncodeToString(sum[:]) + `"`
	if err := s.add(b, v); err != nil {
		return nil, err
	}
	header := http.Header{"Etag": {v.etag}, "X-Amz-Checksum-Type": {"FULL_OBJECT"}}
	header.Set(v.checksum.header(), v.checksum.value)
	v.sealed.show(header)
	if b.versioning() != "" {
		header.Set("X-Amz-Version-Id", v.id)
	}
	return &api.Reply{Header: header}, nil
}

// writeConditions are If-Match and If-None-Match of a conditional write.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
func writeConditions(header http.Header, current *version) error {
	match, none := header.Get("If-Match"), header.Get("If-None-Match")
	switch {
	case none != "" && none != "*":
		return fail(http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented")
	case none == "*" && current != nil, match != "" && current != nil && !sameTag(match, current.etag):
		return fail(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	case match != "" && current == nil:
		return fail(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	}
	return nil
}

func sameTag(want, etag string) bool {
	return want == "*" || strings.Trim(want, `"`) == strings.Trim(etag, `"`)
}

// seal encrypts an object as the request or else the bucket says. s.mu is held.
func (s *Service) seal(ctx context.Context, r *api.Request, b *bucket, v *version) (seal, error) {
	var rule encryptionRule
	b.read("encryption", &rule)
	header := r.HTTP.Header
	if algorithm := header.Get("X-Amz-Server-Side-Encryption"); algorithm != "" {
		rule = encryptionRule{algorithm, header.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"), rule.BucketKey}
	}
	if text := header.Get("X-Amz-Server-Side-Encryption-Bucket-Key-Enabled"); text != "" {
		rule.BucketKey = text == "true"
	}
	switch rule.Algorithm {
	case "AES256":
		return seal{algorithm: "AES256"}, nil
	case "aws:kms":
	default:
		return seal{}, unsupported("the encryption " + rule.Algorithm)
	}
	if rule.Key == "" {
		rule.Key = "alias/aws/s3"
	}
	out := seal{algorithm: "aws:kms", bucketKey: rule.BucketKey, context: map[string]string{"aws:s3:arn": objectARN(b.name, v.key)}}
	if rule.BucketKey {
		out.context["aws:s3:arn"] = bucketARN(b.name)
	}
	if text := header.Get("X-Amz-Server-Side-Encryption-Context"); text != "" {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || json.Unmarshal(raw, &out.context) != nil {
			return seal{}, badRequest("InvalidArgument", "The header 'x-amz-server-side-encryption-context' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map")
		}
	}
	dataKey := make([]byte, 32)
	if _, err := io.ReadFull(s.env.Rand, dataKey); err != nil {
		return seal{}, fmt.Errorf("make a data key: %w", err)
	}
	var err error
	out.dataKey, out.keyARN, err = s.keys.Encrypt(ctx, via(r.Caller, r.Region), r.Region, rule.Key, dataKey, out.context)
	return out, err
}

// show puts the encryption into the headers of a reply.
func (e seal) show(header http.Header) {
	header.Set("X-Amz-Server-Side-Encryption", e.algorithm)
	if e.algorithm == "aws:kms" {
		header.Set("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", e.keyARN)
		if e.bucketKey {
			header.Set("X-Amz-Server-Side-Encryption-Bucket-Key-Enabled", "true")
		}
	}
}

// object finds the version that a request reads. Whoever may not list the
// bucket doesn't learn that an object isn't there.
func (s *Service) object(ctx context.Context, r *api.Request, action string) (*bucket, *version, error) {
	id := r.HTTP.URL.Query().Get("versionId")
	var conditions map[string][]string
	if id != "" {
		action = strings.Replace(action, "Object", "ObjectVersion", 1)
		conditions = map[string][]string{"s3:VersionId": {id}}
	}
	b, err := s.bucket(ctx, r, action, conditions)
	if err != nil {
		return nil, nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, err := b.find(r.Path["Key"], id)
	if err != nil {
		if denied := s.authorize(ctx, r, b, "ListBucket", "", nil); denied != nil {
			return nil, nil, denied
		}
	}
	return b, v, err
}

// getObject is GetObject and HeadObject.
func (s *Service) getObject(ctx context.Context, r *api.Request) (any, error) {
	b, v, err := s.object(ctx, r, "GetObject")
	if err != nil {
		return nil, err
	}
	header := r.HTTP.Header
	if err := readConditions(header, v); err != nil {
		return nil, err
	}
	if v.sealed.dataKey != nil {
		if _, err := s.keys.Decrypt(ctx, via(r.Caller, r.Region), r.Region, v.sealed.dataKey, v.sealed.context); err != nil {
			return nil, err
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := v.metadata.Clone()
	out.Set("Etag", v.etag)
	out.Set("Last-Modified", v.modified.UTC().Format(http.TimeFormat))
	out.Set("Accept-Ranges", "bytes")
	v.sealed.show(out)
	v.lock.show(out)
	if b.versioning() != "" {
		out.Set("X-Amz-Version-Id", v.id)
	}
	if n := len(v.tags); n > 0 {
		out.Set("X-Amz-Tagging-Count", strconv.Itoa(n))
	}
	data, status := v.data, http.StatusOK
	if text := header.Get("Range"); text != "" {
		from, to, ok := parseRange(text, len(data))
		if !ok {
			return nil, fail(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable")
		}
		out.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(data)))
		data, status = data[from:to], http.StatusPartialContent
	} else if header.Get("X-Amz-Checksum-Mode") == "ENABLED" {
		out.Set(v.checksum.header(), v.checksum.value)
		out.Set("X-Amz-Checksum-Type", "FULL_OBJECT")
	}
	out.Set("Content-Length", strconv.Itoa(len(data)))
	if r.HTTP.Method == http.MethodHead {
		data = []byte{}
	}
	return &api.Reply{Status: status, Header: out, Body: data}, nil
}

// readConditions are those of RFC 9110, section 13.
func readConditions(header http.Header, v *version) error {
	failed := fail(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	unchanged := fail(http.StatusNotModified, "NotModified", "Not Modified")
	if match := header.Get("If-Match"); match != "" {
		if !sameTag(match, v.etag) {
			return failed
		}
	} else if since, err := http.ParseTime(header.Get("If-Unmodified-Since")); err == nil && v.modified.After(since) {
		return failed
	}
	if none := header.Get("If-None-Match"); none != "" {
		if sameTag(none, v.etag) {
			return unchanged
		}
	} else if since, err := http.ParseTime(header.Get("If-Modified-Since")); err == nil && !v.modified.After(since) {
		return unchanged
	}
	return nil
}

// parseRange reads one range of bytes; [from, to).
func parseRange(text string, size int) (from, to int, ok bool) {
	first, last, ok := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
	if !ok {
		return 0, 0, false
	}
	if first == "" { // the last n bytes
		n, err := strconv.Atoi(last)
		return max(0, size-n), size, err == nil && n > 0 && size > 0
	}
	from, err := strconv.Atoi(first)
	if err != nil || from < 0 || from >= size {
		return 0, 0, false
	}
	to = size
	if last != "" {
		n, err := strconv.Atoi(last)
		if err != nil || n < from {
			return 0, 0, false
		}
		to = min(size, n+1)
	}
	return from, to, true
}

// copyObject copies within and between buckets of the region.
func (s *Service) copyObject(ctx context.Context, r *api.Request) (any, error) {
	if err := s.mayPut(ctx, r); err != nil {
		return nil, err
	}
	from, query, _ := strings.Cut(r.HTTP.Header.Get("X-Amz-Copy-Source"), "?")
	from, err := url.PathUnescape(strings.TrimPrefix(from, "/"))
	bucketName, key, ok := strings.Cut(from, "/")
	if err != nil || !ok {
		return nil, badRequest("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	}
	source := *r.HTTP
	source.URL = &url.URL{Path: "/" + from, RawQuery: query}
	source.Header = http.Header{}
	read := *r
	read.HTTP, read.Path = &source, map[string]string{"BucketName": bucketName, "Key": key}
	_, old, err := s.object(ctx, &read, "GetObject")
	if err != nil {
		return nil, err
	}
	if old.sealed.dataKey != nil {
		if _, err := s.keys.Decrypt(ctx, via(r.Caller, r.Region), r.Region, old.sealed.dataKey, old.sealed.context); err != nil {
			return nil, err
		}
	}
	s.mu.RLock()
	v := &version{key: r.Path["Key"], data: old.data, checksum: old.checksum, modified: r.Time.Truncate(time.Second), metadata: old.metadata.Clone(), tags: maps.Clone(old.tags)}
	s.mu.RUnlock()
	if r.HTTP.Header.Get("X-Amz-Metadata-Directive") == "REPLACE" {
		v.metadata = metadata(r.HTTP.Header)
	}
	reply, err := s.store(ctx, r, v)
	if err != nil {
		return nil, err
	}
	reply.Body = &copyOutput{ETag: v.etag, LastModified: stamp{v.modified}}
	return reply, nil
}
