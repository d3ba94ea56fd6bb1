package program_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The dashboard is the one in testdata, and what is on it doesn't overlap.
func TestDashboard(t *testing.T) {
	body := deployOnPaper(t, "prod").named("aws:cloudwatch/dashboard:Dashboard")["audit"].Inputs["dashboardBody"].StringValue()
	var indented bytes.Buffer
	require.NoError(t, json.Indent(&indented, []byte(body), "", "  "))
	indented.WriteByte('\n')
	const golden = "testdata/dashboard.json"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, indented.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), indented.String(), "when the change is wanted: go test ./program -run Dashboard -update")

	var dashboard struct {
		Widgets []struct {
			Type                string
			X, Y, Width, Height int
			Properties          map[string]any
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &dashboard))
	taken := map[[2]int]bool{}
	for _, widget := range dashboard.Widgets {
		assert.LessOrEqual(t, widget.X+widget.Width, 24)
		for x := widget.X; x < widget.X+widget.Width; x++ {
			for y := widget.Y; y < widget.Y+widget.Height; y++ {
				assert.False(t, taken[[2]int{x, y}], "two widgets are at %d, %d", x, y)
				taken[[2]int{x, y}] = true
			}
		}
		if widget.Type == "metric" {
			assert.NotEmpty(t, widget.Properties["region"])
			assert.NotEmpty(t, widget.Properties["title"])
		}
	}
}
