package scanfunction_test

import (
	"encoding/base64"
	"flag"
	"regexp"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/quotas"
	"github.com/aistudio/secrets/migrator/internal/largetest"
)

// Without the flag the estate is a tenth or less, which takes seconds.
var scale = flag.Bool("scale", false, "scan an estate of 1,000 functions, 200 services and 5,000 parameters, which takes a minute or two")

var report = regexp.MustCompile(`Duration: [0-9.]+ ms.*Max Memory Used: [0-9]+ MB`)

// TestALargeEstate runs the real binary on an estate, with AWS's own quotas
// switched on.
func TestALargeEstate(t *testing.T) {
	size := largetest.Size{Functions: 90, Services: 20, Parameters: 300}
	if *scale {
		size = largetest.Peers
	}
	s := newStack(t)
	s.deploy()
	s.allow()
	s.must(lambda.NewFromConfig(s.config()).UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("migration-scan"), Timeout: aws.Int32(300),
	}))
	largetest.Make(t, s.cloud, size)

	s.cloud.Quotas.Set(quotas.AWS()...)
	out, err := lambda.NewFromConfig(s.config()).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("migration-scan"), LogType: types.LogTypeTail})
	require.NoError(t, err)
	require.Nil(t, out.FunctionError, string(out.Payload))
	tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	require.NoError(t, err)
	t.Logf("%d functions, %d services, %d parameters, result of %d bytes: %s", size.Functions, size.Services, size.Parameters, len(s.stored()), report.FindString(string(tail)))
	assert.Empty(t, s.cloud.Quotas.Throttled())
	assert.JSONEq(t, `{"findings":`+strconv.Itoa(size.Secrets())+`,"unread":0,"result":"scan/latest.json"}`, string(out.Payload))
}
