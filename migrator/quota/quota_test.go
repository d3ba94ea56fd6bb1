package quota_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/quota"
)

func newConfig(t *testing.T, answer http.HandlerFunc) (aws.Config, *int) {
	t.Helper()
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}, &calls
}

// contextWithDeadline ends long before an hour: a wait that would outlast it
// fails at once.
func contextWithDeadline(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), time.Minute)
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }

// A bucket that is empty for an hour makes the next call wait; the context ends
// the wait before a request is made.
func TestCallsWaitForTheirBucket(t *testing.T) {
	config, calls := newConfig(t, ok)
	config = quota.Apply(config, []quota.Bucket{
		{Service: "SSM", Operations: []string{"GetParameter", "GetParameters"}, PerSecond: 1.0 / 3600, Burst: 2},
		{Service: "SSM", PerSecond: 1000, Burst: 1000},
	})
	one, two := ssm.NewFromConfig(config), ssm.NewFromConfig(config)
	_, err := one.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("a")})
	require.NoError(t, err)
	_, err = two.GetParameters(t.Context(), &ssm.GetParametersInput{Names: []string{"a"}})
	require.NoError(t, err)

	ctx, cancel := contextWithDeadline(t)
	defer cancel()
	_, err = one.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("a")})
	require.ErrorContains(t, err, "wait for the quota of SSM GetParameter")
	assert.Equal(t, 2, *calls)

	_, err = one.DescribeParameters(t.Context(), &ssm.DescribeParametersInput{})
	require.NoError(t, err, "another bucket")
}

// Every attempt counts against the quota.
func TestRetriesWaitToo(t *testing.T) {
	config, calls := newConfig(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	config.RetryMaxAttempts = 5
	config = quota.Apply(config, []quota.Bucket{{Service: "SSM", PerSecond: 1.0 / 3600, Burst: 2}})
	ctx, cancel := contextWithDeadline(t)
	defer cancel()
	_, err := ssm.NewFromConfig(config).GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("a")})
	require.Error(t, err)
	assert.LessOrEqual(t, *calls, 2)
}

func TestWhatNoBucketNamesDoesNotWait(t *testing.T) {
	config, _ := newConfig(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>`))
	})
	_, err := sts.NewFromConfig(quota.Apply(config, quota.AWS())).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	require.NoError(t, err)
}

func TestEveryBucketOfAWSLetsCallsPass(t *testing.T) {
	named := map[string]bool{}
	for _, b := range quota.AWS() {
		for _, name := range append(b.Operations, "rest")[:max(1, len(b.Operations))] {
			assert.False(t, named[b.Service+name], "%s %s is in two buckets", b.Service, name)
			named[b.Service+name] = true
		}
		assert.Positive(t, b.PerSecond, b)
		assert.Positive(t, b.Burst, b)
	}
}
