package emf_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/emf"
)

func TestALineIsWhatCloudWatchReads(t *testing.T) {
	var out strings.Builder
	w := emf.New(&out, "Secrets")
	require.NoError(t, w.Write([]emf.Dimension{{Name: "Kind", Value: "database"}, {Name: "Step", Value: "setSecret"}},
		emf.Metric{Name: "Duration", Unit: emf.Milliseconds, Value: 12.5}, emf.Metric{Name: "Errors", Unit: emf.Count}))
	require.NoError(t, w.Write(nil, emf.Metric{Name: "FeedLag", Unit: emf.Milliseconds, Value: 3}))

	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 2)
	var line struct {
		AWS struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
		Kind, Step       string
		Duration, Errors float64
	}
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &line))
	assert.Positive(t, line.AWS.Timestamp)
	require.Len(t, line.AWS.CloudWatchMetrics, 1)
	assert.Equal(t, "Secrets", line.AWS.CloudWatchMetrics[0].Namespace)
	assert.Equal(t, [][]string{{"Kind", "Step"}}, line.AWS.CloudWatchMetrics[0].Dimensions)
	assert.Equal(t, []struct{ Name, Unit string }{{"Duration", "Milliseconds"}, {"Errors", "Count"}}, line.AWS.CloudWatchMetrics[0].Metrics)
	assert.Equal(t, "database", line.Kind)
	assert.InDelta(t, 12.5, line.Duration, 0)
	assert.Contains(t, lines[1], `"Dimensions":[[]]`)
}

func TestNoWriterWritesNothing(t *testing.T) {
	var w *emf.Writer
	require.NoError(t, w.Write(nil, emf.Metric{Name: "x"}))
}
