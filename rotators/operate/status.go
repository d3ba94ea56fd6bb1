package operate

import (
	"context"
	"fmt"
	"time"
)

// PendingState is how it stands about a version that isn't current yet.
type PendingState string

// The states of a pending version.
const (
	// InProgress: a rotation is at work.
	InProgress PendingState = "in progress"
	// Retrying: an attempt has failed, and Secrets Manager may try again.
	Retrying PendingState = "failed"
	// Stuck: nothing is at work, and the next rotation is refused or tries this
	// version again.
	Stuck PendingState = "stuck"
)

// Pending is a version that isn't current yet.
type Pending struct {
	Version string       `json:"version"`
	Created time.Time    `json:"created,omitzero"`
	State   PendingState `json:"state"`
	Reason  string       `json:"reason"` // how that is known
}

// Status is how the rotation of a secret stands.
type Status struct {
	Secret
	Pending *Pending  `json:"pending,omitempty"` // nil: no rotation has begun and not ended
	Errors  []Failure `json:"errors,omitempty"`  // the last one of the trail and of the function's log
	LastRun *Run      `json:"lastRotation,omitempty"`
	Notes   []string  `json:"notes,omitempty"` // what couldn't be read, and what else to know
}

// mostOfARotation is how long the four steps may take: Lambda ends a function
// after 15 minutes (Lambda quotas).
const mostOfARotation = 4 * 15 * time.Minute

// Status tells how the rotation of a secret stands.
func (o *Operator) Status(ctx context.Context, id string) (*Status, error) {
	s, err := o.find(ctx, id)
	if s == nil {
		return nil, err
	}
	st := &Status{Secret: *s}
	if err != nil {
		st.Notes = append(st.Notes, err.Error())
	}
	if s.Rotation.Function == "" {
		st.Notes = append(st.Notes, "its rotation was never set up: it has no rotation function")
		return st, nil
	}
	if !s.Rotation.On {
		st.Notes = append(st.Notes, "rotation is switched off: \"rotate now\" switches it on again and rotates, \"rotate now --test\" only switches it on")
	}
	runs, complete, err := o.runs(ctx, s, s.Now.Add(-TrailKeeps))
	switch {
	case err != nil:
		st.Notes = append(st.Notes, "the trail can't be read, so it's left out: "+err.Error())
	case !complete:
		st.Notes = append(st.Notes, "the trail has more events than were read: older rotations are left out")
	}
	if len(runs) > 0 {
		st.LastRun = &runs[0]
	}
	for _, run := range runs {
		if run.Error != "" {
			st.Errors = append(st.Errors, Failure{Time: run.Ended, Source: "trail", Version: run.Version, Message: run.Error})
			break
		}
	}
	logged, err := o.logged(ctx, s)
	if err != nil {
		st.Notes = append(st.Notes, "the function's log can't be read, so it's left out: "+err.Error())
	}
	if logged != nil {
		st.Errors = append(st.Errors, *logged)
	}
	st.Pending = judge(s, runs, logged)
	return st, nil
}

// logged returns the last failure in the function's log since the last rotation.
func (o *Operator) logged(ctx context.Context, s *Secret) (*Failure, error) {
	group, err := o.logGroup(ctx, s.Rotation.Function)
	if err != nil {
		return nil, err
	}
	since := s.Now.Add(-7 * 24 * time.Hour)
	if p := s.pending(); p != nil && p.Created.Before(since) {
		since = p.Created
	}
	return o.lastFailure(ctx, group, s, since)
}

// judge tells whether a pending version is at work or in the way. The trail is
// late, so that what the log says counts as well.
func judge(s *Secret, runs []Run, logged *Failure) *Pending {
	v := s.pending()
	if v == nil {
		return nil
	}
	p := &Pending{Version: v.ID, Created: v.Created}
	is := func(state PendingState, format string, args ...any) *Pending {
		p.State, p.Reason = state, fmt.Sprintf(format, args...)
		return p
	}
	var run *Run
	// A run whose version the trail doesn't tell is that of this one if it's new enough.
	if len(runs) > 0 && (runs[0].Version == v.ID || runs[0].Version == "" && !runs[0].Started.Before(v.Created.Add(-callGap))) {
		run = &runs[0]
	}
	began := v.Created
	if run != nil && run.Started.After(began) {
		began = run.Started
	}
	switch {
	case !s.Rotation.On:
		return is(Stuck, "rotation is switched off")
	case run != nil && run.Result == Succeeded:
		return is(Stuck, "its rotation succeeded at %s, and another version was made current since", stamp(run.Ended))
	case run != nil && run.Result == Abandoned:
		return is(Stuck, "its rotation was abandoned at %s", stamp(run.Ended))
	case run != nil && run.Result == Failed && s.Now.Sub(run.Ended) > mostOfARotation+time.Hour:
		return is(Stuck, "its rotation failed for the last time at %s", stamp(run.Ended))
	case run != nil && run.Result == Failed:
		return is(Retrying, "its rotation failed at %s (failures so far: %d); Secrets Manager may try it again", stamp(run.Ended), run.Failures)
	case logged != nil && logged.Version == v.ID:
		return is(Retrying, "the function's step %s failed at %s; Secrets Manager may try it again", logged.Step, stamp(logged.Time))
	case s.Now.Sub(began) > mostOfARotation:
		return is(Stuck, "it began at %s, and a rotation takes an hour at most", stamp(began))
	default:
		return is(InProgress, "it began at %s", stamp(began))
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
