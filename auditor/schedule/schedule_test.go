package schedule_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/auditor/schedule"
)

const day = 24 * time.Hour

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// TestCheckov6199 is the report that a rotation's age was judged without
// reading cron expressions (checkov#6199).
func TestCheckov6199(t *testing.T) {
	for _, tt := range []struct {
		expression, window string
		last, due          string
		interval           time.Duration
	}{
		// 2026-11-25 is a Wednesday.
		{"rate(30 days)", "", "2026-11-25T10:30:00Z", "2026-12-26T00:00:00Z", 30 * day},
		{"rate(30 days)", "3h", "2026-11-25T10:30:00Z", "2026-12-25T03:00:00Z", 30 * day},
		{"rate(4 hours)", "", "2026-11-25T10:30:00Z", "2026-11-25T15:30:00Z", 4 * time.Hour},
		{"cron(0 3 ? * SUN *)", "3h", "2026-11-25T10:30:00Z", "2026-11-29T06:00:00Z", 7 * day},
		{"cron(0 3 ? * 1 *)", "3h", "2026-11-25T10:30:00Z", "2026-11-29T06:00:00Z", 7 * day},
		{"cron(0 3 ? * SUN *)", "3h", "2026-11-29T04:00:00Z", "2026-12-06T06:00:00Z", 7 * day},
		{"cron(0 3 ? * SUN *)", "", "2026-11-25T10:30:00Z", "2026-11-30T00:00:00Z", 7 * day},
		{"cron(0 8 1 * ? *)", "", "2026-11-25T10:30:00Z", "2026-12-02T00:00:00Z", 31 * day},
		{"cron(0 8 1 1/3 ? *)", "", "2026-11-25T10:30:00Z", "2027-01-02T00:00:00Z", 92 * day},
		{"cron(0 */4 ? * * *)", "", "2026-11-25T10:30:00Z", "2026-11-25T13:00:00Z", 4 * time.Hour},
		{"cron(0 9 ? * 2#1 *)", "", "2026-11-25T10:30:00Z", "2026-12-08T00:00:00Z", 35 * day},
		{"cron(0 0 L * ? *)", "2h", "2026-11-25T10:30:00Z", "2026-11-30T02:00:00Z", 31 * day},
		{"cron(0 0 1 1 ? 2028)", "", "2026-11-25T10:30:00Z", "2028-01-02T00:00:00Z", 0},
	} {
		s, err := schedule.Parse(tt.expression, tt.window)
		require.NoError(t, err, tt.expression)
		assert.Equal(t, tt.due, s.Due(at(tt.last)).Format(time.RFC3339), "%s %s", tt.expression, tt.window)
		assert.Equal(t, tt.interval, s.Interval(at(tt.last)), tt.expression)
	}
}

func TestNoRotationIsDueAnyMore(t *testing.T) {
	s, err := schedule.Parse("cron(0 0 1 1 ? 2020)", "")
	require.NoError(t, err)
	require.True(t, s.Due(at("2026-11-25T10:30:00Z")).IsZero())
	require.True(t, schedule.Schedule{}.Due(at("2026-11-25T10:30:00Z")).IsZero())
}

func TestDays(t *testing.T) {
	s, err := schedule.Days(30, "")
	require.NoError(t, err)
	require.Equal(t, "2026-12-26T00:00:00Z", s.Due(at("2026-11-25T10:30:00Z")).Format(time.RFC3339))
	for _, n := range []int{0, -1, 1001} {
		_, err := schedule.Days(n, "")
		require.Error(t, err)
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range [][2]string{
		{"", ""}, {"every day", ""}, {"rate(0 days)", ""}, {"rate(5 minutes)", ""}, {"cron(0 8 * * *)", ""},
		{"cron(0 8 ? * 8 *)", ""}, {"cron(0 8 ? * 0 *)", ""}, {"cron(99 8 ? * * *)", ""}, {"cron(0 8 ? * * *", ""},
		{"rate(30 days)", "3"}, {"rate(30 days)", "0h"}, {"rate(30 days)", "25h"}, {"rate(30 days)", "90m"},
	} {
		_, err := schedule.Parse(tt[0], tt[1])
		assert.Error(t, err, "%q %q", tt[0], tt[1])
	}
}

// TestDueIsLater holds for all schedules: what is due is due after the last
// rotation, and a rotation at its end makes the next one due later still.
func TestDueIsLater(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expression := rapid.SampledFrom([]string{
			"rate(4 hours)", "rate(1 day)", "rate(30 days)", "rate(400 days)", "cron(0 3 ? * SUN *)",
			"cron(0 */6 ? * * *)", "cron(30 8 1,15 * ? *)", "cron(0 0 L * ? *)", "cron(0 9 ? * 2#1 *)",
		}).Draw(t, "expression")
		s, err := schedule.Parse(expression, rapid.SampledFrom([]string{"", "1h", "3h"}).Draw(t, "window"))
		if err != nil {
			t.Fatal(err)
		}
		last := at("2026-01-01T00:00:00Z").Add(time.Duration(rapid.Int64Range(0, 365*24*3600).Draw(t, "second")) * time.Second)
		due := s.Due(last)
		if !due.After(last) {
			t.Fatalf("%s after %s is due at %s", expression, last, due)
		}
		if next := s.Due(due); !next.After(due) {
			t.Fatalf("%s after %s is due at %s", expression, due, next)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("rate(30 days)", "3h")
	f.Add("cron(0 3 ? * SUN *)", "")
	f.Fuzz(func(t *testing.T, expression, window string) {
		s, err := schedule.Parse(expression, window)
		if err == nil {
			s.Due(at("2026-11-25T10:30:00Z"))
		}
	})
}
