// Package s3 is the local cloud's Amazon Simple Storage Service: buckets with
// versioning, default encryption, policies, public access blocks and object
// lock, and objects with checksums and conditional requests. Uploads in parts,
// access lists, replication and websites are refused. The rules of lifecycle
// configurations and of logging are kept and not carried out.
package s3

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is Amazon S3.
type Service struct {
	env      *api.Env
	keys     keys
	handlers map[string]api.Handler

	mu      sync.RWMutex
	buckets map[string]*bucket // names are unique among all accounts and regions
}

// keys is what S3 needs of KMS for objects that a key of the caller's encrypts.
type keys interface {
	Encrypt(ctx context.Context, caller api.Caller, region, keyID string, plaintext []byte, encryptionContext map[string]string) (ciphertext []byte, keyARN string, err error)
	Decrypt(ctx context.Context, caller api.Caller, region string, ciphertext []byte, encryptionContext map[string]string) ([]byte, error)
}

type bucket struct {
	name, account, region string
	created               time.Time
	// configurations are the documents of the bucket's parts, as they were put.
	configurations map[string]document
	policy         string
	locked         bool // object lock is on, for ever
	objects        map[string][]*version
}

// New makes an S3 without buckets.
func New(env *api.Env, k keys) *Service {
	s := &Service{env: env, keys: k, buckets: map[string]*bucket{}}
	s.handlers = map[string]api.Handler{
		"ListBuckets":           s.listBuckets,
		"CreateBucket":          s.createBucket,
		"DeleteBucket":          s.deleteBucket,
		"HeadBucket":            s.headBucket,
		"GetBucketLocation":     s.getBucketLocation,
		"GetBucketAcl":          s.getBucketACL,
		"GetBucketPolicy":       s.getBucketPolicy,
		"PutBucketPolicy":       s.putBucketPolicy,
		"DeleteBucketPolicy":    s.deleteBucketPolicy,
		"GetBucketPolicyStatus": s.getBucketPolicyStatus,
		"ListObjects":           s.listObjects,
		"ListObjectsV2":         s.listObjectsV2,
		"ListObjectVersions":    s.listObjectVersions,
		"PutObject":             s.putObject,
		"CopyObject":            s.copyObject,
		"GetObject":             s.getObject,
		"HeadObject":            s.getObject,
		"DeleteObject":          s.deleteObject,
		"DeleteObjects":         s.deleteObjects,
		"GetObjectTagging":      s.getObjectTagging,
		"PutObjectTagging":      s.putObjectTagging,
		"DeleteObjectTagging":   s.deleteObjectTagging,
		"GetObjectRetention":    s.getObjectRetention,
		"PutObjectRetention":    s.putObjectRetention,
		"GetObjectLegalHold":    s.getObjectLegalHold,
		"PutObjectLegalHold":    s.putObjectLegalHold,
	}
	for name, c := range configurations {
		if c.element == "" {
			continue // the policy, which is no XML
		}
		s.handlers[c.operation(http.MethodGet)] = s.getConfiguration(name, c)
		s.handlers[c.operation(http.MethodPut)] = s.putConfiguration(name, c)
		if c.delete != "" {
			s.handlers[c.delete] = s.deleteConfiguration(name, c)
		}
	}
	return s
}

// Name implements api.Service.
func (s *Service) Name() string { return "s3" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return protocol{} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	h := s.handlers[operation]
	if h == nil {
		return nil
	}
	return func(ctx context.Context, r *api.Request) (any, error) {
		// CloudTrail shows no body of S3's.
		r.TrailParams = map[string]any{}
		if name := r.Path["BucketName"]; name != "" {
			r.TrailParams["bucketName"] = name
			r.TrailResources = []string{bucketARN(name)}
		}
		if key := r.Path["Key"]; key != "" {
			r.TrailParams["key"] = key
			r.TrailResources = append(r.TrailResources, objectARN(r.Path["BucketName"], key))
		}
		return h(ctx, r)
	}
}

func bucketARN(name string) string { return "arn:aws:s3:::" + name }

func objectARN(bucket, key string) string { return bucketARN(bucket) + "/" + key }

func fail(status int, code, format string, args ...any) *api.Error {
	return api.StatusErrorf(status, code, format, args...)
}

func badRequest(code, format string, args ...any) error {
	return fail(http.StatusBadRequest, code, format, args...)
}

func unsupported(what string) error {
	return fail(http.StatusNotImplemented, api.ErrUnsupportedMember, "The emulator does not support %s.", what)
}

// bucket finds the bucket of a request and asks whether the caller may do
// something to it or, with a key, to its objects.
func (s *Service) bucket(ctx context.Context, r *api.Request, action string, conditions map[string][]string) (*bucket, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, err := s.find(r)
	if err != nil {
		return nil, err
	}
	return b, s.authorize(ctx, r, b, action, r.Path["Key"], conditions)
}

// find finds the bucket of a request. s.mu is held.
func (s *Service) find(r *api.Request) (*bucket, error) {
	b := s.buckets[r.Path["BucketName"]]
	if b == nil {
		r.AllowAll()
		return nil, fail(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	}
	if b.region != r.Region {
		r.AllowAll()
		e := fail(http.StatusMovedPermanently, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.")
		e.Fields = map[string]any{"X-Amz-Bucket-Region": b.region}
		return nil, e
	}
	if owner := r.HTTP.Header.Get("X-Amz-Expected-Bucket-Owner"); owner != "" && owner != b.account {
		r.AllowAll()
		return nil, fail(http.StatusForbidden, "AccessDenied", "Access Denied")
	}
	return b, nil
}

func (s *Service) authorize(ctx context.Context, r *api.Request, b *bucket, action, key string, conditions map[string][]string) error {
	resource := bucketARN(b.name)
	if key != "" {
		resource = objectARN(b.name, key)
	}
	return r.Authorize(ctx, api.Check{
		Action: "s3:" + action, Resource: resource, Account: b.account, ResourcePolicy: b.policy, Context: conditions,
	})
}

// via is the caller as KMS sees it.
func via(c api.Caller, region string) api.Caller {
	c.Via = "s3." + region + ".amazonaws.com"
	return c
}

var (
	nameForm    = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	addressForm = regexp.MustCompile(`^\d+\.\d+\.\d+\.\d+$`)
)

// validName applies the rules for general purpose buckets:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
func validName(name string) bool {
	return nameForm.MatchString(name) && !addressForm.MatchString(name) && !strings.Contains(name, "..") &&
		!slices.ContainsFunc([]string{"xn--", "sthree-", "amzn-s3-demo-"}, func(p string) bool { return strings.HasPrefix(name, p) }) &&
		!slices.ContainsFunc([]string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"}, func(p string) bool { return strings.HasSuffix(name, p) })
}
