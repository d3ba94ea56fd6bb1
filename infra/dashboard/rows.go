package dashboard

import (
	"fmt"

	"github.com/aistudio/secrets/infra/audittrail"
	"github.com/aistudio/secrets/sdk/spec"
)

// severities are the auditor's, the worst first, with colours that differ in
// lightness too.
var severities = []struct{ name, colour string }{
	{"critical", "#8b0000"}, {"high", "#d62728"}, {"medium", "#ff9f1c"}, {"low", "#7fb3d5"},
}

// perCent is the axis of shares.
var perCent = map[string]any{"max": 100}

// rows are the dashboard, top to bottom.
func (a Args) rows() []row {
	rows := []row{a.health(), a.numbers(), a.rotations(), a.cache()}
	if a.Trail != "" {
		rows = append(rows, a.access())
	}
	return append(rows, a.findings(), a.audits(), a.migration(), a.recovery(), a.cost())
}

// of is a metric of the environment.
func (a Args) of(metric string, more ...string) line {
	l := line{spec.MetricNamespace, metric, spec.DimensionEnvironment, a.Environment}
	for _, text := range more {
		l = append(l, text)
	}
	return l
}

func (a Args) health() row {
	var alarms []string
	for _, name := range a.Alarms {
		alarms = append(alarms, a.arn("cloudwatch", "alarm:"+name))
	}
	return row{"Health of the secrets of " + a.Environment, "What is red needs somebody; its description tells what to do.", 6, []map[string]any{
		{"title": "Alarms", "alarms": alarms},
	}}
}

func (a Args) numbers() row {
	return row{height: 4, widgets: []map[string]any{
		a.number("Rotated in time, per cent", a.of(spec.MetricRotationCompliance)),
		a.number("Critical findings", a.of(spec.MetricFindings, spec.DimensionSeverity, "critical")),
		a.number("Facts that could be read, per cent", a.of(spec.MetricAuditCoverage)),
		a.number("Secrets outside Secrets Manager", a.of(spec.MetricPlaintextSecrets)),
	}}
}

func (a Args) rotations() row {
	return row{"Rotations", "Secrets that rotate by their schedule, and every step of every rotation by kind of secret.", 6, []map[string]any{
		a.chart("Rotated in time", "per cent", day, "Maximum", perCent, a.of(spec.MetricRotationCompliance)),
		a.chart("Oldest value", "days", day, "Maximum", nil, a.of(spec.MetricOldestValue)),
		a.steps("Errors of steps", "errors", spec.MetricStepErrors, "Sum"),
		a.steps("Duration of steps, 99th percentile", "milliseconds", spec.MetricStepDuration, "p99"),
	}}
}

// steps draws a metric of the rotation functions, whose kinds and steps aren't
// known here.
func (a Args) steps(title, unit, metric, statistic string) map[string]any {
	return a.search(title, unit, 5*minute, fmt.Sprintf(`SEARCH('{%s,%s,%s} MetricName="%s"', '%s', %d)`,
		spec.MetricNamespace, spec.DimensionKind, spec.DimensionStep, metric, statistic, 5*minute),
		"${PROP('Dim."+spec.DimensionKind+"')} ${PROP('Dim."+spec.DimensionStep+"')}")
}

// search draws what a search finds.
func (a Args) search(title, unit string, period int, expression, label string) map[string]any {
	return a.chart(title, unit, period, "Maximum", nil, line{map[string]any{"expression": expression, "id": "found", "label": label}})
}

func (a Args) cache() row {
	return row{"Caches", "What the layers answered, and how late they can learn of a change. A stale read got a value past its time, because AWS didn't answer.", 6, []map[string]any{
		a.chart("Reads", "reads", 5*minute, "Sum", nil, a.of(spec.MetricCacheReads), a.of(spec.MetricCacheStaleReads)),
		a.chart("Stale reads", "per cent", 5*minute, "Sum", perCent,
			line{map[string]any{"expression": "100 * stale / reads", "id": "share", "label": "stale"}},
			a.of(spec.MetricCacheStaleReads).as(map[string]any{"id": "stale", "visible": false}),
			a.of(spec.MetricCacheReads).as(map[string]any{"id": "reads", "visible": false})),
		a.chart("Changes told late to caches", "milliseconds", 5*minute, "Maximum", nil, a.of(spec.MetricFeedLag)),
	}}
}

func (a Args) access() row {
	return row{"Access", "What the audit trail saw. `go tool mage audit:access <secret>` tells who it was.", 6, []map[string]any{
		a.chart("Reads of values", "reads", 5*minute, "Sum", nil, line{a.Trail, audittrail.Reads}, line{a.Trail, audittrail.ExpectedReads}),
		a.chart("Refused reads", "reads", 5*minute, "Sum", nil, line{a.Trail, audittrail.DeniedReads}),
		a.chart("Deletions, endangered keys, changes of the trail", "calls", 5*minute, "Sum", nil,
			line{a.Trail, audittrail.DeletionsScheduled}, line{a.Trail, audittrail.KeysEndangered}, line{a.Trail, audittrail.TrailChanges}),
	}}
}

