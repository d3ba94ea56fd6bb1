package inventory

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	metrictypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/aistudio/secrets/auditor/facts"
)

// readFunctions describes each function that rotates a secret of the region.
func (r *Region) readFunctions(ctx context.Context, region, account string, now time.Time) []facts.UsedFunction {
	var functions []facts.UsedFunction
	for _, arn := range slices.Sorted(maps.Keys(r.index.functions)) {
		functions = append(functions, facts.UsedFunction{
			ARN: arn, Region: regionOf(arn), Facts: r.readFunction(ctx, arn), Users: *r.index.functions[arn],
		})
	}
	var there []*facts.Function
	for i := range functions {
		f := &functions[i].Facts
		switch owner := field(f.Value.ARN, arnAccount); {
		case f.Unknown != "" || f.Value.Missing:
		case owner != account:
			f.Value.Errors = facts.Unknown[facts.FunctionErrors]("the metrics of the function are in its account, " + owner)
		case functions[i].Region != region:
			f.Value.Errors = facts.Unknown[facts.FunctionErrors]("the metrics of the function are in its region, " + functions[i].Region)
		default:
			there = append(there, &f.Value)
		}
	}
	for batch := range slices.Chunk(there, metricsPerCall) {
		r.readErrors(ctx, batch, now)
	}
	return functions
}

// readFunction looks at state and runtime only: the function's variables, which
// come along, are not kept. It asks in the function's region, since Lambda says of
// functions of other regions that they don't exist. Of another account's function
// it says so only to those whom the function lets ask.
func (r *Region) readFunction(ctx context.Context, arn string) facts.Fact[facts.Function] {
	if err := wait(ctx, r.throttle.functions); err != nil {
		return facts.Unknown[facts.Function](reason(err))
	}
	out, err := r.clients.functions.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &arn},
		func(o *lambda.Options) { o.Region = regionOf(arn) })
	if err != nil {
		var gone *lambdatypes.ResourceNotFoundException
		if errors.As(err, &gone) {
			return facts.Known(facts.Function{ARN: arn, Missing: true})
		}
		return facts.Unknown[facts.Function](reason(err))
	}
	function := facts.Function{
		ARN: arn, Runtime: string(out.Runtime), State: string(out.State),
		Failed: out.State == lambdatypes.StateFailed || out.LastUpdateStatus == lambdatypes.LastUpdateStatusFailed,
		Reason: aws.ToString(out.StateReason),
	}
	if out.LastUpdateStatus == lambdatypes.LastUpdateStatusFailed {
		function.Reason = aws.ToString(out.LastUpdateStatusReason)
	}
	return facts.Known(function)
}

// A call of GetMetricData answers for 500 metrics and 100,800 data points: the
// hours of eight days of each (CloudWatch API reference, "GetMetricData").
const (
	metricsPerCall = 500
	errorsPeriod   = time.Hour
	errorsWindow   = 8 * 24 * time.Hour
)

// readErrors finds out whether the functions failed in the newest hour in which
// they ran. Lambda reports the metric Errors of each invocation, 0 for one that
// went well (Lambda developer guide, "Types of metrics for Lambda functions").
func (r *Region) readErrors(ctx context.Context, functions []*facts.Function, now time.Time) {
	end := now.Truncate(errorsPeriod).Add(errorsPeriod)
	in := &cloudwatch.GetMetricDataInput{
		StartTime: aws.Time(end.Add(-errorsWindow)), EndTime: &end, ScanBy: metrictypes.ScanByTimestampDescending,
	}
	byID := map[string]*facts.Function{}
	for i, f := range functions {
		f.Errors = facts.Unknown[facts.FunctionErrors]("CloudWatch GetMetricData gave no answer about the function")
		id := "f" + strconv.Itoa(i)
		byID[id] = f
		in.MetricDataQueries = append(in.MetricDataQueries, metrictypes.MetricDataQuery{Id: &id, MetricStat: &metrictypes.MetricStat{
			Metric: &metrictypes.Metric{
				Namespace: aws.String("AWS/Lambda"), MetricName: aws.String("Errors"),
				Dimensions: []metrictypes.Dimension{{Name: aws.String("FunctionName"), Value: aws.String(field(f.ARN, arnName))}},
			},
			Stat: aws.String("Sum"), Period: aws.Int32(int32(errorsPeriod / time.Second)),
		}})
	}
	newest := map[string]facts.FunctionErrors{}
	for pages := cloudwatch.NewGetMetricDataPaginator(r.clients.metrics, in); pages.HasMorePages(); {
		err := wait(ctx, r.throttle.metrics)
		var page *cloudwatch.GetMetricDataOutput
		if err == nil {
			page, err = pages.NextPage(ctx)
		}
		if err != nil {
			for _, f := range functions {
				f.Errors = facts.Unknown[facts.FunctionErrors](reason(err))
			}
			return
		}
		for i := range page.MetricDataResults {
			result := &page.MetricDataResults[i]
			id := aws.ToString(result.Id)
			f := byID[id]
			if f == nil {
				continue
			}
			for j, at := range result.Timestamps {
				if j < len(result.Values) && at.After(newest[id].Hour) {
					newest[id] = facts.FunctionErrors{Hour: at.UTC(), Count: int(result.Values[j])}
				}
			}
			if result.StatusCode == metrictypes.StatusCodeComplete { // else there are more pages, or CloudWatch failed
				f.Errors = facts.Known(newest[id])
			}
		}
	}
}

// The fields of a function's ARN: arn:aws:lambda:region:account:function:name,
// with a version or an alias after it.
const arnRegion, arnAccount, arnName = 3, 4, 6

func field(arn string, i int) string {
	if fields := strings.Split(arn, ":"); i < len(fields) {
		return fields[i]
	}
	return ""
}

func regionOf(arn string) string { return field(arn, arnRegion) }
