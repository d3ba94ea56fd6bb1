package dualread_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/sdk/dualread"
	"github.com/aistudio/secrets/sdk/secretstest"
	"github.com/aistudio/secrets/sdk/spec"
)

// One line of code does before, during and after a migration.
func TestFromEnvGoesByWhatTheMigratorSets(t *testing.T) {
	for label, c := range map[string]struct {
		reference, old string
		source         dualread.Source
		want           string
		place          dualread.Place
	}{
		"before":            {"", "old", nil, "old", dualread.PlaceOld},
		"before, nothing":   {"", "", nil, "", ""},
		"during":            {name, "old", nil, `{"password":"new","port":1}`, dualread.PlaceNew},
		"a field":           {name + "#password", "old", nil, "new", dualread.PlaceNew},
		"a number":          {name + "#port", "old", nil, "1", dualread.PlaceNew},
		"a field not there": {name + "#pin", "old", nil, "old", dualread.PlaceOld},
		"no such secret":    {"acme/prod/shop/none", "old", nil, "old", dualread.PlaceOld},
		"after":             {name + "#password", "", nil, "new", dualread.PlaceNew},
		"after, nothing":    {"acme/prod/shop/none", "", nil, "", ""},
		"another old place": {"", "/shop/password", func(context.Context) (spec.Value, error) { return spec.ValueString("of SSM"), nil }, "of SSM", dualread.PlaceOld},
	} {
		t.Run(label, func(t *testing.T) {
			t.Setenv("DB_PASSWORD", c.old)
			t.Setenv("DB_PASSWORD_SECRET_ID", c.reference)
			store := secretstest.New()
			store.Put(name, `{"password":"new","port":1}`)
			var result dualread.Result
			reader, err := dualread.FromEnv(store.Client(t), "DB_PASSWORD", dualread.Options{
				Old: c.source, Observe: func(_ context.Context, r dualread.Result) { result = r },
			})
			require.NoError(t, err)
			value, err := reader.Value(t.Context())
			if c.want == "" {
				require.ErrorContains(t, err, "DB_PASSWORD")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, value.RevealString())
			assert.Equal(t, c.place, result.Place)
		})
	}
}

func TestAReferenceThatCannotBeRead(t *testing.T) {
	t.Setenv("DB_PASSWORD_SECRET_ID", name+"#")
	_, err := dualread.FromEnv(secretstest.New().Client(t), "DB_PASSWORD", dualread.Options{})
	require.ErrorContains(t, err, "environment variable DB_PASSWORD_SECRET_ID: reference")
}

// sums adds up what CloudWatch would make of the lines.
func sums(t *testing.T, lines string) (map[string]float64, int) {
	t.Helper()
	all, n := map[string]float64{}, 0
	for line := range strings.Lines(lines) {
		n++
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		assert.Equal(t, "orders", m[spec.DimensionService])
		for key, value := range m {
			if number, ok := value.(float64); ok {
				all[key] += number
			}
		}
	}
	return all, n
}

func TestMetricsAreFewLinesAndRightSums(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		m := dualread.NewMetrics(&out, "orders")
		start := time.Now()
		for i := range 100 {
			m.Observe(t.Context(), dualread.Result{Place: dualread.PlaceNew, Compared: i == 0})
			time.Sleep(time.Second)
		}
		for range 3 {
			m.Observe(t.Context(), dualread.Result{Place: dualread.PlaceOld, Compared: true, Differ: true})
		}
		m.Observe(t.Context(), dualread.Result{})
		time.Sleep(time.Minute)
		m.Observe(t.Context(), dualread.Result{Place: dualread.PlaceNew})
		counted, lines := sums(t, out.String())
		assert.Equal(t, map[string]float64{
			spec.MetricDualReadNew: 101, spec.MetricDualReadOld: 3, spec.MetricDualReadFailed: 1, spec.MetricDualReadCompared: 4, spec.MetricDualReadDiffer: 3,
		}, counted)
		assert.Equal(t, 4, lines)
		var line struct {
			AWS struct {
				Timestamp         int64
				CloudWatchMetrics []struct {
					Namespace  string
					Dimensions [][]string
					Metrics    []struct{ Name, Unit string }
				}
			} `json:"_aws"`
		}
		first, _, _ := strings.Cut(out.String(), "\n")
		require.NoError(t, json.Unmarshal([]byte(first), &line))
		assert.Equal(t, start.UnixMilli(), line.AWS.Timestamp)
		require.Len(t, line.AWS.CloudWatchMetrics, 1)
		assert.Equal(t, spec.MetricNamespace, line.AWS.CloudWatchMetrics[0].Namespace)
		assert.Equal(t, [][]string{{spec.DimensionService}}, line.AWS.CloudWatchMetrics[0].Dimensions)
		assert.Len(t, line.AWS.CloudWatchMetrics[0].Metrics, 5)
	})
}

// Without an observer of its own, a service counts on its standard output, and
// nothing of the values is there.
func TestFromEnvCountsOnStandardOutput(t *testing.T) {
	for _, variable := range []string{"AWS_LAMBDA_FUNCTION_NAME", spec.EnvService} {
		t.Setenv("AWS_LAMBDA_FUNCTION_NAME", "")
		t.Setenv(variable, "orders")
		t.Setenv("DB_PASSWORD", "canary-old")
		t.Setenv("DB_PASSWORD_SECRET_ID", name)
		t.Setenv(spec.EnvDualRead, "compare")
		out := standardOutput(t, func() {
			store := secretstest.New()
			store.Put(name, "canary-new")
			reader, err := dualread.FromEnv(store.Client(t), "DB_PASSWORD", dualread.Options{})
			require.NoError(t, err)
			_, err = reader.Value(t.Context())
			require.NoError(t, err)
		})
		counted, lines := sums(t, out)
		assert.Equal(t, 1, lines)
		assert.InDelta(t, 1, counted[spec.MetricDualReadDiffer], 0)
		assert.NotContains(t, out, "canary")
	}
}

func standardOutput(t *testing.T, do func()) string {
	t.Helper()
	read, write, err := os.Pipe()
	require.NoError(t, err)
	before := os.Stdout
	os.Stdout = write
	defer func() { os.Stdout = before }()
	do()
	require.NoError(t, write.Close())
	text, err := io.ReadAll(read)
	require.NoError(t, err)
	return string(text)
}
