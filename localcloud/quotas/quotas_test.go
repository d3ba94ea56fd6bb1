package quotas_test

import (
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/quotas"
)

const never = 1e-9 // calls a second

func code(t *testing.T, err error) string {
	t.Helper()
	var e smithy.APIError
	require.ErrorAs(t, err, &e)
	return e.ErrorCode()
}

func TestACallOverAQuotaIsThrottled(t *testing.T) {
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	parameters := func(region string) *ssm.Client {
		return ssm.NewFromConfig(cloud.Config(region), func(o *ssm.Options) { o.Retryer = aws.NopRetryer{} })
	}
	list := func(region string) error {
		_, err := parameters(region).DescribeParameters(t.Context(), &ssm.DescribeParametersInput{})
		return err
	}
	require.NoError(t, list("us-east-1"))

	cloud.Quotas.Set(
		quotas.Bucket{Service: "ssm", PerSecond: never, Burst: 2},
		quotas.Bucket{Service: "ssm", Operations: []string{"GetParameters"}, PerSecond: never, Burst: 1},
		quotas.Bucket{Service: "lambda", PerSecond: never, Burst: 0},
	)
	require.NoError(t, list("us-east-1"))
	require.NoError(t, list("us-east-1"))
	assert.Equal(t, "ThrottlingException", code(t, list("us-east-1")))
	require.NoError(t, list("eu-west-1"), "each region has its own bucket")
	_, err = parameters("us-east-1").GetParameters(t.Context(), &ssm.GetParametersInput{Names: []string{"/a"}})
	require.NoError(t, err, "another bucket")
	_, err = lambda.NewFromConfig(cloud.Config("us-east-1"), func(o *lambda.Options) { o.Retryer = aws.NopRetryer{} }).ListFunctions(t.Context(), &lambda.ListFunctionsInput{})
	assert.Equal(t, "TooManyRequestsException", code(t, err))
	assert.Equal(t, map[string]int{"ssm:DescribeParameters": 1, "lambda:ListFunctions": 1}, cloud.Quotas.Throttled())

	require.NoError(t, cloud.Reset())
	require.NoError(t, list("us-east-1"))
	assert.Empty(t, cloud.Quotas.Throttled())
}

func TestQuotasAreSwitchedByTheControlAPI(t *testing.T) {
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	for method, status := range map[string]int{http.MethodPost: http.StatusCreated, http.MethodGet: http.StatusOK, http.MethodDelete: http.StatusOK} {
		request, err := http.NewRequestWithContext(t.Context(), method, cloud.URL()+"/_localcloud/quotas", http.NoBody)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, status, response.StatusCode)
	}
}

func TestBucketsFillAgain(t *testing.T) {
	l := &quotas.Limits{}
	assert.True(t, l.Allow("1", "r", "ssm", "GetParameter"), "off")
	l.Set(quotas.Bucket{Service: "ssm", PerSecond: 1e12, Burst: 1})
	for range 3 {
		assert.True(t, l.Allow("1", "r", "ssm", "GetParameter"))
	}
	for _, b := range quotas.AWS() {
		assert.Positive(t, b.PerSecond)
		assert.GreaterOrEqual(t, b.Burst, b.PerSecond)
	}
}
