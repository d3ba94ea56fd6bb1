// Package window tells when AWS Secrets Manager rotates a secret: in windows
// that a rate() or cron() expression opens, in UTC. The rules are those of
// "Rotation schedules" in its user guide.
package window

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/schedule"
)

// MinInterval is the least time between two rotations.
const MinInterval = 4 * time.Hour

const (
	maxRateDays = 999
	dayLength   = 24 * time.Hour
)

// Schedule opens windows. The zero value opens none: see Parse and EveryDays.
type Schedule struct {
	every    time.Duration      // of a rate
	cron     *schedule.Schedule // or nil
	inHours  bool               // more than one window a day
	duration time.Duration      // 0: the default
}

// Window is the time in which one rotation happens.
type Window struct {
	Start, End time.Time
}

var durationText = regexp.MustCompile(`^[0-9]{1,2}h$`)

// EveryDays is the schedule of AutomaticallyAfterDays, in days. The duration is
// as in Parse.
func EveryDays(days int, duration string) (Schedule, error) {
	if days < 1 || days > 1000 {
		return Schedule{}, fmt.Errorf("%d days are not between 1 and 1000", days)
	}
	return Schedule{every: time.Duration(days) * dayLength}.withDuration(duration)
}

// Parse reads an expression such as "rate(10 days)" or "cron(0 16 1,15 * ? *)"
// and the length of the window such as "3h". Without a length a window of a
// schedule in hours is open for an hour and any other one until the end of the
// day.
func Parse(expression, duration string) (Schedule, error) {
	parsed, err := schedule.Parse(expression)
	if err != nil {
		return Schedule{}, err
	}
	if parsed.Rate() > 0 {
		if strings.Contains(expression, "minute") {
			return Schedule{}, fmt.Errorf("the rate %q is not in hours or days", expression)
		}
		s := Schedule{every: parsed.Rate(), inHours: strings.Contains(expression, "hour")}
		if s.every < MinInterval {
			return Schedule{}, fmt.Errorf("the rate %q is more often than every %d hours", expression, int(MinInterval.Hours()))
		}
		if s.every > maxRateDays*dayLength {
			return Schedule{}, fmt.Errorf("the rate %q is over %d days", expression, maxRateDays)
		}
		return s.withDuration(duration)
	}
	fields := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(expression, "cron("), ")"))
	if fields[0] != "0" {
		return Schedule{}, fmt.Errorf("the minutes of %q must be 0, as rotation windows open on the hour", expression)
	}
	if fields[5] != "*" {
		return Schedule{}, fmt.Errorf("the year of %q must be *", expression)
	}
	s, err := Schedule{cron: &parsed}.withDuration(duration)
	if err != nil {
		return Schedule{}, err
	}
	if s.inHours, err = s.checkStarts(); err != nil {
		return Schedule{}, fmt.Errorf("%q: %w", expression, err)
	}
	return s, s.checkWindows()
}

func (s Schedule) withDuration(text string) (Schedule, error) {
	if text == "" {
		return s, nil
	}
	if !durationText.MatchString(text) {
		return Schedule{}, fmt.Errorf("the duration %q is not a number of hours such as 3h", text)
	}
	hours, err := strconv.Atoi(strings.TrimSuffix(text, "h"))
	if err != nil || hours < 1 || hours > 24 {
		return Schedule{}, fmt.Errorf("the duration %q is not between 1h and 24h", text)
	}
	s.duration = time.Duration(hours) * time.Hour
	if s.every > 0 && s.duration > s.every {
		return Schedule{}, errors.New("the rotation window extends into the next rotation window")
	}
	return s, nil
}

// walk calls f for each start in a leap year and the year after it.
func (s Schedule) walk(f func(start time.Time) error) error {
	t := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Second)
	end := t.AddDate(2, 0, 0)
	for {
		if t = s.cron.Next(t); t.IsZero() || t.After(end) {
			return nil
		}
		if err := f(t); err != nil {
			return err
		}
	}
}

// checkStarts checks that windows of a cron expression are far enough apart and
// tells whether several open on one day.
func (s Schedule) checkStarts() (inHours bool, err error) {
	var last time.Time
	err = s.walk(func(t time.Time) error {
		if !last.IsZero() && t.Sub(last) < MinInterval {
			return fmt.Errorf("rotations %s apart are closer than %s", t.Sub(last), MinInterval)
		}
		inHours = inHours || t.Truncate(dayLength).Equal(last.Truncate(dayLength))
		last = t
		return nil
	})
	if err == nil && last.IsZero() {
		err = errors.New("it never comes to pass")
	}
	return inHours, err
}

// checkWindows checks that windows of a cron expression don't reach into the
// next day or each other.
func (s Schedule) checkWindows() error {
	var last time.Time
	return s.walk(func(t time.Time) error {
		if s.close(t).After(t.Truncate(dayLength).Add(dayLength)) {
			return fmt.Errorf("the rotation window that opens at %02d:00 extends into the next UTC day", t.Hour())
		}
		if t.Before(last) {
			return errors.New("the rotation window extends into the next rotation window")
		}
		last = s.close(t)
		return nil
	})
}

// Next returns the first window that opens after a time. anchor is when the
// schedule was set or the last rotation took place: a rate counts from the
// midnight before it. ok is false for the zero Schedule.
func (s Schedule) Next(after, anchor time.Time) (w Window, ok bool) {
	switch {
	case s.cron != nil:
		w.Start = s.cron.Next(after)
	case s.every > 0:
		midnight := anchor.UTC().Truncate(dayLength)
		past := max(0, after.Sub(midnight)).Truncate(s.every)
		w.Start = midnight.Add(past + s.every)
	}
	if w.Start.IsZero() {
		return Window{}, false
	}
	w.End = s.close(w.Start)
	return w, true
}

// CountsFromRotation says whether the next window depends on the last rotation:
// a rate in days does, one in hours keeps to the hours of its first midnight.
func (s Schedule) CountsFromRotation() bool { return s.every > 0 && !s.inHours }

func (s Schedule) close(start time.Time) time.Time {
	switch {
	case s.duration > 0:
		return start.Add(s.duration)
	case s.inHours:
		return start.Add(time.Hour)
	default:
		return start.Truncate(dayLength).Add(dayLength)
	}
}

// Days is what AutomaticallyAfterDays shows for a schedule: the days between a
// rotation at a time and the next one, at least 1; 0 without a schedule.
func (s Schedule) Days(at time.Time) int {
	if s.every > 0 {
		return max(1, int(s.every/dayLength))
	}
	w, ok := s.Next(at, at)
	if !ok {
		return 0
	}
	return max(1, int((w.Start.Sub(at)+dayLength-1)/dayLength))
}
