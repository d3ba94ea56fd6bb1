package migration

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAPlanIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("a command is compiled and run on whole estates")
	}
	section, err := Run(Size{Functions: 10, Services: 4, Parameters: 20})(t.Context(), "../..", func(string) {})
	require.NoError(t, err)
	found := map[string]float64{}
	for _, row := range section.Rows {
		found[row.What] = row.Value
		if row.Goal != nil {
			assert.True(t, row.Reached(), "%s: %g", row.What, row.Value)
		}
	}
	assert.Positive(t, found["plan: secrets that it makes"])
	assert.InDelta(t, 14, found["plan: services that it switches"], 0)
}
