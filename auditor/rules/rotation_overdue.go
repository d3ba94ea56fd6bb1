package rules

import (
	"strconv"
	"time"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/schedule"
)

func rotationOverdue() Rule {
	return Rule{
		ID:          "rotation-overdue",
		Title:       "Rotation is overdue by its own schedule",
		Rationale:   "The schedule promises a new value by a date, and the date has passed: rotation has stopped and nobody noticed.",
		Remediation: "Look at the rotation function's log for the reason, mend it, then rotate now: go tool mage rotate:now <secret>, or aws secretsmanager rotate-secret --secret-id <name>.",
		Severity:    finding.High,
		Controls:    failedRotationControls(),
		Secret: func(c Context, s *facts.Subject) finding.Verdict {
			if !s.Rotation.Enabled {
				return finding.Skipped("rotation is not enabled")
			}
			byHand, known := s.ByHand.Get()
			due, overdue, err := dueBy(c, &s.Secret, time.Time{})
			switch {
			case err != nil:
				return finding.Unreadable("its schedule can't be read: " + err.Error())
			case !overdue:
				return finding.Passed()
			case !known:
				return finding.Unreadable(s.ByHand.Unknown)
			case !byHand.IsZero():
				if due, overdue, _ = dueBy(c, &s.Secret, byHand); !overdue {
					return finding.Passed()
				}
			}
			return finding.Failed(
				"schedule", scheduleText(s.Rotation), "last rotated", when(s.Rotation.Last),
				"was due by", when(due), "overdue for", days(c.Now.Sub(due)),
			)
		},
	}
}

// Overdue reports whether a rotation that is enabled is known to be overdue. By
// hand is when somebody put a value by hand, zero for never: with
// AutomaticallyAfterDays it counts as a rotation, while the windows of an
// expression come regardless (API reference, RotationRulesType).
func Overdue(c Context, s *facts.Secret, byHand time.Time) bool {
	_, overdue, err := dueBy(c, s, byHand)
	return err == nil && overdue
}

// dueBy returns by when the next rotation was due, and whether that is over: by the
// schedule, and by AWS's own reckoning, whose date stays in the past while
// rotations fail (API reference, DescribeSecret, NextRotationDate). The error says
// that the schedule can't be read and AWS's date isn't over.
func dueBy(c Context, s *facts.Secret, byHand time.Time) (due time.Time, overdue bool, err error) {
	if !s.Rotation.Enabled {
		return time.Time{}, false, nil
	}
	over := func(due time.Time) bool { return !due.IsZero() && c.Now.After(due.Add(c.Policy.RotationGrace)) }
	next := s.Rotation.Next
	rule, err := rotationSchedule(s.Rotation)
	switch {
	case over(next):
		return next, true, nil
	case err != nil:
		return time.Time{}, false, err
	case s.Rotation.Last.IsZero() && next.After(c.Now):
		return next, false, nil // rotation was switched on when the secret was old already
	}
	due = rule.Due(lastRotated(s, byHand))
	return due, over(due), nil
}

func lastRotated(s *facts.Secret, byHand time.Time) time.Time {
	last := s.Rotation.Last
	if last.IsZero() {
		last = s.Created
	}
	if byHand.After(last) && s.Rotation.Schedule == "" {
		last = byHand
	}
	return last
}

func rotationSchedule(r facts.Rotation) (schedule.Schedule, error) {
	if r.Schedule != "" {
		return schedule.Parse(r.Schedule, r.Window)
	}
	return schedule.Days(r.AfterDays, r.Window)
}

func scheduleText(r facts.Rotation) string {
	text := r.Schedule
	if text == "" {
		text = "every " + strconv.Itoa(r.AfterDays) + " days"
	}
	if r.Window != "" {
		text += ", window " + r.Window
	}
	return text
}
