package custom_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/custom"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

const functionARN = "arn:aws:lambda:us-east-1:123456789012:function:gate"

// newFunction returns a target whose function is a server that speaks Lambda's
// Invoke.
func newFunction(t *testing.T, handler http.HandlerFunc) *custom.Target {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client := lambda.New(lambda.Options{BaseEndpoint: aws.String(server.URL), Credentials: aws.AnonymousCredentials{}})
	function, err := custom.NewFunction(functionARN, client, 0)
	require.NoError(t, err)
	return custom.New(custom.Options{}, function)
}

func TestTheFunctionIsToldOfVersionsAndOfNoValue(t *testing.T) {
	var bodies []string
	target := newFunction(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/2015-03-31/functions/"+functionARN+"/invocations", r.URL.Path)
		assert.Equal(t, "RequestResponse", r.Header.Get("X-Amz-Invocation-Type"))
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		bodies = append(bodies, string(body))
		_, _ = io.WriteString(w, `{"outcome":"done"}`)
	})
	first := apply
	first.CurrentID, first.PreviousID = "v2", "v1" // of which there is no value
	_, err := target.Apply(t.Context(), first)
	require.NoError(t, err)
	_, err = target.Verify(t.Context(), verify)
	require.NoError(t, err)
	_, err = target.Retire(t.Context(), rotation.RetireRequest{
		SecretARN: "arn", Token: "t", Retired: spec.ValueString("canary-older"), Current: apply.Current, Pending: apply.Pending, RetiredID: "v1", CurrentID: "v2",
	})
	require.NoError(t, err)
	assert.Equal(t, []string{
		`{"step":"set","secretId":"arn","token":"t","versions":{"current":"v2","pending":"t"}}`,
		`{"step":"test","secretId":"arn","token":"t","versions":{"pending":"t"}}`,
		`{"step":"retire","secretId":"arn","token":"t","versions":{"current":"v2","pending":"t","retired":"v1"}}`,
	}, bodies)

	bodies = nil
	_, err = target.Apply(t.Context(), rotation.ApplyRequest{SecretARN: "arn", Token: "t", Pending: spec.ValueString("first")})
	require.NoError(t, err)
	_, err = target.Verify(t.Context(), rotation.VerifyRequest{SecretARN: "arn", Token: "t", Pending: spec.ValueString("first"), Seeding: true})
	require.NoError(t, err)
	assert.Equal(t, []string{
		`{"step":"set","secretId":"arn","token":"t","values":{"pending":"first"}}`,
		`{"step":"test","secretId":"arn","token":"t","values":{"pending":"first"}}`,
	}, bodies, "a first value isn't stored yet")
}

