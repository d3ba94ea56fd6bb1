package schedule_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/schedule"
)

func TestNext(t *testing.T) {
	from := time.Date(2026, 11, 25, 10, 30, 15, 0, time.UTC) // a Wednesday
	for expression, want := range map[string]string{
		"rate(1 minute)":            "2026-11-25T10:31:15Z",
		"rate(4 hours)":             "2026-11-25T14:30:15Z",
		"rate(30 days)":             "2026-12-25T10:30:15Z",
		"cron(0 8 ? * * *)":         "2026-11-26T08:00:00Z",
		"cron(0 */4 ? * * *)":       "2026-11-25T12:00:00Z",
		"cron(15 10 ? * 4 *)":       "2026-12-02T10:15:00Z", // 4 is Wednesday
		"cron(0 9 ? * SUN *)":       "2026-11-29T09:00:00Z",
		"cron(0 9 ? * 1 *)":         "2026-11-29T09:00:00Z",
		"cron(0 9 ? * 2#1 *)":       "2026-12-07T09:00:00Z", // first Monday
		"cron(0 0 L * ? *)":         "2026-11-30T00:00:00Z",
		"cron(0 3 1,15 * ? *)":      "2026-12-01T03:00:00Z",
		"cron(0 0 1 1 ? 2028)":      "2028-01-01T00:00:00Z",
		"cron(0 8 ? 1/3 MON-FRI *)": "2027-01-01T08:00:00Z",
	} {
		s, err := schedule.Parse(expression)
		require.NoError(t, err, expression)
		assert.Equal(t, want, s.Next(from).Format(time.RFC3339), expression)
	}
}

func TestTimeZones(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Vienna")
	require.NoError(t, err)
	s, err := schedule.Parse("cron(0 8 ? * * *)")
	require.NoError(t, err)
	winter := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	assert.Equal(t, "2026-11-26T07:00:00Z", s.In(zone).Next(winter).Format(time.RFC3339))
	assert.Equal(t, "2026-07-01T06:00:00Z", s.In(zone).Next(winter.AddDate(0, -5, 5)).Format(time.RFC3339))
}

func TestMistakes(t *testing.T) {
	for _, expression := range []string{
		"", "every day", "rate(0 hours)", "rate(1 hours)", "rate(2 hour)", "rate(4 weeks)", "rate(4 hours",
		"cron(0 8 * * *)", "cron(0 8 * * * *)", "cron(0 8 ? * ? *)", "cron(0 8 ? * 8 *)", "cron(0 8 ? * 0 *)", "cron(61 8 ? * * *)",
	} {
		_, err := schedule.Parse(expression)
		assert.Error(t, err, expression)
	}
}

func TestPastYears(t *testing.T) {
	s, err := schedule.Parse("cron(0 0 1 1 ? 2020)")
	require.NoError(t, err)
	assert.True(t, s.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero())
}
