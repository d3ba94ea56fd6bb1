package logs

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/clock"
)

// sink keeps what is reported.
type sink struct {
	names  []string
	values [][]float64
	at     []time.Time
}

func (s *sink) Put(_, _, _, name, _ string, value float64, _ ...string) {
	s.names, s.values, s.at = append(s.names, name), append(s.values, []float64{value}), append(s.at, time.Time{})
}

func (s *sink) PutAt(_, _, _, name, _ string, values []float64, at time.Time, _ bool, _ ...string) {
	s.names, s.values, s.at = append(s.names, name), append(s.values, values), append(s.at, at)
}

// TestMetricsOfFunctionsHaveTheCloudsTime: a function that the local cloud runs
// knows the machine's clock only, by which a metric would be years off.
func TestMetricsOfFunctionsHaveTheCloudsTime(t *testing.T) {
	start := time.Date(2030, 3, 1, 12, 0, 0, 0, time.UTC)
	env := &api.Env{Clock: clock.New(start)}
	t.Cleanup(env.Clock.Stop)
	got := &sink{}
	s := New(env, got)
	line := fmt.Sprintf(`{"_aws":{"Timestamp":%d,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[[]],"Metrics":[{"Name":"Lag"}]}]},"Lag":[1,2]}`, time.Now().Add(-time.Minute).UnixMilli())
	s.Put(t.Context(), "123456789012", "us-east-1", "/aws/lambda/f", "s", []string{"plain", line})
	require.Equal(t, []string{"Lag"}, got.names)
	assert.Equal(t, []float64{1, 2}, got.values[0])
	assert.WithinDuration(t, start.Add(-time.Minute), got.at[0], 30*time.Second)
}

func FuzzEmbeddedMetrics(f *testing.F) {
	f.Add(`{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["a"]],"Metrics":[{"Name":"m","Unit":"Count","StorageResolution":1}]}]},"a":"b","m":[1,2]}`)
	f.Add(`{"_aws":null}`)
	f.Add(`{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Metrics":[{"Name":""}]}]}}`)
	f.Fuzz(func(t *testing.T, line string) {
		got := &sink{}
		(&Service{metrics: got}).extract(groupKey{}, line, 0)
		for i, name := range got.names {
			assert.NotEmpty(t, name)
			assert.NotEmpty(t, got.values[i])
		}
	})
}
