package simulation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/bench/simulation"
)

func calls(t *testing.T, traffic simulation.Traffic, strategy simulation.Strategy) int64 {
	t.Helper()
	n, err := simulation.Calls(t.Context(), traffic, strategy)
	require.NoError(t, err)
	return n
}

// The savings that the SDK promises for ten secrets in one container.
func TestTheSDKSavesCalls(t *testing.T) {
	strategies := simulation.Strategies()
	ours, none := strategies[0], strategies[len(strategies)-1]
	for _, row := range []struct{ perHour, saved float64 }{{30, 95}, {100, 98.5}, {1000, 99.5}} {
		traffic := simulation.Traffic{PerHour: row.perHour, Readers: 1}
		uncached := calls(t, traffic, none)
		assert.InEpsilon(t, 10*24*row.perHour, uncached, 0.1, "the traffic")
		assert.GreaterOrEqual(t, simulation.Saved(calls(t, traffic, ours), uncached), row.saved, "at %v an hour", row.perHour)
	}
}

// With the TTL of AWS's extension the same traffic is far from it.
func TestAShortTTLSavesLess(t *testing.T) {
	strategies := simulation.Strategies()
	traffic := simulation.Traffic{PerHour: 30, Readers: 1}
	uncached := calls(t, traffic, strategies[3])
	assert.Less(t, simulation.Saved(calls(t, traffic, strategies[2]), uncached), 80.0)
}

// A Lambda function's environments each fill their cache once in their life, and
// refresh it while they live.
func TestEnvironmentsThatAreReplacedFillTheirCachesAgain(t *testing.T) {
	traffic := simulation.Traffic{PerHour: 30, Readers: 2, ReplacedIn: 2 * time.Hour}
	n := calls(t, traffic, simulation.Strategies()[0])
	const fills = 2 * 12 * 10
	assert.GreaterOrEqual(t, n, int64(2*fills))
	assert.LessOrEqual(t, n, int64(3*fills))
}

func TestTheSectionHasARowForEachTraffic(t *testing.T) {
	section, err := simulation.Run(t.Context(), "", func(string) {})
	require.NoError(t, err)
	require.Len(t, section.Rows, len(simulation.Traffics()))
	for _, row := range section.Rows {
		assert.True(t, row.Reached(), row.What)
	}
}
