package catalogue

import (
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/adhocore/gronx"

	"github.com/aistudio/secrets/sdk/spec"
)

const day = 24 * time.Hour

// maxRate is the longest period that a rate expression takes (Secrets Manager
// user guide, "Rotation schedules").
const maxRate = 999 * day

// Schedule is when Secrets Manager rotates a secret. All times are UTC.
type Schedule struct {
	Expression string        // "rate(30 days)" or "cron(0 3 ? * SUN *)"
	Window     time.Duration // whole hours that a rotation may wait; 0: AWS's default
	Shortest   time.Duration // shortest time between two rotations
	Longest    time.Duration // longest time between two rotations

	latestHour int // of a day on which a window opens
}

var (
	everyPattern  = regexp.MustCompile(`^([1-9][0-9]{0,5})([hd])$`)
	ratePattern   = regexp.MustCompile(`^rate\(([1-9][0-9]{0,5}) (hours?|days?)\)$`)
	cronPattern   = regexp.MustCompile(`^cron\((.+)\)$`)
	windowPattern = regexp.MustCompile(`^([1-9][0-9]?)h$`)
)

// every returns the schedule that rotates once an interval, in days where it
// is a number of days and in hours otherwise.
func every(interval time.Duration) Schedule {
	amount, unit := int(interval/time.Hour), "hour"
	if interval%day == 0 {
		amount, unit = int(interval/day), "day"
	}
	if amount != 1 {
		unit += "s"
	}
	return Schedule{
		Expression: fmt.Sprintf("rate(%d %s)", amount, unit),
		Shortest:   interval,
		Longest:    interval,
	}
}

// spread returns a schedule that rotates at least once an interval. Secrets of
// one interval get different times, each always the same, because the time
// comes from the name: a stack's secrets aren't all rotated on the day that is
// an interval after its deployment.
//
//   - A day or a week: at an hour of the day, on a day of the week.
//   - Hours that divide a day: beginning at one of the first hours.
//   - Ten days and more: up to a tenth earlier, so that secrets drift apart.
//   - Else: as it is.
//
// Where a rate is in days, AWS itself picks a time of the day.
func spread(name string, interval, window time.Duration) Schedule {
	digest := fnv.New64a()
	_, _ = digest.Write([]byte(name)) // never fails
	pick := func(choices int) int { return int(digest.Sum64() % uint64(max(choices, 1))) }
	days, hours, open := int(interval/day), int(interval/time.Hour), max(int(window/time.Hour), 1)
	schedule := every(interval)
	switch {
	case interval == day:
		hour := pick(24 - open + 1)
		schedule.Expression, schedule.latestHour = fmt.Sprintf("cron(0 %d * * ? *)", hour), hour
	case interval == 7*day:
		hour, weekday := pick(24-open+1), pick(7*(24-open+1))/(24-open+1)
		schedule.Expression, schedule.latestHour = fmt.Sprintf("cron(0 %d ? * %d *)", hour, weekday+1), hour
	case interval%day == 0 && days >= 10:
		schedule = every(time.Duration(days-pick(days/10+1)) * day)
	case interval%day != 0 && day%interval == 0 && interval >= spec.MinRotationInterval:
		hour := pick(hours - open + 1)
		schedule.Expression, schedule.latestHour = fmt.Sprintf("cron(0 %d/%d * * ? *)", hour, hours), 24-hours+hour
	}
	schedule.Window = window
	return schedule
}

// within returns the schedule with the longest interval, at most the default,
// that renews tokens before they end.
func within(name string, lifetime, window time.Duration) (Schedule, error) {
	for _, interval := range []time.Duration{
		7 * day, 6 * day, 5 * day, 4 * day, 3 * day, 2 * day, day, 12 * time.Hour, 8 * time.Hour, 6 * time.Hour, 4 * time.Hour,
	} {
		if schedule := spread(name, interval, window); schedule.validateLifetime(lifetime) == nil {
			return schedule, nil
		}
	}
	return Schedule{}, fmt.Errorf("tokens that live %s can't be kept fresh by rotation, which Secrets Manager does at most every 4 hours and within an hour: let the service get its access tokens with what the secret holds, and leave tokenLifetime out", short(lifetime))
}

// parseEvery reads "30d" or "12h".
func parseEvery(text string) (time.Duration, error) {
	match := everyPattern.FindStringSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("%q is no interval: write a number of days or hours, such as 30d or 12h", text)
	}
	return interval(match[1], match[2]), nil
}

// parseExpression reads a rate or cron expression of Secrets Manager.
func parseExpression(text string) (Schedule, error) {
	if match := ratePattern.FindStringSubmatch(text); match != nil {
		schedule := every(interval(match[1], match[2]))
		schedule.Expression = text
		return schedule, nil
	}
	if match := cronPattern.FindStringSubmatch(text); match != nil {
		return parseCron(text, match[1])
	}
	return Schedule{}, fmt.Errorf("%q is no schedule: write rate(30 days), rate(12 hours) or cron(0 3 ? * SUN *)", text)
}