func TestTheAnswersOfAFunction(t *testing.T) {
	for name, test := range map[string]struct {
		status   int
		header   [2]string
		body     string
		definite bool
		tries    int64
		want     string
	}{
		"refused":              {200, [2]string{}, `{"outcome":"refused","reason":"canary"}`, true, 1, "it refuses"},
		"another function":     {200, [2]string{}, `null`, true, 1, "is this the right function?"},
		"an unknown outcome":   {200, [2]string{}, `{"outcome":"canary"}`, true, 1, "is this the right function?"},
		"no object":            {200, [2]string{}, `"canary"`, true, 1, "is this the right function?"},
		"it raised an error":   {200, [2]string{"X-Amz-Function-Error", "Unhandled"}, `{"errorType":"ValueError","errorMessage":"canary","stackTrace":["canary"]}`, false, 3, "it failed with ValueError:"},
		"it crashed":           {200, [2]string{"X-Amz-Function-Error", "Unhandled"}, `canary`, false, 3, "it failed:"},
		"an odd kind of error": {200, [2]string{"X-Amz-Function-Error", "Unhandled"}, `{"errorType":"canary: 1"}`, false, 3, "it failed:"},
		"denied":               {403, [2]string{"X-Amzn-Errortype", "AccessDeniedException"}, `{}`, true, 1, "lambda:InvokeFunction"},
		"gone":                 {404, [2]string{"X-Amzn-Errortype", "ResourceNotFoundException"}, `{}`, true, 1, "see the ARN"},
		"being updated":        {409, [2]string{"X-Amzn-Errortype", "ResourceConflictException"}, `{}`, false, 3, "ResourceConflictException"},
		"throttled":            {429, [2]string{"X-Amzn-Errortype", "TooManyRequestsException"}, `{}`, false, 3, "TooManyRequestsException"},
		"Lambda is ill":        {500, [2]string{"X-Amzn-Errortype", "ServiceException"}, `{}`, false, 3, "ServiceException"},
		"network is full":      {502, [2]string{"X-Amzn-Errortype", "SubnetIPAddressLimitReachedException"}, `{}`, false, 3, "SubnetIPAddressLimitReached"},
		"its key is off":       {502, [2]string{"X-Amzn-Errortype", "KMSDisabledException"}, `{}`, true, 1, "KMSDisabledException"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // there are pauses between the tries
			var tries atomic.Int64
			target := newFunction(t, func(w http.ResponseWriter, _ *http.Request) {
				tries.Add(1)
				if test.header[0] != "" {
					w.Header().Set(test.header[0], test.header[1])
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			_, err := target.Apply(t.Context(), apply)
			require.ErrorContains(t, err, test.want)
			assert.Equal(t, test.tries, tries.Load())
			if test.definite {
				assert.ErrorIs(t, err, rotation.ErrDefinite)
			} else {
				assert.NotErrorIs(t, err, rotation.ErrDefinite)
			}
			assert.NotErrorIs(t, err, rotation.ErrRejected)
			assert.NotContains(t, err.Error(), "canary")
		})
	}
}

func TestAFunctionRejectsAValueWhenItIsSet(t *testing.T) {
	target := newFunction(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"outcome":"rejected"}`) })
	_, err := target.Apply(t.Context(), apply)
	require.ErrorIs(t, err, rotation.ErrRejected)
	_, err = target.Verify(t.Context(), verify)
	require.ErrorIs(t, err, rotation.ErrDefinite)
	assert.NotErrorIs(t, err, rotation.ErrRejected, "only a set rejects values")
}

// hanging is a Lambda that never answers. It counts the invocations.
type hanging struct{ tries int }

func (h *hanging) Invoke(ctx context.Context, _ *lambda.InvokeInput, _ ...func(*lambda.Options)) (*lambda.InvokeOutput, error) {
	h.tries++
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAFunctionThatHangsIsTimedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &hanging{}
		function, err := custom.NewFunction(functionARN, client, 0)
		require.NoError(t, err)
		start := time.Now()
		_, err = custom.New(custom.Options{}, function).Apply(t.Context(), apply)
		require.ErrorContains(t, err, "no answer within 50s")
		assert.Equal(t, 3, client.tries)
		assert.Less(t, time.Since(start), 180*time.Second, "the time that a step of a custom secret has")
		assert.NotErrorIs(t, err, rotation.ErrDefinite)
	})
}

func TestWhatIsNoFunctionIsRefused(t *testing.T) {
	for config, want := range map[custom.Config]string{
		{Function: "gate"}: "is no ARN of a Lambda function",
		{Function: "arn:aws:lambda:us-east-1:123456789012:layer:gate:1"}: "is no ARN of a Lambda function",
		{Function: "arn:aws:s3:::gate"}:                                  "is no ARN of a Lambda function",
		{Function: functionARN, Webhook: "{}"}:                           "leave one out",
	} {
		_, err := custom.Configure(config, nil, nil)
		assert.ErrorContains(t, err, want)
	}
	_, err := custom.Configure(custom.Config{Function: functionARN + ":blue"}, nil, nil)
	assert.NoError(t, err, "an alias")
}
