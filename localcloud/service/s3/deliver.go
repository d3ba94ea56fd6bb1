package s3

import (
	"context"
	"net/http"
	"net/url"

	"github.com/aistudio/secrets/localcloud/api"
)

// MayDeliver tells whether another service, which calls as itself, may look at
// the access list of a bucket and put an object into it, with its encryption.
// Nothing is put.
func (s *Service) MayDeliver(ctx context.Context, caller api.Caller, bucket, key string, header http.Header) error {
	r, err := s.delivery(caller, bucket, key, nil, header)
	if err != nil {
		return err
	}
	s.mu.RLock()
	b, err := s.find(r)
	if err == nil {
		err = s.authorize(ctx, r, b, "GetBucketAcl", "", nil)
	}
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	if err := s.mayPut(ctx, r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.seal(ctx, r, b, &version{key: key})
	return err
}

// Deliver puts an object for another service, which calls as itself.
func (s *Service) Deliver(ctx context.Context, caller api.Caller, bucket, key string, body []byte, header http.Header) error {
	r, err := s.delivery(caller, bucket, key, body, header)
	if err != nil {
		return err
	}
	_, err = s.putObject(ctx, r)
	return err
}

func (s *Service) delivery(caller api.Caller, bucket, key string, body []byte, header http.Header) (*api.Request, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.buckets[bucket]
	if b == nil {
		return nil, fail(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	}
	return api.NewRequest(api.Request{
		HTTP: &http.Request{Method: http.MethodPut, Header: header, URL: &url.URL{Path: "/" + bucket + "/" + key}}, Body: body,
		Service: s.Name(), Operation: "PutObject", Region: b.region, Account: caller.Account, Caller: caller, Time: s.env.Clock.Now(),
		Path: map[string]string{"BucketName": bucket, "Key": key},
	}, s.env.IAM), nil
}
