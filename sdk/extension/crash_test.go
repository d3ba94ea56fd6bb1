package extension

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// panicking is an HTTP client that panics in calls to the service of that
// target, below the AWS SDK, and does the others.
type panicking string

func (p panicking) Do(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.Header.Get("X-Amz-Target"), string(p)) {
		panic("the-value")
	}
	return http.DefaultClient.Do(r)
}

// A panic anywhere would end the process, and with it the function's
// environment, if it weren't caught: here that would end the tests.
func TestNoPanicEndsTheProcess(t *testing.T) {
	s := startServices(t)
	s.store.Put("a", "one")
	cacheWith := func(service string) *Cache {
		c, warnings := ReadConfig(lookupIn(map[string]string{"SECRETS_PREFETCH": "a,b", "SECRETS_FEED_TABLE": "changes"}))
		require.Empty(t, warnings)
		cache := NewCache(c, func(context.Context) (aws.Config, error) {
			if service == "configuration" {
				panic("the-value")
			}
			return aws.Config{
				Region: "eu-west-1", BaseEndpoint: &s.URL, RetryMaxAttempts: 1, HTTPClient: panicking(service),
				Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "example", ""),
			}, nil
		})
		t.Cleanup(func() { assert.NoError(t, cache.Close()) })
		return cache
	}
	var log strings.Builder
	for service, paths := range map[string][]string{
		"configuration":  {"/v1/a", "/systemsmanager/parameters/get?name=p"},
		"secretsmanager": {"/v1/a", "/v1/a?refreshNow=1", "/v1/a?versionStage=AWSPENDING"},
		"AmazonSSM":      {"/systemsmanager/parameters/get?name=p"},
	} {
		cache := cacheWith(service)
		for _, path := range paths {
			w := get(newTestHandler(cache, &log), http.MethodGet, path)
			assert.Equal(t, http.StatusInternalServerError, w.Code, path)
			assert.NotContains(t, w.Body.String(), "the-value")
		}
		if service != "AmazonSSM" {
			err := cache.Prefetch(t.Context())
			require.Error(t, err)
			require.NotContains(t, err.Error(), "the-value")
		}
	}

	// The feed is asked while somebody reads, who gets what is cached.
	cache := cacheWith("DynamoDB")
	var clock movable
	clock.set(cache)
	h := newTestHandler(cache, &log)
	for range 3 {
		assert.Equal(t, http.StatusOK, get(h, http.MethodGet, "/v1/a").Code)
		clock.advance(2 * time.Minute)
	}
	assert.Contains(t, log.String(), "panic")
	assert.NotContains(t, log.String(), "the-value")
}
