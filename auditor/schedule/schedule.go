// Package schedule tells when Secrets Manager should have rotated a secret:
// the interval that a rotation rule stands for, and the end of the window in
// which the next rotation is due.
//
// The rules are those of "Rotation schedules" in the Secrets Manager user guide
// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_schedule.html).
package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/cronexpr"
)

const day = 24 * time.Hour

// Schedule is a rotation rule. The zero value is none.
type Schedule struct {
	every  time.Duration        // of a rate
	cron   *cronexpr.Expression // or nil
	window time.Duration        // 0: to the end of the day, or an hour for schedules in hours
	hourly bool                 // more than one window a day
}

var (
	rate     = regexp.MustCompile(`^rate\((\d{1,4}) (hours?|days?)\)$`)
	duration = regexp.MustCompile(`^(\d{1,2})h$`)
)

// Days is the schedule of AutomaticallyAfterDays, 1 to 1000.
func Days(n int, window string) (Schedule, error) {
	if n < 1 || n > 1000 {
		return Schedule{}, fmt.Errorf("AutomaticallyAfterDays is %d: AWS takes 1 to 1000", n)
	}
	return Schedule{every: time.Duration(n) * day}.within(window)
}

// Parse reads rate(…) or cron(…), and the length of the window such as "3h",
// which may be empty.
func Parse(expression, window string) (Schedule, error) {
	if m := rate.FindStringSubmatch(expression); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil || n == 0 {
			return Schedule{}, fmt.Errorf("schedule %q: 0 is no rate", expression)
		}
		unit := day
		if strings.HasPrefix(m[2], "hour") {
			unit = time.Hour
		}
		every := time.Duration(n) * unit
		return Schedule{every: every, hourly: every < day}.within(window)
	}
	inner, isCron := strings.CutPrefix(expression, "cron(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !isCron || !closed {
		return Schedule{}, fmt.Errorf("schedule %q is neither rate(…) in hours or days nor cron(…)", expression)
	}
	fields := strings.Fields(inner)
	if len(fields) != 6 {
		return Schedule{}, fmt.Errorf("schedule %q has %d fields: AWS's cron has 6, minutes hours day-of-month month day-of-week year", expression, len(fields))
	}
	hours := fields[1]
	if err := unixWeekdays(&fields[4]); err != nil {
		return Schedule{}, fmt.Errorf("schedule %q: %w", expression, err)
	}
	for i, field := range fields {
		if field == "?" {
			fields[i] = "*"
		}
	}
	// The first field of cronexpr's seven is the second.
	cron, err := cronexpr.Parse("0 " + strings.Join(fields, " "))
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %q: %w", expression, err)
	}
	return Schedule{cron: cron, hourly: strings.ContainsAny(hours, "*/,-")}.within(window)
}

// unixWeekdays turns AWS's numbers of weekdays, 1 for Sunday, into cronexpr's,
// 0 for Sunday. What follows # or / counts and isn't a day; L alone is Saturday
// (EventBridge user guide, "Cron expressions").
func unixWeekdays(field *string) error {
	var errs []error
	items := strings.Split(*field, ",")
	for i, item := range items {
		if item == "L" {
			items[i] = "6"
			continue
		}
		end := strings.IndexAny(item, "#/")
		if end < 0 {
			end = len(item)
		}
		items[i] = weekday.ReplaceAllStringFunc(item[:end], func(digits string) string {
			n, err := strconv.Atoi(digits)
			if err != nil || n < 1 || n > 7 {
				errs = append(errs, fmt.Errorf("%s is no day of the week: 1 is Sunday, 7 Saturday", digits))
				return digits
			}
			return strconv.Itoa(n - 1)
		}) + item[end:]
	}
	*field = strings.Join(items, ",")
	return errors.Join(errs...)
}

var weekday = regexp.MustCompile(`\d+`)

func (s Schedule) within(window string) (Schedule, error) {
	if window == "" {
		return s, nil
	}
	m := duration.FindStringSubmatch(window)
	if m == nil {
		return Schedule{}, fmt.Errorf("window %q is not a number of hours such as 3h", window)
	}
	hours, err := strconv.Atoi(m[1])
	if err != nil || hours < 1 || hours > 24 {
		return Schedule{}, fmt.Errorf("window %q is not between 1h and 24h", window)
	}
	s.window = time.Duration(hours) * time.Hour
	return s, nil
}

// Due returns the end of the window in which the rotation after last is due: a
// secret that wasn't rotated by then is overdue. It is zero if no rotation is
// due any more, as for a cron expression whose years have passed.
func (s Schedule) Due(last time.Time) time.Time {
	last = last.UTC()
	if s.cron == nil {
		if s.every == 0 {
			return time.Time{}
		}
		start := last.Add(s.every)
		if !s.hourly {
			start = start.Truncate(day) // a rate in days opens its window at midnight
		}
		return s.close(start)
	}
	start := s.cron.Next(last)
	if start.IsZero() {
		return time.Time{}
	}
	// A rotation within a window is that window's: the next one counts.
	if opened := s.opened(last); !opened.IsZero() && !s.close(opened).Before(last) && !start.After(s.close(opened)) {
		start = s.cron.Next(s.close(opened))
		if start.IsZero() {
			return time.Time{}
		}
	}
	return s.close(start)
}

// opened returns the last start of a window at or before t within the day.
func (s Schedule) opened(t time.Time) time.Time {
	var last time.Time
	for at := s.cron.Next(t.Add(-day - time.Second)); !at.IsZero() && !at.After(t); at = s.cron.Next(at) {
		last = at
	}
	return last
}

func (s Schedule) close(start time.Time) time.Time {
	switch {
	case s.window > 0:
		return start.Add(s.window)
	case s.hourly:
		return start.Add(time.Hour)
	default:
		return start.Truncate(day).Add(day)
	}
}

// Interval returns the longest time between two starts of windows in the year
// after t: of a rate, the rate. It is zero if there are no two.
func (s Schedule) Interval(t time.Time) time.Duration {
	if s.cron == nil {
		return s.every
	}
	var longest time.Duration
	const enough = 400 // daily schedules need no more to show their gaps
	at, end := s.cron.Next(t.UTC()), t.Add(366*day)
	for range enough {
		next := s.cron.Next(at)
		if at.IsZero() || next.IsZero() {
			break
		}
		longest = max(longest, next.Sub(at))
		if next.After(end) {
			break
		}
		at = next
	}
	return longest
}
