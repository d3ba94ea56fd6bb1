package inventory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	metrictypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/facts"
)

const (
	account, other = "123456789012", "210987654321"
	home           = "us-east-1"
	many           = 1201 // functions: three calls for metrics
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// fleet is an account with many functions, more than the local cloud has room
// for. Every hundredth is gone, every seventh failed in its last hour.
type fleet struct {
	t                  *testing.T
	described, metrics int
	stops              string // ARN of the function at which Lambda stops to answer
}

func (f *fleet) GetFunctionConfiguration(_ context.Context, in *lambda.GetFunctionConfigurationInput, options ...func(*lambda.Options)) (*lambda.GetFunctionConfigurationOutput, error) {
	f.described++
	arn := aws.ToString(in.FunctionName)
	o := lambda.Options{Region: home}
	for _, option := range options {
		option(&o)
	}
	switch {
	case arn == f.stops:
		return nil, &lambdatypes.TooManyRequestsException{}
	case regionOf(arn) != o.Region: // as Lambda says it
		return nil, &lambdatypes.ResourceNotFoundException{Message: aws.String("Functions from '" + regionOf(arn) + "' are not reachable in this region ('" + o.Region + "')")}
	case number(arn)%100 == 99:
		return nil, &lambdatypes.ResourceNotFoundException{}
	}
	return &lambda.GetFunctionConfigurationOutput{Runtime: lambdatypes.RuntimeProvidedal2023, State: lambdatypes.StateActive}, nil
}

// GetMetricData answers in pages, of which only the last ones are complete, as
// CloudWatch does when there are many data points.
func (f *fleet) GetMetricData(_ context.Context, in *cloudwatch.GetMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	f.metrics++
	assert.LessOrEqual(f.t, len(in.MetricDataQueries), 500, "CloudWatch refuses more")
	points := int(in.EndTime.Sub(*in.StartTime).Hours()) * len(in.MetricDataQueries)
	assert.LessOrEqual(f.t, points, 100_800, "CloudWatch gives no more")
	out := &cloudwatch.GetMetricDataOutput{}
	hour, status := noon.Truncate(time.Hour), metrictypes.StatusCodePartialData
	if in.NextToken != nil {
		hour, status = hour.Add(-time.Hour), metrictypes.StatusCodeComplete
	} else {
		out.NextToken = aws.String("more")
	}
	for _, query := range in.MetricDataQueries {
		name := aws.ToString(query.MetricStat.Metric.Dimensions[0].Value)
		errors := 0.0
		if in.NextToken == nil && number(name)%7 == 0 {
			errors = 2
		}
		out.MetricDataResults = append(out.MetricDataResults, metrictypes.MetricDataResult{
			Id: query.Id, StatusCode: status, Timestamps: []time.Time{hour}, Values: []float64{errors},
		})
	}
	return out, nil
}

func number(arn string) int {
	var n int
	_, _ = fmt.Sscanf(arn[strings.LastIndexByte(arn, '-')+1:], "%d", &n)
	return n
}

func arnOf(region, account string, n int) string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:rotate-%d", region, account, n)
}

func (f *fleet) region() *Region {
	r := &Region{index: newIndex(), clients: clients{functions: f, metrics: f}, throttle: newLimits(1e6)}
	for n := range many {
		note(r.index.functions, arnOf(home, account, n), "secret")
	}
	note(r.index.functions, arnOf(home, other, 0), "secret")
	note(r.index.functions, arnOf("eu-west-1", account, 0), "secret")
	return r
}

// TestManyFunctions: more functions than one call for metrics answers for, in
// pages, and some of other accounts and regions.
func TestManyFunctions(t *testing.T) {
	f := &fleet{t: t}
	functions := f.region().readFunctions(t.Context(), home, account, noon)
	require.Len(t, functions, many+2)
	require.Equal(t, many+2, f.described)
	require.Equal(t, 6, f.metrics, "three calls of two pages")
	for _, function := range functions {
		value, known := function.Facts.Get()
		require.True(t, known, function.ARN)
		if field(function.ARN, arnAccount) == other || function.Region != home {
			require.False(t, value.Missing, function.ARN)
			require.Contains(t, value.Errors.Unknown, "the metrics of the function are in its", function.ARN)
			continue
		}
		n := number(function.ARN)
		require.Equal(t, n%100 == 99, value.Missing, function.ARN)
		if !value.Missing {
			want := facts.FunctionErrors{Hour: noon}
			if n%7 == 0 {
				want.Count = 2
			}
			errors, known := value.Errors.Get()
			require.True(t, known, function.ARN)
			require.Equal(t, want, errors, function.ARN)
		}
	}
}

// TestFunctionsThatCouldNotBeRead are unknown, and never missing: when Lambda
// throttles on, and when the run's time is over before its quota lets them be read.
func TestFunctionsThatCouldNotBeRead(t *testing.T) {
	f := &fleet{t: t, stops: arnOf(home, account, 99)}
	for _, function := range f.region().readFunctions(t.Context(), home, account, noon) {
		require.Equal(t, function.ARN != f.stops, function.Facts.Unknown == "", function.ARN)
	}

	// At this rate the third would have to wait longer than there is time.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := (&fleet{t: t}).region()
	r.throttle = newLimits(0.001)
	functions := r.readFunctions(ctx, home, account, noon)
	unknown := slices.DeleteFunc(functions, func(u facts.UsedFunction) bool { return u.Facts.Unknown == "" })
	require.Len(t, unknown, many)
	for _, function := range unknown {
		require.Contains(t, function.Facts.Unknown, "time was over", function.ARN)
		require.False(t, function.Facts.Value.Missing)
	}
}
