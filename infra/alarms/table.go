package alarms

import (
	"fmt"
	"strings"

	"github.com/aistudio/secrets/infra/audittrail"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	staleShare = 10             // per cent of the caches' reads
	lateFeed   = 15 * 60 * 1000 // milliseconds: EventBridge hears of most calls within minutes
	slowShare  = 0.8            // of a function's timeout
	dayAndMore = 26             // hours: one audit a day, and time to run and to be tried again
)

// table is all alarms: first what endangers secrets, then what doesn't work. What
// the trail counts and what the audit and the scan find is in the first region.
func table(args Args) []alarm {
	of := func(namespace, name, statistic string, dimensions map[string]string) []metric {
		return []metric{{"", namespace, name, dimensions, statistic}}
	}
	environment := map[string]string{spec.DimensionEnvironment: args.Environment}
	with := func(name, value string) map[string]string {
		return map[string]string{spec.DimensionEnvironment: args.Environment, name: value}
	}
	var all []alarm
	if args.Trail != "" {
		all = append(all,
			alarm{
				spec.AlarmUnexpectedRead, "Somebody read a value who is neither a service of the stack nor a rotation function nor an administrator. Find out who: `go tool mage audit:access <secret>`; take the permission away and rotate the secret.",
				happened, []metric{{"reads", args.Trail, audittrail.Reads, nil, "Sum"}, {"expected", args.Trail, audittrail.ExpectedReads, nil, "Sum"}},
				"reads - expected",
			},
			alarm{
				"denied-read", "Somebody tried to read a value and was refused. `go tool mage audit:access <secret>` tells who: a service that lacks a permission, or somebody who shouldn't try.",
				happened, of(args.Trail, audittrail.DeniedReads, "Sum", nil), "",
			},
			alarm{
				"deletion-scheduled", "A secret is going to be deleted. If nobody meant to: `aws secretsmanager restore-secret --secret-id <secret>` before its recovery window ends.",
				happened, of(args.Trail, audittrail.DeletionsScheduled, "Sum", nil), "",
			},
			alarm{
				"key-endangered", "The key of the secrets or of the audit trail was disabled, or is going to be deleted: no secret could be read. `aws kms cancel-key-deletion --key-id <key>`, then `aws kms enable-key --key-id <key>`.",
				happened, of(args.Trail, audittrail.KeysEndangered, "Sum", nil), "",
			},
			alarm{
				"trail-changed", "The audit trail was stopped, deleted or changed. A deployment may have; else find out who and deploy the stack again.",
				happened, of(args.Trail, audittrail.TrailChanges, "Sum", nil), "",
			},
		)
	}
	all = append(all, alarm{
		"rotation-failed", "Rotations of secrets failed or were given up. The topic got an event for each; `go tool mage rotate:status <secret>` tells the reason.",
		happened, of("AWS/Events", "TriggeredRules", "Sum", map[string]string{"RuleName": args.FailedRule}), "",
	})
	if !args.Standby {
		all = append(all,
			alarm{
				"rotation-overdue", "The last audit found secrets whose rotation is late. The report names them; `go tool mage rotate:status <secret>` tells the reason.",
				found, of(spec.MetricNamespace, spec.MetricFindings, "Maximum", with(spec.DimensionRule, spec.RuleRotationOverdue)), "",
			},
			alarm{
				spec.AlarmAuditCritical, "The last audit of secrets has critical findings. The topic got a message for each new one; the report tells how to mend them.",
				found, of(spec.MetricNamespace, spec.MetricFindings, "Maximum", with(spec.DimensionSeverity, "critical")), "",
			},
			auditMissing(args, environment),
			alarm{
				spec.AlarmPlaintextLeft, "The last scan found secrets in variables of functions and containers, or in parameters. The audit's report names them; `go tool mage -h migrate:plan` tells how to move them.",
				found, of(spec.MetricNamespace, spec.MetricPlaintextSecrets, "Maximum", environment), "",
			},
		)
	}
	all = append(all,
		alarm{
			"cache-stale", "Caches serve more than a tenth of their reads from values past their time, because AWS doesn't answer them: services work, and don't learn of new values. The functions' logs tell the error.",
			condition{"GreaterThanThreshold", staleShare, fiveMinutes, 3, 2, "notBreaching", false},
			[]metric{
				{"stale", spec.MetricNamespace, spec.MetricCacheStaleReads, environment, "Sum"},
				{"reads", spec.MetricNamespace, spec.MetricCacheReads, environment, "Sum"},
			}, "100 * stale / reads",
		},
		alarm{
			"feed-late", "Changes of secrets take more than a quarter of an hour to get into the rotation feed, so that caches learn of them late. CloudTrail and EventBridge are in between; see AWS's health dashboard.",
			happened.more(lateFeed), of(spec.MetricNamespace, spec.MetricFeedLag, "Maximum", environment), "",
		},
	)
	for _, queue := range args.Queues {
		all = append(all, alarm{
			strings.TrimPrefix(queue, args.Prefix+"-"), "What a function failed on for good is in the queue " + queue + ". The function's log tells the reason. Of the rotation feed it means that caches notice a change only when their time is over.",
			happened, of("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", map[string]string{"QueueName": queue}), "",
		})
	}
	for _, function := range args.Functions {
		name, lambda := strings.TrimPrefix(function.Name, args.Prefix+"-"), map[string]string{"FunctionName": function.Name}
		all = append(all,
			alarm{
				name + "-errors", "The function " + function.Name + " fails. Its log tells the reason.",
				happened.more(float64(function.ErrorsAllowed)).within(3), of("AWS/Lambda", "Errors", "Sum", lambda), "",
			},
			alarm{
				name + "-throttles", "The function " + function.Name + " was refused: as many ran at once as its reserved concurrency, or the account's, allows.",
				happened, of("AWS/Lambda", "Throttles", "Sum", lambda), "",
			},
			alarm{
				name + "-slow", fmt.Sprintf("The function %s takes more than four fifths of its %d seconds, after which Lambda ends it.", function.Name, function.TimeoutSeconds),
				happened.more(slowShare * float64(function.TimeoutSeconds) * 1000), of("AWS/Lambda", "Duration", "Maximum", lambda), "",
			},
		)
	}
	return all
}

