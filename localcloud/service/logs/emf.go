package logs

import (
	"encoding/json"
	"strings"
	"time"
)

// Limits of the embedded metric format:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
const (
	maxMetrics    = 100 // in a directive
	maxValues     = 100 // of a metric
	maxDimensions = 30  // in a set
)

// metricSink is CloudWatch, which gets the metrics that lines of logs embed.
type metricSink interface {
	Put(account, region, namespace, name, unit string, value float64, dimensions ...string)
	PutAt(account, region, namespace, name, unit string, values []float64, at time.Time, highResolution bool, dimensions ...string)
}

// embedded is the member _aws of a line in the embedded metric format.
type embedded struct {
	Timestamp         int64 // milliseconds since 1970
	CloudWatchMetrics []directive
}

type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []struct {
		Name, Unit        string
		StorageResolution int
	}
}

// extract reports the metrics of a line, shifted in time by shift. A line that
// means to have some and doesn't counts as one of the group's errors, as on AWS.
func (s *Service) extract(k groupKey, line string, shift time.Duration) {
	if !strings.Contains(line, `"_aws"`) {
		return
	}
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(line), &members) != nil || members["_aws"] == nil {
		return
	}
	var e embedded
	if json.Unmarshal(members["_aws"], &e) != nil || e.Timestamp <= 0 {
		s.metrics.Put(k.account, k.region, "AWS/Logs", "EMFParsingErrors", "Count", 1, "LogGroupName", k.name)
		return
	}
	at := time.UnixMilli(e.Timestamp).Add(shift)
	for _, d := range e.CloudWatchMetrics {
		if !s.report(k, d, members, at) {
			s.metrics.Put(k.account, k.region, "AWS/Logs", "EMFValidationErrors", "Count", 1, "LogGroupName", k.name)
		}
	}
}

// report reports the metrics of one directive, or none if it isn't valid.
func (s *Service) report(k groupKey, d directive, members map[string]json.RawMessage, at time.Time) bool {
	if d.Namespace == "" || len(d.Metrics) == 0 || len(d.Metrics) > maxMetrics {
		return false
	}
	sets := make([][]string, len(d.Dimensions))
	for i, names := range d.Dimensions {
		if len(names) > maxDimensions {
			return false
		}
		for _, name := range names {
			var value string
			if json.Unmarshal(members[name], &value) != nil || value == "" {
				return false
			}
			sets[i] = append(sets[i], name, value)
		}
	}
	if len(sets) == 0 {
		sets = [][]string{nil}
	}
	values := make([][]float64, len(d.Metrics))
	for i, m := range d.Metrics {
		if values[i] = numbers(members[m.Name]); m.Name == "" || len(values[i]) == 0 || len(values[i]) > maxValues {
			return false
		}
	}
	for i, m := range d.Metrics {
		for _, set := range sets {
			s.metrics.PutAt(k.account, k.region, d.Namespace, m.Name, m.Unit, values[i], at, m.StorageResolution == 1, set...)
		}
	}
	return true
}

// numbers reads a number or a list of them.
func numbers(text json.RawMessage) []float64 {
	var one float64
	if text != nil && string(text) != "null" && json.Unmarshal(text, &one) == nil {
		return []float64{one}
	}
	var many []float64
	if json.Unmarshal(text, &many) != nil {
		return nil
	}
	return many
}
