package dualread

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"os"
	"sync"
	"time"

	"github.com/aistudio/secrets/sdk/spec"
)

// How often Metrics writes at most: reads that went as they should are counted,
// others are told of soon.
const (
	reportEvery  = time.Minute
	reportAtOnce = time.Second
)

// Metrics counts dual reads in CloudWatch's embedded metric format (CloudWatch
// user guide, "Specification: Embedded metric format"): lines of a log from which
// CloudWatch makes spec's metrics of dual reads, without a call or a permission.
// It writes with the first read, then once a minute, and after a second where a
// read didn't go as it should. What is counted when a process ends before that is
// lost. It is safe for concurrent use.
type Metrics struct {
	service string

	mu    sync.Mutex
	out   io.Writer
	last  time.Time // of a line
	count Stats     // since then
}

// NewMetrics returns metrics of the service, whose name is their dimension.
func NewMetrics(out io.Writer, service string) *Metrics {
	return &Metrics{out: out, service: service}
}

// serviceName is the name under which the process counts, or "".
func serviceName() string {
	return cmp.Or(os.Getenv(spec.EnvService), os.Getenv("AWS_LAMBDA_FUNCTION_NAME"))
}

// Observe counts a read. It is for Options.Observe.
func (m *Metrics) Observe(_ context.Context, r Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count.add(r)
	wait := reportEvery
	if r.Place != PlaceNew || r.Compared {
		wait = reportAtOnce
	}
	now := time.Now()
	if now.Sub(m.last) < wait {
		return
	}
	// A log that can't be written is no reason to fail a read.
	_, _ = m.out.Write(m.line(now))
	m.last, m.count = now, Stats{}
}

func (m *Metrics) line(now time.Time) []byte {
	counts := []struct {
		name  string
		count uint64
	}{
		{spec.MetricDualReadNew, m.count.New}, {spec.MetricDualReadOld, m.count.Old}, {spec.MetricDualReadFailed, m.count.Failed},
		{spec.MetricDualReadCompared, m.count.Compared}, {spec.MetricDualReadDiffer, m.count.Differ},
	}
	line := map[string]any{spec.DimensionService: m.service}
	var metrics []map[string]string
	for _, c := range counts {
		metrics = append(metrics, map[string]string{"Name": c.name, "Unit": "Count"})
		line[c.name] = c.count
	}
	line["_aws"] = map[string]any{
		"Timestamp": now.UnixMilli(),
		"CloudWatchMetrics": []any{map[string]any{
			"Namespace": spec.MetricNamespace, "Dimensions": [][]string{{spec.DimensionService}}, "Metrics": metrics,
		}},
	}
	text, err := json.Marshal(line)
	if err != nil {
		return nil // names and numbers always marshal
	}
	return append(text, '\n')
}