// within is a condition whose metric is summed up for several of its periods.
func (c condition) within(periods int) condition {
	c.period *= periods
	return c
}

// auditMissing tells that a day and more is over without a complete audit.
//
// CloudWatch looks further back than an alarm's periods and fills up with the
// setting for missing data only what it doesn't find there ("Configuring how
// CloudWatch alarms treat missing data"): a metric with one number a day would
// be missed hours late, and before the first audit at once. So the number of
// audits is taken to be 0 in each hour in which the trail counted anything,
// which metric math does with what one of two metrics lacks ("Using metric math
// with CloudWatch metrics"). Hours before the deployment have no number at all
// and don't count.
//
// Without a trail that counts there is no such hour. Then the alarm begins
// without data, and tells when it has none again.
func auditMissing(args Args, environment map[string]string) alarm {
	a := alarm{
		"audit-missing", "Secrets weren't audited completely for more than a day. The schedule and the queue of failures tell whether the function was invoked, its log what came of it.",
		condition{"LessThanThreshold", 1, hour, dayAndMore, 0, "notBreaching", false},
		[]metric{
			{"audits", spec.MetricNamespace, spec.MetricAudits, environment, "Sum"},
			{"counted", args.Trail, audittrail.Reads, nil, "SampleCount"},
		}, "audits + 0 * counted",
	}
	if args.Trail == "" {
		a.when.missing, a.when.unknown, a.when.of = "missing", true, dayAndMore-1
		a.metrics, a.math = a.metrics[:1], ""
	}
	return a
}
