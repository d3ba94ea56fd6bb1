package extension

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
)

// What an environment did is reported once a minute and at its end, and what was
// reported isn't again.
func TestMetrics(t *testing.T) {
	var out bytes.Buffer
	var stats secrets.Stats
	now := time.Unix(1_800_000_000, 0)
	m := NewMetrics(&out, "prod")
	write := func(end bool) string {
		out.Reset()
		require.NoError(t, m.Write(func() secrets.Stats { return stats }, now, end))
		return out.String()
	}
	assert.Empty(t, write(false), "nothing was read")
	now = now.Add(reportEvery)
	stats = secrets.Stats{Hits: 7, Misses: 3, Stale: 2}
	assert.JSONEq(t, `{"_aws": {"Timestamp": 1800000060000, "CloudWatchMetrics": [{"Namespace": "Secrets", "Dimensions": [["Environment"]],
		"Metrics": [{"Name": "CacheReads", "Unit": "Count"}, {"Name": "CacheStaleReads", "Unit": "Count"}]}]},
		"Environment": "prod", "CacheReads": 10, "CacheStaleReads": 2}`, write(false))
	stats.Hits++
	assert.Empty(t, write(false), "a minute isn't over")
	assert.Contains(t, write(true), `"CacheReads":1,"CacheStaleReads":0`)
	assert.Empty(t, write(true))

	m = NewMetrics(&out, "")
	assert.Empty(t, write(true), "nobody asked for them")
}
