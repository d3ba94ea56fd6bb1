package scanfunction_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/faults"
	"github.com/aistudio/secrets/migrator/scanfunction"
	"github.com/aistudio/secrets/sdk/spec"
)

// function is the function in the test's own process, with an administrator's
// rights and without quotas.
func (s *stack) function(variables map[string]string) *scanfunction.Function {
	return &scanfunction.Function{
		AWS: s.config(), Getenv: func(name string) string { return variables[name] },
		Output: &s.log, Log: slog.New(slog.NewJSONHandler(&s.log, nil)),
	}
}

// The migration's file in the bucket counts; what is for other commands in it is
// let through.
func TestWhatPeopleDecided(t *testing.T) {
	s := newStack(t)
	s.estate()
	f := s.function(map[string]string{spec.EnvScanBucket: bucket})
	put := func(text string) {
		s.must(s3.NewFromConfig(s.config()).PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(spec.ScanConfigKey), Body: strings.NewReader(text)}))
	}
	put("mode: final\nclassify:\n  notSecrets: [API_TOKEN, /shop/db/password]\n")
	summary, err := f.Handle(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, summary.Findings)

	put("classify:\n  secrets: ['A[']\n")
	_, err = f.Handle(t.Context())
	require.ErrorContains(t, err, spec.ScanConfigKey)
	require.ErrorContains(t, err, `"A["`)
}

func TestAllRegionsAreScanned(t *testing.T) {
	s := newStack(t)
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		s.must(ssm.NewFromConfig(s.cloud.Config(region)).PutParameter(t.Context(), &ssm.PutParameterInput{
			Name: aws.String("/db/password"), Value: aws.String(canary), Type: ssmtypes.ParameterTypeString,
		}))
	}
	summary, err := s.function(map[string]string{spec.EnvScanBucket: bucket, spec.EnvScanRegions: "us-east-1, eu-west-1,us-east-1"}).Handle(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, summary.Findings)
	scan, err := spec.ReadScan(strings.NewReader(s.stored()))
	require.NoError(t, err)
	assert.Equal(t, []string{"us-east-1", "eu-west-1"}, scan.Regions)
}

// A part of an estate would look like the whole one.
func TestAScanThatFailsStoresNothing(t *testing.T) {
	s := newStack(t)
	s.estate()
	_, err := s.cloud.Faults.Add(faults.Fault{Kind: faults.Error, Service: "ssm", Operation: "DescribeParameters"})
	require.NoError(t, err)
	_, err = s.function(map[string]string{spec.EnvScanBucket: bucket}).Handle(t.Context())
	require.ErrorContains(t, err, "list the parameters")
	_, err = s3.NewFromConfig(s.config()).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(spec.ScanKey)})
	require.Error(t, err)
	assert.NotContains(t, s.log.String(), spec.MetricScans)

	_, err = s.function(nil).Handle(t.Context())
	require.ErrorContains(t, err, spec.EnvScanBucket)
}
