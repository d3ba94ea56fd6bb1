package audit

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestARunIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("a command is compiled and run on whole estates")
	}
	section, err := Run([]int{150, 300})(t.Context(), "../..", func(string) {})
	require.NoError(t, err)
	require.Len(t, section.Rows, 6)
	for _, row := range section.Rows {
		if row.Missing == "" {
			assert.Positive(t, row.Value, row.What)
		}
	}
	assert.Equal(t, "audit of 300 secrets: calls to AWS", section.Rows[4].What)
	assert.True(t, section.Rows[4].Reached(), "%g calls", section.Rows[4].Value)
	assert.Equal(t, []string{"1,000", "12", "100,000"}, []string{grouped(1000), grouped(12), grouped(100_000)})
}
