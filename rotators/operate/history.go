package operate

import (
	"context"
	"slices"
	"time"
)

// Result is how a rotation stands or ended.
type Result string

// The results. A rotation that failed and is tried again is Started again only
// when it has ended: until then it is Failed.
const (
	Started   Result = "started"
	Succeeded Result = "succeeded"
	Failed    Result = "failed"
	Abandoned Result = "abandoned"
)

// Run is a rotation, from its start to its end, with all its attempts.
type Run struct {
	Version  string    `json:"version,omitempty"` // the one that it makes; empty: the trail doesn't tell
	Started  time.Time `json:"started,omitzero"`  // zero: before what was looked at
	Ended    time.Time `json:"ended,omitzero"`    // or its last failure
	Result   Result    `json:"result"`
	Failures int       `json:"failures,omitempty"`
	Error    string    `json:"error,omitempty"` // of the last failure, as Secrets Manager words it
	By       string    `json:"by"`              // who started it: an ARN, or "schedule"
}

// Seconds is how long the rotation took, to the second. 0: not known.
func (r Run) Seconds() float64 {
	if r.Started.IsZero() || r.Ended.IsZero() {
		return 0
	}
	return r.Ended.Sub(r.Started).Seconds()
}

// History is what CloudTrail tells of a secret's rotations.
type History struct {
	Secret   string    `json:"secret"`
	ARN      string    `json:"arn"`
	Since    time.Time `json:"since"`
	Complete bool      `json:"complete"` // false: older events weren't read, as there are too many
	Runs     []Run     `json:"rotations"`
}

// bySchedule is who started a rotation that nobody called for.
const bySchedule = "schedule"

// History returns the rotations since a time, the newest first. CloudTrail has
// the last 90 days, and what happened in the last minutes may be missing.
func (o *Operator) History(ctx context.Context, id string, since time.Time) (*History, error) {
	s, err := o.find(ctx, id)
	if s == nil {
		return nil, err
	}
	runs, complete, err := o.runs(ctx, s, since)
	if err != nil {
		return nil, explain("read the rotations of", s.Name, err)
	}
	return &History{Secret: s.Name, ARN: s.ARN, Since: since.UTC(), Complete: complete, Runs: runs}, nil
}

func (o *Operator) runs(ctx context.Context, s *Secret, since time.Time) ([]Run, bool, error) {
	events, complete, err := o.events(ctx, s, since, rotationStarted, rotationSucceeded, rotationFailed, rotationAbandoned, rotateSecret)
	if err != nil {
		return nil, false, err
	}
	return assemble(s, events), complete, nil
}

// callGap is how long after a call of RotateSecret its rotation starts, at the
// most; where the trail tells versions they decide.
const callGap = 10 * time.Second

// assemble makes rotations, the newest first, out of events, the oldest first.
// Where the trail doesn't tell versions an event belongs to the last start,
// since a secret has one rotation at a time.
func assemble(s *Secret, events []event) []Run {
	var runs []*Run
	var calls []*event // that may have started a rotation, and haven't yet
	of := func(version string) *Run {
		for i := len(runs) - 1; i >= 0; i-- {
			run := runs[i]
			if run.Version == version || (run.Version == "" || version == "") && run.open() {
				run.Version = either(run.Version, version)
				return run
			}
		}
		runs = append(runs, &Run{Version: version, By: "unknown"}) // its start is older than what was read
		return runs[len(runs)-1]
	}
	for i := range events {
		e := &events[i]
		version := e.version(s)
		switch e.EventName {
		case rotateSecret:
			if e.ErrorCode == "" && (e.RequestParameters.RotateImmediately == nil || *e.RequestParameters.RotateImmediately) {
				calls = append(calls, e)
			}
		case rotationStarted:
			run := &Run{Version: version, Started: e.EventTime.UTC(), Result: Started, By: bySchedule}
			if i := slices.IndexFunc(calls, func(call *event) bool { return call.started(*run) }); i >= 0 {
				run.By, run.Version = calls[i].who(), either(version, calls[i].ResponseElements.VersionID)
				calls = calls[i+1:]
			}
			runs = append(runs, run)
		case rotationSucceeded:
			run := of(version)
			run.Result, run.Ended = Succeeded, e.EventTime.UTC()
		case rotationFailed:
			run := of(version)
			run.Result, run.Ended, run.Error = Failed, e.EventTime.UTC(), e.ErrorMessage
			run.Failures++
		case rotationAbandoned:
			run := of(version)
			run.Result, run.Ended = Abandoned, e.EventTime.UTC()
		}
	}
	newestFirst := make([]Run, 0, len(runs))
	for _, run := range slices.Backward(runs) {
		newestFirst = append(newestFirst, *run)
	}
	return newestFirst
}

// open tells whether more may happen.
func (r Run) open() bool { return r.Result == Started || r.Result == Failed }

// started tells whether this call started the rotation.
func (e *event) started(run Run) bool {
	if version := e.ResponseElements.VersionID; version != "" && run.Version != "" {
		return version == run.Version
	}
	gap := run.Started.Sub(e.EventTime)
	return gap >= 0 && gap <= callGap
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