func (a Args) findings() row {
	var bySeverity []line
	for _, severity := range severities {
		bySeverity = append(bySeverity, a.of(spec.MetricFindings, spec.DimensionSeverity, severity.name).as(map[string]any{"label": severity.name, "color": severity.colour}))
	}
	return row{"Audit", "What the last audit found wrong. The report in the bucket " + a.ReportBucket + " says where, and how to mend it. What could not be read is unknown and counts as nothing: coverage below 100 per cent means that these numbers are incomplete.", 6, []map[string]any{
		stacked(a.chart("Findings by severity", "findings", day, "Maximum", nil, bySeverity...)),
		a.search("Findings by rule", "findings", day, fmt.Sprintf(`SEARCH('{%s,%s,%s} MetricName="%s" %s="%s"', 'Maximum', %d)`,
			spec.MetricNamespace, spec.DimensionEnvironment, spec.DimensionRule, spec.MetricFindings, spec.DimensionEnvironment, a.Environment, day),
			"${PROP('Dim."+spec.DimensionRule+"')}"),
	}}
}

func (a Args) audits() row {
	return row{height: 6, widgets: []map[string]any{
		a.chart("Facts that could be read", "per cent", day, "Maximum", perCent, a.of(spec.MetricAuditCoverage)),
		a.chart("Secrets seen", "secrets", day, "Maximum", nil, a.of(spec.MetricSecrets)),
		a.chart("Complete audits, one a day is expected", "a day", day, "Sum", nil, a.of(spec.MetricAudits)),
		a.chart("Failures of the auditor", "a day", day, "Sum", nil, line{"AWS/Lambda", "Errors", "FunctionName", a.Auditor}),
	}}
}

func (a Args) migration() row {
	return row{"Migration", "Secrets that are still in variables of functions and containers, or in parameters, by the migration's daily scan.", 6, []map[string]any{
		a.number("Plaintext secrets left", a.of(spec.MetricPlaintextSecrets)),
		a.chart("Secrets outside Secrets Manager", "secrets", day, "Maximum", nil, a.of(spec.MetricPlaintextSecrets)),
	}}
}

// recovery has what works in the second region where there is one.
func (a Args) recovery() row {
	r := row{"Recovery", "Replicas that the last audit missed or found out of date. `go tool mage dr:status` looks at each of them now.", 6, []map[string]any{
		a.chart("Replicas missing or out of date", "secrets", day, "Maximum", nil,
			a.of(spec.MetricFindings, spec.DimensionRule, "replica-missing").as(map[string]any{"label": "missing"}),
			a.of(spec.MetricFindings, spec.DimensionRule, "replica-out-of-sync").as(map[string]any{"label": "out of sync"})),
	}}
	if a.ReplicaRegion == "" {
		r.text = "The secrets have no replicas in another region."
		return r
	}
	r.widgets = append(r.widgets, a.chart("Rotation feed, delay in "+a.ReplicaRegion, "milliseconds", 5*minute, "Maximum", nil,
		line{"AWS/DynamoDB", "ReplicationLatency", "TableName", a.FeedTable, "ReceivingRegion", a.ReplicaRegion}))
	var failures []line
	for _, function := range a.Standby {
		failures = append(failures, line{"AWS/Lambda", "Errors", "FunctionName", function})
	}
	failing := stacked(a.chart("Errors of functions in "+a.ReplicaRegion, "errors", 5*minute, "Sum", nil, failures...))
	failing["region"] = a.ReplicaRegion
	r.widgets = append(r.widgets, failing)
	return r
}

// cost has AWS's own estimate, which is in us-east-1 alone (CloudWatch user
// guide, "Monitor estimated charges with CloudWatch").
func (a Args) cost() row {
	charges := a.chart("Charges of the account so far this month", "USD", 6*60*minute, "Maximum", nil,
		line{"AWS/Billing", "EstimatedCharges", "ServiceName", "AWSSecretsManager", "Currency", "USD"},
		line{"AWS/Billing", "EstimatedCharges", "ServiceName", "awskms", "Currency", "USD"})
	charges["region"] = "us-east-1"
	var invocations []line
	for _, function := range a.Functions {
		invocations = append(invocations, line{"AWS/Lambda", "Invocations", "FunctionName", function})
	}
	return row{"Cost", "`go tool mage cost` estimates a month. The account's charges are there once billing alerts are switched on in it.", 6, []map[string]any{
		charges,
		stacked(a.chart("Invocations of the stack's functions", "a day", day, "Sum", nil, invocations...)),
	}}
}
