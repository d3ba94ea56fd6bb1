package window_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/service/secretsmanager/window"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	x, err := time.Parse("2006-01-02T15:04", s)
	require.NoError(t, err)
	return x
}

// The examples are those of "Rotation schedules" in the user guide.
func TestNextWindow(t *testing.T) {
	tests := []struct {
		expression, duration string
		after                string
		anchor               string
		start, end           string
	}{
		{"rate(4 hours)", "", "2025-03-10T10:20", "2025-03-10T10:20", "2025-03-10T12:00", "2025-03-10T13:00"},
		{"rate(10 hours)", "2h", "2025-03-11T06:00", "2025-03-10T10:20", "2025-03-11T16:00", "2025-03-11T18:00"},
		{"rate(1 day)", "", "2025-03-10T00:00", "2025-03-10T00:00", "2025-03-11T00:00", "2025-03-12T00:00"},
		{"rate(10 days)", "2h", "2025-03-10T15:00", "2025-03-10T15:00", "2025-03-20T00:00", "2025-03-20T02:00"},
		{"rate(10 days)", "", "2025-03-25T15:00", "2025-03-10T15:00", "2025-03-30T00:00", "2025-03-31T00:00"},
		{"cron(0 8 * * ? *)", "", "2025-03-10T08:00", "2025-03-10T08:00", "2025-03-11T08:00", "2025-03-12T00:00"},
		{"cron(0 8/8 * * ? *)", "", "2025-03-10T08:00", "2025-03-10T08:00", "2025-03-10T16:00", "2025-03-10T17:00"},
		{"cron(0 4/12 * * ? *)", "", "2025-03-10T16:00", "2025-03-10T16:00", "2025-03-11T04:00", "2025-03-11T05:00"},
		{"cron(0 16 1,15 * ? *)", "", "2025-03-10T16:00", "2025-03-10T16:00", "2025-03-15T16:00", "2025-03-16T00:00"},
		{"cron(0 0 ? * SUN#1 *)", "", "2025-03-10T16:00", "2025-03-10T16:00", "2025-04-06T00:00", "2025-04-07T00:00"},
		{"cron(0 17 ? * FRIL *)", "", "2025-03-10T16:00", "2025-03-10T16:00", "2025-03-28T17:00", "2025-03-29T00:00"},
		{"cron(0 16 L * ? *)", "3h", "2025-02-10T16:00", "2025-02-10T16:00", "2025-02-28T16:00", "2025-02-28T19:00"},
		{"cron(0 0 1 1/3 ? *)", "", "2025-03-10T16:00", "2025-03-10T16:00", "2025-04-01T00:00", "2025-04-02T00:00"},
		{"cron(0 18 ? * MON-FRI *)", "", "2025-03-14T18:00", "2025-03-14T18:00", "2025-03-17T18:00", "2025-03-18T00:00"},
		{"cron(0 6 ? * L *)", "", "2025-03-10T00:00", "2025-03-10T00:00", "2025-03-15T06:00", "2025-03-16T00:00"},
		{"cron(0 6 29 FEB ? *)", "", "2025-03-10T00:00", "2025-03-10T00:00", "2028-02-29T06:00", "2028-03-01T00:00"},
	}
	for _, tt := range tests {
		t.Run(tt.expression, func(t *testing.T) {
			s, err := window.Parse(tt.expression, tt.duration)
			require.NoError(t, err)
			w, ok := s.Next(at(t, tt.after), at(t, tt.anchor))
			require.True(t, ok)
			assert.Equal(t, at(t, tt.start), w.Start)
			assert.Equal(t, at(t, tt.end), w.End)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for expression, duration := range map[string]string{
		"":                          "",
		"rate(3 hours)":             "",
		"rate(0 days)":              "",
		"rate(1000 days)":           "1",
		"rate(1 days)":              "",
		"rate(2 day)":               "",
		"rate(4 minutes)":           "",
		"rate(4 hours)":             "5h",
		"rate(5 days)":              "25h",
		"rate(6 days)":              "0h",
		"rate(7 days)":              "h",
		"cron(0 8 * * *)":           "",
		"cron(5 8 * * ? *)":         "",
		"cron(0 8 * * ? 2025)":      "",
		"cron(0 8 * * * *)":         "",
		"cron(0 8 ? * ? *)":         "",
		"cron(0 24 * * ? *)":        "",
		"cron(0 8 0 * ? *)":         "",
		"cron(0 8 30 2 ? *)":        "",
		"cron(0 8 * 13 ? *)":        "",
		"cron(0 8 ? * MOO *)":       "",
		"cron(0 8 ? * SUN#6 *)":     "",
		"cron(0 8 ? * 5-2 *)":       "",
		"cron(0 0,3 * * ? *)":       "",
		"cron(0 2,22,23 1,2 * ? *)": "",
		"cron(0 */6 * * ? *)":       "7h",
		"cron(0 20 * * ? *)":        "5h",
		"cron(0 8/0 * * ? *)":       "",
		"cron(0 8 W * ? *)":         "",
	} {
		_, err := window.Parse(expression, duration)
		assert.Error(t, err, "%s %s", expression, duration)
	}
	_, err := window.EveryDays(1001, "")
	assert.Error(t, err)
}

func TestDays(t *testing.T) {
	for expression, days := range map[string]int{
		"rate(30 days)": 30, "rate(4 hours)": 1, "cron(0 0 ? * SUN *)": 6, "cron(0 0 1 * ? *)": 22,
	} {
		s, err := window.Parse(expression, "")
		require.NoError(t, err)
		assert.Equal(t, days, s.Days(at(t, "2025-03-10T10:00")), expression)
	}
}

// FuzzParse: whatever Parse takes has windows, one after the other, on the
// hour, far enough apart and within one day.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"rate(4 hours)", "rate(10 days)", "cron(0 8/8 * * ? *)", "cron(0 0 ? * SUN#1 *)", "cron(0 16 L * ? *)", "cron(0 17 ? 2-11/3 FRIL *)"} {
		f.Add(s, "")
		f.Add(s, "2h")
	}
	start := time.Date(2025, 3, 10, 10, 20, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, expression, duration string) {
		s, err := window.Parse(expression, duration)
		if err != nil {
			return
		}
		last := window.Window{}
		after := start
		for range 20 {
			w, ok := s.Next(after, start)
			require.True(t, ok)
			require.True(t, w.Start.After(after))
			require.True(t, w.End.After(w.Start))
			require.Equal(t, w.Start, w.Start.Truncate(time.Hour))
			if !last.Start.IsZero() {
				require.GreaterOrEqual(t, w.Start.Sub(last.Start), window.MinInterval)
				require.False(t, w.Start.Before(last.End))
			}
			if strings.HasPrefix(expression, "cron") {
				require.LessOrEqual(t, w.End.Sub(w.Start.Truncate(24*time.Hour)), 24*time.Hour)
			}
			last, after = w, w.Start
		}
	})
}