// interval multiplies digits that a pattern has checked.
func interval(amount, unit string) time.Duration {
	n, _ := strconv.Atoi(amount)
	if strings.HasPrefix(unit, "d") {
		return time.Duration(n) * day
	}
	return time.Duration(n) * time.Hour
}

// parseCron measures the times between an expression's next rotations.
// Secrets Manager's windows start on the hour and its expressions hold for
// every year (user guide, "Rotation schedules").
func parseCron(text, fields string) (Schedule, error) {
	field := strings.Fields(fields)
	if len(field) != 6 {
		return Schedule{}, fmt.Errorf("%q has %d fields, not the six minutes, hours, day-of-month, month, day-of-week, year", text, len(field))
	}
	var errs []error
	if field[0] != "0" {
		errs = append(errs, fmt.Errorf("%q has the minutes %q: rotation windows start on the hour, write 0", text, field[0]))
	}
	if field[5] != "*" {
		errs = append(errs, fmt.Errorf("%q has the year %q: write *", text, field[5]))
	}
	if (field[2] == "?") == (field[4] == "?") {
		errs = append(errs, fmt.Errorf("%q must have ? as either its day-of-month or its day-of-week", text))
	}
	if err := errors.Join(errs...); err != nil {
		return Schedule{}, err
	}

	// A reader of Unix cron counts days of the week from 0, AWS from 1: every
	// day is one late here, which leaves the times between rotations as they are.
	schedule := Schedule{Expression: text}
	expression := "0 " + strings.Join(field, " ")
	previous := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	const ticks = 400 // more than a year of daily rotations
	for i := range ticks {
		next, err := gronx.NextTickAfter(expression, previous, false)
		if err != nil {
			return Schedule{}, fmt.Errorf("%q names no time to come: %w", text, err)
		}
		if gap := next.Sub(previous); i > 0 {
			if schedule.Shortest == 0 || gap < schedule.Shortest {
				schedule.Shortest = gap
			}
			schedule.Longest = max(schedule.Longest, gap)
		}
		schedule.latestHour = max(schedule.latestHour, next.Hour())
		previous = next
	}
	return schedule, nil
}

// parseWindow reads "3h".
func parseWindow(text string) (time.Duration, error) {
	match := windowPattern.FindStringSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("%q is no window: write a number of hours, such as 3h", text)
	}
	return interval(match[1], "h"), nil
}

// validateWindow checks that the window ends before the next one opens and,
// where rotations are days apart, within the day (user guide, "Rotation
// windows").
func (s Schedule) validateWindow() error {
	if s.Window > s.Shortest {
		return fmt.Errorf("a window of %s reaches into the next one: rotations can be %s apart", short(s.Window), short(s.Shortest))
	}
	if open := time.Duration(s.latestHour) * time.Hour; s.Window > 0 && open+s.Window > day {
		return fmt.Errorf("a window of %s that opens at %02d:00 UTC reaches into the next day", short(s.Window), s.latestHour)
	}
	return nil
}

// late is how long after its window has opened a rotation may come. Without a
// duration AWS closes the window of a schedule in hours after an hour, and that
// of one in days at the end of the day (API reference, RotationRulesType).
func (s Schedule) late() time.Duration {
	switch {
	case s.Window > 0:
		return s.Window
	case s.Shortest < day:
		return time.Hour
	default:
		return day - time.Duration(s.latestHour)*time.Hour
	}
}

// validateLifetime checks that tokens live until the next rotation.
func (s Schedule) validateLifetime(lifetime time.Duration) error {
	if longest := s.Longest + s.late(); longest > lifetime {
		return fmt.Errorf("%s can leave %s between two rotations, and the tokens live %s: leave the rotation out, and it is chosen by their lifetime", s.Expression, short(longest), short(lifetime))
	}
	return nil
}

// short writes whole days as "30d" and others as "12h".
func short(d time.Duration) string {
	if d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return fmt.Sprintf("%dh", d/time.Hour)
}

// Duration returns the window as Secrets Manager takes it, such as "3h", and ""
// for AWS's default.
func (s Schedule) Duration() string {
	if s.Window == 0 {
		return ""
	}
	return fmt.Sprintf("%dh", s.Window/time.Hour)
}

// validate checks the times between rotations against AWS's limits and against
// the age at which a secret of the kind counts as too old.
func (s Schedule) validate(kind spec.Kind) error {
	longest := min(kind.MaxAge(), maxRate)
	if kind == spec.KindCustom { // its owner decides
		longest = maxRate
	}
	var errs []error
	if s.Shortest < spec.MinRotationInterval {
		errs = append(errs, fmt.Errorf("%s rotates after %s: Secrets Manager rotates at most every 4 hours", s.Expression, s.Shortest))
	}
	if s.Longest > longest {
		errs = append(errs, fmt.Errorf("%s leaves %d days between rotations: a %s secret may be at most %d days old", s.Expression, s.Longest/day, kind, longest/day))
	}
	return errors.Join(errs...)
}
