package extension

import (
	"encoding/json"
	"io"
	"time"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/spec"
)

// reportEvery is the least time between two reports of an environment.
const reportEvery = time.Minute

// Metrics writes what a cache answered since the last time as a line in
// CloudWatch's embedded metric format (CloudWatch user guide, "Embedding metrics
// within logs"), from which CloudWatch makes the spec's metrics without a call
// or a permission. It isn't safe for concurrent use.
type Metrics struct {
	out         io.Writer
	environment string
	last        time.Time
	before      secrets.Stats
}

// NewMetrics returns metrics of an environment; with an empty one, it writes
// nothing.
func NewMetrics(out io.Writer, environment string) *Metrics {
	return &Metrics{out: out, environment: environment}
}

// Write writes a line if there was a read since the last one and that is a
// minute ago, or it is the end.
func (m *Metrics) Write(read func() secrets.Stats, now time.Time, end bool) error {
	if m.environment == "" || (!end && now.Sub(m.last) < reportEvery) {
		return nil
	}
	stats := read()
	reads := stats.Hits + stats.Misses - m.before.Hits - m.before.Misses
	stale := stats.Stale - m.before.Stale
	m.last, m.before = now, stats
	if reads == 0 {
		return nil
	}
	type metric struct{ Name, Unit string }
	line, err := json.Marshal(map[string]any{
		"_aws": map[string]any{
			"Timestamp": now.UnixMilli(),
			"CloudWatchMetrics": []any{map[string]any{
				"Namespace":  spec.MetricNamespace,
				"Dimensions": [][]string{{spec.DimensionEnvironment}},
				"Metrics":    []metric{{spec.MetricCacheReads, "Count"}, {spec.MetricCacheStaleReads, "Count"}},
			}},
		},
		spec.DimensionEnvironment:  m.environment,
		spec.MetricCacheReads:      reads,
		spec.MetricCacheStaleReads: stale,
	})
	if err != nil {
		return err
	}
	_, err = m.out.Write(append(line, '\n'))
	return err
}
