package complianceauditor

import (
	"encoding/json"
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/sdk/spec"
)

// dashboardWidth is the number of columns that CloudWatch has (CloudWatch API
// reference, "Dashboard body structure and syntax").
const dashboardWidth = 24

const day = 24 * hour

// severities are the auditor's, the worst first, with colours that differ in
// lightness too.
var severities = []struct{ name, colour string }{
	{"critical", "#8b0000"}, {"high", "#d62728"}, {"medium", "#ff9f1c"}, {"low", "#7fb3d5"},
}

// widget is a part of a dashboard.
type widget struct {
	Type       string         `json:"type"`
	X          int            `json:"x"`
	Y          int            `json:"y"`
	Width      int            `json:"width"`
	Height     int            `json:"height"`
	Properties map[string]any `json:"properties"`
}

// row is a concern: a heading, and what tells of it beside one another.
type row struct {
	heading string
	text    string
	height  int
	widgets []map[string]any
}

func (c *ComplianceAuditor) deployDashboard(ctx *pulumi.Context, name string, args Args) error {
	body, err := json.Marshal(map[string]any{"widgets": arrange(rows(args))})
	if err != nil {
		return fmt.Errorf("write the dashboard: %w", err)
	}
	dashboard, err := cloudwatch.NewDashboard(ctx, name, &cloudwatch.DashboardArgs{
		DashboardName: pulumi.String(args.Prefix + "-secrets"),
		DashboardBody: pulumi.String(body),
	}, pulumi.Parent(c), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return err
	}
	c.DashboardName = dashboard.DashboardName
	return nil
}

// rows are the dashboard, top to bottom.
func rows(args Args) []row {
	of := func(metric string, more ...string) []any {
		line := []any{spec.MetricNamespace, metric, spec.DimensionEnvironment, args.Environment}
		for _, text := range more {
			line = append(line, text)
		}
		return line
	}
	drawn := func(line []any, options map[string]any) []any { return append(line, options) }
	number := func(title string, line []any) map[string]any {
		// An audit runs once a day: of any day, the last number counts.
		return args.properties(map[string]any{"view": "singleValue", "sparkline": true, "title": title, "stat": "Maximum", "period": day, "metrics": []any{line}})
	}
	chart := func(title, unit string, axis map[string]any, lines ...any) map[string]any {
		axis["label"], axis["showUnits"] = unit, false
		return args.properties(map[string]any{
			"view": "timeSeries", "title": title, "stat": "Maximum", "period": day, "metrics": lines, "yAxis": map[string]any{"left": axis},
		})
	}
	var bySeverity []any
	for _, severity := range severities {
		bySeverity = append(bySeverity, drawn(of(spec.MetricFindings, spec.DimensionSeverity, severity.name), map[string]any{"label": severity.name, "color": severity.colour}))
	}
	stacked := chart("Findings by severity", "findings", map[string]any{"min": 0}, bySeverity...)
	stacked["stacked"] = true
	var alarms []string
	for _, name := range AlarmNames(args.Prefix) {
		alarms = append(alarms, args.arn("cloudwatch", "alarm:"+name))
	}
	return []row{
		{"Rotation", "Secrets that rotate by their schedule, and the age of the oldest current value.", 6, []map[string]any{
			number("Rotated in time, per cent", of(spec.MetricRotationCompliance)),
			chart("Rotated in time", "per cent", map[string]any{"min": 0, "max": 100}, of(spec.MetricRotationCompliance)),
			chart("Oldest value", "days", map[string]any{"min": 0}, of(spec.MetricOldestValue)),
		}},
		{"Findings", "What the last audit found wrong. The report in the bucket " + BucketName(args.Prefix, args.AccountID) + " says where, and how to mend it.", 6, []map[string]any{
			number("Critical findings", of(spec.MetricFindings, spec.DimensionSeverity, "critical")),
			stacked,
			args.properties(map[string]any{
				"view": "timeSeries", "title": "Findings by rule", "stat": "Maximum", "period": day,
				"metrics": []any{[]any{map[string]any{
					"expression": fmt.Sprintf(`SEARCH('{%s,%s,%s} MetricName="%s" %s="%s"', 'Maximum', %d)`,
						spec.MetricNamespace, spec.DimensionEnvironment, spec.DimensionRule, spec.MetricFindings, spec.DimensionEnvironment, args.Environment, day),
					"id": "rules", "label": "${PROP('Dim." + spec.DimensionRule + "')}",
				}}},
				"yAxis": map[string]any{"left": map[string]any{"min": 0, "label": "findings", "showUnits": false}},
			}),
		}},
		{"Coverage", "What could not be read is unknown and counts as nothing: coverage below 100 per cent means that the numbers above are incomplete.", 6, []map[string]any{
			chart("Facts that could be read", "per cent", map[string]any{"min": 0, "max": 100}, of(spec.MetricAuditCoverage)),
			chart("Secrets seen", "secrets", map[string]any{"min": 0}, of(spec.MetricSecrets)),
			chart("Secrets outside Secrets Manager", "secrets", map[string]any{"min": 0}, of(spec.MetricPlaintextSecrets)),
		}},
		{"The auditor", "One complete audit a day is expected.", 6, []map[string]any{
			{"title": "Alarms", "alarms": alarms},
			chart("Complete audits", "a day", map[string]any{"min": 0}, drawn(of(spec.MetricAudits), map[string]any{"stat": "Sum"})),
			chart("Failures", "a day", map[string]any{"min": 0}, []any{"AWS/Lambda", "Errors", "FunctionName", functionName(args), map[string]any{"stat": "Sum"}}),
		}},
		{"Rotation functions", "Every step of every rotation, by kind of secret.", 6, []map[string]any{
			args.steps("Errors of steps", "errors", spec.MetricStepErrors, "Sum"),
			args.steps("Duration of steps, 99th percentile", "milliseconds", spec.MetricStepDuration, "p99"),
			chart("Changes told late to caches", "milliseconds", map[string]any{"min": 0}, []any{spec.MetricNamespace, spec.MetricFeedLag}),
		}},
	}
}

