package program_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The dashboard is the one in testdata, and what is on it doesn't overlap.
func TestDashboard(t *testing.T) {
	body := deployOnPaper(t, "prod").named("aws:cloudwatch/dashboard:Dashboard")["dashboard"].Inputs["dashboardBody"].StringValue()
	checkGolden(t, "dashboard", []byte(body))

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

// The alarms of prod are those in testdata: who changes one sees what it was. In the
// second region an alarm is as in the first, but for whom it tells.
func TestAlarmsTable(t *testing.T) {
	type row map[string]any
	var table []row
	alarms := deployOnPaper(t, "prod").named("aws:cloudwatch/metricAlarm:MetricAlarm")
	read := func(name, topic string) row {
		inputs := alarms[name].Inputs.Mappable()
		assert.Equal(t, []any{"arn:aws:service:region:123456789012:Topic/" + topic}, inputs["alarmActions"], name)
		assert.NotEmpty(t, inputs["alarmDescription"])
		delete(inputs, "alarmActions")
		delete(inputs, "tags")
		return inputs
	}
	for name := range alarms {
		if first, standby := strings.CutSuffix(name, "-standby"); standby {
			assert.Equal(t, read(first, "rotation-alerts"), read(name, "rotation-standby-alerts"))
		} else {
			table = append(table, read(name, "rotation-alerts"))
		}
	}
	slices.SortFunc(table, func(a, b row) int { return strings.Compare(a["name"].(string), b["name"].(string)) })
	text, err := json.Marshal(table)
	require.NoError(t, err)
	checkGolden(t, "alarms", text)
}

// checkGolden compares JSON with a file in testdata.
func checkGolden(t *testing.T, name string, text []byte) {
	t.Helper()
	var indented bytes.Buffer
	require.NoError(t, json.Indent(&indented, text, "", "  "))
	indented.WriteByte('\n')
	golden := filepath.Join("testdata", name+".json")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, indented.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), indented.String(), "when the change is wanted: go test ./program -run 'Dashboard|AlarmsTable' -update")
}
