package cloudwatch

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestMissingData is the table of AWS's user guide ("Configuring how CloudWatch
// alarms treat missing data"): datapoints from the oldest to the newest (0 is
// within the threshold, X over it, - missing), and the state by setting. "kept"
// is the state that the alarm was in.
func TestMissingData(t *testing.T) {
	const kept = "kept"
	for _, c := range []struct {
		m, n                                     int
		points                                   string
		missing, ignore, breaching, notBreaching string
	}{
		{3, 3, "0 - X - X", stateOK, stateOK, stateOK, stateOK},
		{3, 3, "- - - - 0", stateOK, stateOK, stateOK, stateOK},
		{3, 3, "- - - - -", stateInsufficient, kept, stateAlarm, stateOK},
		{3, 3, "0 X X - X", //nolint:dupword // as in the table
			stateAlarm, stateAlarm, stateAlarm, stateAlarm},
		{3, 3, "- - X - -", stateAlarm, kept, stateAlarm, stateOK},
		{2, 3, "0 - X - X", stateAlarm, stateAlarm, stateAlarm, stateAlarm},
		{2, 3, "0 0 X 0 X", stateAlarm, stateAlarm, stateAlarm, stateAlarm},
		{2, 3, "0 - X - -", stateOK, stateOK, stateAlarm, stateOK},
		{2, 3, "- - - - 0", stateOK, stateOK, stateAlarm, stateOK},
		{2, 3, "- - - - X", stateAlarm, kept, stateAlarm, stateOK},
		// Not in AWS's table, but by its rules:
		{1, 1, "X - -", stateAlarm, stateAlarm, stateAlarm, stateAlarm},
		{1, 1, "X - 0", stateOK, stateOK, stateOK, stateOK},
		{1, 1, "- - -", stateInsufficient, kept, stateAlarm, stateOK},
	} {
		from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		found := series{}
		for i, p := range strings.Fields(c.points) {
			if p != "-" {
				found[from.Add(time.Duration(i)*time.Minute).Unix()] = map[string]float64{"0": 0, "X": 10}[p]
			}
		}
		for setting, want := range map[string]string{
			"": c.missing, "missing": c.missing, "ignore": c.ignore, "breaching": c.breaching, "notBreaching": c.notBreaching,
		} {
			threshold := 5.0
			a := &alarm{state: kept, settings: settings{
				DatapointsToAlarm: c.m, EvaluationPeriods: c.n, Threshold: &threshold,
				ComparisonOperator: "GreaterThanThreshold", TreatMissingData: setting,
			}}
			state, _, _ := a.judge(found, from, time.Minute)
			assert.Equal(t, want, state, "%d of %d, %s, %q", c.m, c.n, c.points, setting)
		}
	}
}

func TestExpressions(t *testing.T) {
	results := map[string]series{"m1": {0: 6, 60: 9}, "m2": {0: 3, 60: 0, 120: 4}}
	times := []int64{0, 60, 120}
	for expression, want := range map[string]series{
		"m1 + m2":                     {0: 9, 60: 9, 120: 4}, // what is missing counts as 0
		"m1 + 0 * m2":                 {0: 6, 60: 9, 120: 0}, // a number has no times
		"100 * m1 / m2":               {0: 200, 120: 0},      // not where it divides by zero
		"-(m1 - 1)":                   {0: -5, 60: -8},
		"FILL(m1, 0)":                 {0: 6, 60: 9, 120: 0},
		"IF(m2 > 2 && m1 > 0, m2, 1)": {0: 3, 60: 1, 120: 1},
		"m1 >= 9 || m1 == 6":          {0: 1, 60: 1},
		"1 < 2":                       {0: 1, 60: 1, 120: 1},
	} {
		got, err := compute(expression, results, times)
		if assert.NoError(t, err, expression) {
			assert.Equal(t, want, got, expression)
		}
	}
	for _, expression := range []string{"", "m3", "m1 +", "SUM(METRICS())", `"a"`, "m1 % m2", "m1.x", "func() {}", "!m1"} {
		_, err := compute(expression, results, times)
		assert.Error(t, err, expression)
	}
}

func FuzzExpression(f *testing.F) {
	f.Add("100 * m1 / FILL(m1, 0)")
	f.Add("IF(m1 > 0, -m1, (m1))")
	f.Fuzz(func(_ *testing.T, expression string) {
		_, _ = compute(expression, map[string]series{"m1": {0: 1}}, []int64{0, 60})
	})
}
