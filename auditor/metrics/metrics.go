// Package metrics writes an audit's numbers in CloudWatch's embedded metric
// format: lines of a Lambda function's log from which CloudWatch makes metrics
// (CloudWatch user guide, "Embedded metric format").
package metrics

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/aistudio/secrets/auditor/audit"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/sdk/spec"
)

type definition struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []metric
}

type metric struct {
	Name string
	Unit string
}

// Write writes one line for each set of dimensions.
func Write(w io.Writer, r *audit.Result) error {
	completed := 0
	if r.Complete() {
		completed = 1
	}
	e := emitter{w, r}
	err := e.emit(nil, []metric{
		{spec.MetricAudits, "Count"}, {spec.MetricSecrets, "Count"}, {spec.MetricRotationCompliance, "Percent"},
		{spec.MetricOldestValue, "None"}, {spec.MetricAuditCoverage, "Percent"},
	}, map[string]any{
		spec.MetricAudits: completed, spec.MetricSecrets: r.Secrets, spec.MetricRotationCompliance: r.RotationCompliance(),
		spec.MetricOldestValue: r.OldestDays, spec.MetricAuditCoverage: r.Coverage(),
	})
	if err != nil {
		return err
	}
	findings := []metric{{spec.MetricFindings, "Count"}}
	for _, severity := range finding.Severities() {
		err := e.emit(map[string]string{spec.DimensionSeverity: string(severity)}, findings, map[string]any{spec.MetricFindings: r.BySeverity()[severity]})
		if err != nil {
			return err
		}
	}
	for _, rule := range r.Rules {
		err := e.emit(map[string]string{spec.DimensionRule: rule.ID}, findings, map[string]any{spec.MetricFindings: rule.Counts[finding.Fail]})
		if err != nil {
			return err
		}
	}
	return nil
}

type emitter struct {
	w io.Writer
	r *audit.Result
}

func (e emitter) emit(dimensions map[string]string, metrics []metric, values map[string]any) error {
	keys := []string{spec.DimensionEnvironment}
	values[spec.DimensionEnvironment] = e.r.Environment
	for key, value := range dimensions {
		keys = append(keys, key)
		values[key] = value
	}
	values["_aws"] = map[string]any{
		"Timestamp":         e.r.Time.UnixMilli(),
		"CloudWatchMetrics": []definition{{spec.MetricNamespace, [][]string{keys}, metrics}},
	}
	line, err := json.Marshal(values)
	if err == nil {
		_, err = e.w.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}