// steps draws a metric of the rotation functions, whose kinds and steps aren't
// known here.
func (a Args) steps(title, unit, metric, statistic string) map[string]any {
	return a.properties(map[string]any{
		"view": "timeSeries", "title": title, "period": 300,
		"metrics": []any{[]any{map[string]any{
			"expression": fmt.Sprintf(`SEARCH('{%s,%s,%s} MetricName="%s"', '%s', 300)`, spec.MetricNamespace, spec.DimensionKind, spec.DimensionStep, metric, statistic),
			"id":         "steps", "label": "${PROP('Dim." + spec.DimensionKind + "')} ${PROP('Dim." + spec.DimensionStep + "')}",
		}}},
		"yAxis": map[string]any{"left": map[string]any{"min": 0, "label": unit, "showUnits": false}},
	})
}

// properties adds the region, without which CloudWatch takes no widget with
// metrics.
func (a Args) properties(of map[string]any) map[string]any {
	of["region"] = a.Region
	return of
}

// arrange puts rows below one another, and what is in a row beside one another.
func arrange(rows []row) []widget {
	const headingHeight = 2
	var widgets []widget
	y := 0
	for _, row := range rows {
		widgets = append(widgets, widget{Type: "text", Y: y, Width: dashboardWidth, Height: headingHeight,
			Properties: map[string]any{"markdown": "## " + row.heading + "\n" + row.text}})
		y += headingHeight
		width := dashboardWidth / len(row.widgets)
		for i, properties := range row.widgets {
			kind := "metric"
			if _, alarms := properties["alarms"]; alarms {
				kind = "alarm"
			}
			widgets = append(widgets, widget{Type: kind, X: i * width, Y: y, Width: width, Height: row.height, Properties: properties})
		}
		y += row.height
	}
	return widgets
}
