// Package schedule reads AWS's schedule expressions, rate(…) and cron(…), as
// EventBridge rules and Secrets Manager rotations have them.
package schedule

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/cronexpr"
)

// Schedule says when something happens next. It is immutable.
type Schedule struct {
	every time.Duration
	cron  *cronexpr.Expression
	zone  *time.Location // of cron's fields; nil is UTC
}

var ratePattern = regexp.MustCompile(`^rate\((\d{1,6}) (minute|minutes|hour|hours|day|days)\)$`)

// Parse reads an expression. Syntax:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html
// and, for Secrets Manager's subset,
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_schedule.html.
func Parse(expression string) (Schedule, error) {
	if m := ratePattern.FindStringSubmatch(expression); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil || n == 0 || (n == 1) == strings.HasSuffix(m[2], "s") {
			return Schedule{}, fmt.Errorf("schedule %q: 1 takes a singular unit, more than 1 a plural one, and 0 is no rate", expression)
		}
		unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[strings.TrimSuffix(m[2], "s")]
		return Schedule{every: time.Duration(n) * unit}, nil
	}
	inner, ok := strings.CutPrefix(expression, "cron(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !ok || !closed {
		return Schedule{}, fmt.Errorf("schedule %q is neither rate(…) nor cron(…)", expression)
	}
	return parseCron(expression, strings.Fields(inner))
}

func parseCron(expression string, fields []string) (Schedule, error) {
	if len(fields) != 6 {
		return Schedule{}, fmt.Errorf("schedule %q has %d fields: AWS's cron has 6, minutes hours day-of-month month day-of-week year", expression, len(fields))
	}
	if (fields[2] == "?") == (fields[4] == "?") {
		return Schedule{}, fmt.Errorf("schedule %q: exactly one of day-of-month and day-of-week must be ?", expression)
	}
	weekday, err := sundayFromZero(fields[4])
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %q: %w", expression, err)
	}
	fields[4] = weekday
	for i := range fields {
		if fields[i] == "?" {
			fields[i] = "*"
		}
	}
	parsed, err := cronexpr.Parse("0 " + strings.Join(fields, " "))
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %q: %w", expression, err)
	}
	return Schedule{cron: parsed}, nil
}

var number = regexp.MustCompile(`\d+`)

// sundayFromZero changes AWS's weekday numbers (1 is Sunday) to the usual ones
// (0 is Sunday). What follows # or / is a count, not a day.
func sundayFromZero(field string) (string, error) {
	items := strings.Split(field, ",")
	for i, item := range items {
		if item == "L" { // the last day of the week
			items[i] = "6"
			continue
		}
		days, rest := item, ""
		if at := strings.IndexAny(item, "#/"); at >= 0 {
			days, rest = item[:at], item[at:]
		}
		bad := ""
		days = number.ReplaceAllStringFunc(days, func(s string) string {
			n, err := strconv.Atoi(s)
			if err != nil || n < 1 || n > 7 {
				bad = s
				return s
			}
			return strconv.Itoa(n - 1)
		})
		if bad != "" {
			return "", fmt.Errorf("day of week %s is not between 1 (Sunday) and 7", bad)
		}
		items[i] = days + rest
	}
	return strings.Join(items, ","), nil
}

// In is the schedule with the fields of its cron expression read in a time zone,
// as EventBridge Scheduler can.
func (s Schedule) In(zone *time.Location) Schedule {
	s.zone = zone
	return s
}

// Rate is the interval of a rate expression, 0 for cron.
func (s Schedule) Rate() time.Duration { return s.every }

// Next is the first time after t, in UTC. It is zero when there is none, as for
// a cron expression whose years have passed.
func (s Schedule) Next(t time.Time) time.Time {
	t = t.UTC()
	if s.cron == nil {
		return t.Add(s.every)
	}
	if s.zone != nil {
		t = t.In(s.zone)
	}
	next := s.cron.Next(t)
	if next.IsZero() {
		return next
	}
	return next.UTC()
}
