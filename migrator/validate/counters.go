package validate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"

	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

// counts are sums of metrics in the soak time, or since the service was switched
// if that is later, by the metric's name. A metric that nobody sent isn't there.
type counts map[string]float64

// Metrics of Lambda (Lambda developer guide, "Types of metrics for Lambda
// functions"), and those of the time before the switch.
const (
	invocations       = "Invocations"
	failures          = "Errors"
	invocationsBefore = "before: " + invocations
	failuresBefore    = "before: " + failures
)

func dualReadMetrics() []string {
	return []string{spec.MetricDualReadNew, spec.MetricDualReadOld, spec.MetricDualReadFailed, spec.MetricDualReadCompared, spec.MetricDualReadDiffer}
}

// metricQuestion is a metric that is asked for.
type metricQuestion struct {
	service                            *service
	name                               string
	namespace, metric, dimension, what string
	from, to                           time.Time
}

// count reads the metrics of all services, and judges the errors of functions.
func (v *validation) count(ctx context.Context, services []*service) error {
	var questions []metricQuestion
	for _, s := range services {
		s.counts = counts{}
		if s.problem != "" || s.switched.IsZero() || !s.switched.Before(v.now) {
			continue
		}
		who := s.ID[strings.Index(s.ID, "/")+1:]
		since := s.switched
		if from := v.now.Add(-v.Soak); v.Soak > 0 && from.After(since) {
			since = from // what went wrong before has been mended
		}
		if s.How == plan.ByReference {
			for _, metric := range dualReadMetrics() {
				questions = append(questions, metricQuestion{s, metric, spec.MetricNamespace, metric, spec.DimensionService, who, since, v.now})
			}
		}
		if s.Kind == plan.LambdaFunction {
			before := s.switched.Add(-max(v.now.Sub(s.switched), time.Hour))
			for _, metric := range []string{invocations, failures} {
				questions = append(questions,
					metricQuestion{s, metric, "AWS/Lambda", metric, "FunctionName", who, since, v.now},
					metricQuestion{s, "before: " + metric, "AWS/Lambda", metric, "FunctionName", who, before, s.switched})
			}
		}
	}
	if err := v.ask(ctx, questions); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, s := range services {
			s.counts, s.unread = nil, code(err)
			s.health = unreadMetrics(s.health, code(err))
		}
		return nil
	}
	for _, s := range services {
		if s.Kind == plan.LambdaFunction && s.health.Result == Pass {
			s.judgeErrors()
		}
	}
	return nil
}

func unreadMetrics(health Check, why string) Check {
	if health.Result == Pass && strings.HasPrefix(health.How, "Lambda") {
		health.Result, health.Detail = Unknown, health.Detail+"; its errors can't be read: "+why
		health.Remedy = "Let the migrator call cloudwatch:GetMetricData: docs/migrating.md has the policy."
	}
	return health
}

// judgeErrors compares the share of invocations that failed since the switch
// with the share before.
func (s *service) judgeErrors() {
	s.health.How += " and its errors in CloudWatch since it was switched"
	now, failed := s.counts[invocations], s.counts[failures]
	before, failedBefore := s.counts[invocationsBefore], s.counts[failuresBefore]
	s.health.Detail += fmt.Sprintf("; %.0f of %.0f invocations failed, before %.0f of %.0f", failed, now, failedBefore, before)
	if failed > 0 && failed*before > failedBefore*now || failed > 0 && before == 0 {
		s.health.Result = Fail
		s.health.Remedy = "See the function's log; roll the service back if the migration is the cause."
	}
}

// queriesAtOnce is what GetMetricData takes (CloudWatch API reference).
const queriesAtOnce = 500

// ask gets the sums. Questions of one time go together.
func (v *validation) ask(ctx context.Context, questions []metricQuestion) error {
	bySpan := map[[2]int64][]metricQuestion{}
	for _, q := range questions {
		// CloudWatch keeps minutes for 15 days, five minutes for 63 days and hours
		// for 15 months (CloudWatch user guide, "Metrics retention"). A span begins at
		// the start of a period, lest CloudWatch rounds it.
		period := v.period(q.from)
		span := [2]int64{q.from.Truncate(period).Unix(), q.to.Unix()}
		bySpan[span] = append(bySpan[span], q)
	}
	for span, all := range bySpan {
		for batch := range slices.Chunk(all, queriesAtOnce) {
			if err := v.askBatch(ctx, span, batch); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *validation) period(from time.Time) time.Duration {
	const day = 24 * time.Hour
	switch age := v.now.Sub(from); {
	case age < 15*day:
		return time.Minute
	case age < 63*day:
		return 5 * time.Minute
	default:
		return time.Hour
	}
}

func (v *validation) askBatch(ctx context.Context, span [2]int64, batch []metricQuestion) error {
	from, to := time.Unix(span[0], 0), time.Unix(span[1], 0)
	in := &cloudwatch.GetMetricDataInput{StartTime: &from, EndTime: &to}
	// As few values as CloudWatch gives: a sum is wanted.
	period := int32(v.period(from) / time.Second)
	if to.Sub(from) > 24*time.Hour {
		period = 3600
	}
	byID := map[string]metricQuestion{}
	for i, q := range batch {
		id := fmt.Sprintf("m%d", i)
		byID[id] = q
		in.MetricDataQueries = append(in.MetricDataQueries, types.MetricDataQuery{Id: aws.String(id), MetricStat: &types.MetricStat{
			Period: &period, Stat: aws.String("Sum"),
			Metric: &types.Metric{
				Namespace: aws.String(q.namespace), MetricName: aws.String(q.metric),
				Dimensions: []types.Dimension{{Name: aws.String(q.dimension), Value: aws.String(q.what)}},
			},
		}})
	}
	complete := map[string]types.StatusCode{}
	pages := cloudwatch.NewGetMetricDataPaginator(v.metrics, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, result := range page.MetricDataResults {
			q, known := byID[aws.ToString(result.Id)]
			if !known {
				continue
			}
			complete[aws.ToString(result.Id)] = result.StatusCode
			for _, value := range result.Values {
				q.service.counts[q.name] += value
			}
		}
	}
	// What CloudWatch doesn't give all of could be anything.
	for id := range byID {
		if status := complete[id]; status != types.StatusCodeComplete {
			return &smithy.GenericAPIError{Code: "CloudWatch" + cmp.Or(string(status), "NoData")}
		}
	}
	return nil
}

// verdict judges the counts of a service's dual reads.
func (c counts) verdict() Check {
	read, old, failed := c[spec.MetricDualReadNew], c[spec.MetricDualReadOld], c[spec.MetricDualReadFailed]
	compared, differ := c[spec.MetricDualReadCompared], c[spec.MetricDualReadDiffer]
	detail := fmt.Sprintf("%.0f reads from Secrets Manager, %.0f from the old places, %.0f from none; %.0f compared, %.0f different", read, old, failed, compared, differ)
	switch {
	case old+failed > 0:
		return Check{Result: Fail, Detail: detail, Remedy: "See the service's log for why Secrets Manager gave no value. When it is mended, the soak time begins anew."}
	case differ > 0:
		return Check{Result: Fail, Detail: detail, Remedy: "Find out which value is right. If the secret was rotated since, a difference is to be expected: set " + spec.EnvDualRead + " to new, and the soak time begins anew."}
	case read == 0:
		return Check{Result: Unknown, Detail: "the service has sent no counter", Remedy: "Call the service. Does it read by package dualread, and may its log be read by CloudWatch?"}
	default:
		return Check{Result: Pass, Detail: detail}
	}
}
