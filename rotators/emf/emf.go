// Package emf writes CloudWatch metrics into a Lambda function's log, in the
// embedded metric format (CloudWatch user guide, "Specification: Embedded
// metric format"): CloudWatch makes metrics of such lines, so the function
// needs no permission for it and waits for no call.
package emf

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// Unit is a unit of CloudWatch.
type Unit string

// The units that this project uses.
const (
	Count        Unit = "Count"
	Milliseconds Unit = "Milliseconds"
)

// Metric is a value of a metric.
type Metric struct {
	Name  string
	Unit  Unit
	Value float64
}

// Dimension tells values of one metric apart.
type Dimension struct{ Name, Value string }

// Writer writes metrics of one namespace. It is safe for concurrent use. A nil
// Writer writes nothing.
type Writer struct {
	namespace string
	now       func() time.Time

	mu  sync.Mutex
	out io.Writer
}

// New returns a Writer of lines to out, usually os.Stdout, which Lambda logs.
func New(out io.Writer, namespace string) *Writer {
	return &Writer{namespace: namespace, now: time.Now, out: out}
}

// Write writes the metrics, all under the same dimensions, as one line.
func (w *Writer) Write(dimensions []Dimension, metrics ...Metric) error {
	if w == nil {
		return nil
	}
	names := make([]string, 0, len(dimensions)) // none is an empty list, not null
	line := map[string]any{}
	for _, d := range dimensions {
		names = append(names, d.Name)
		line[d.Name] = d.Value
	}
	declared := make([]map[string]any, 0, len(metrics))
	for _, m := range metrics {
		declared = append(declared, map[string]any{"Name": m.Name, "Unit": m.Unit})
		line[m.Name] = m.Value
	}
	line["_aws"] = map[string]any{
		"Timestamp": w.now().UnixMilli(),
		"CloudWatchMetrics": []any{map[string]any{
			"Namespace": w.namespace, "Dimensions": []any{names}, "Metrics": declared,
		}},
	}
	text, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.out.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}
