// Package steps does the steps of a change to an estate one after the other. A
// step that fails is in the result, and the next one is done; what nothing can
// go on after ends it all.
package steps

import (
	"context"
	"errors"
	"fmt"
)

// Outcome is what became of a step.
type Outcome string

// The outcomes.
const (
	Done    Outcome = "done"
	Already Outcome = "already done" // by an earlier run, or by somebody
	Would   Outcome = "would be done"
	Failed  Outcome = "failed"
)

// Step is a step of a change.
type Step struct {
	Action  string  `json:"action"`  // secret, grant, service, parameter, revision or version
	Subject string  `json:"subject"` // name of the secret or parameter, ARN of the role, ID of the service, ARN of the revision or version
	Wave    int     `json:"wave,omitempty"`
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail,omitempty"` // what was done, or why it failed and what to do
}

// Progress is told of each step when it is done: how many are, and of how many.
type Progress func(done, total int, s Step)

// Steps are the steps of a change that were done. It isn't safe for concurrent
// use.
type Steps struct {
	List     []Step
	Complete bool              // none failed
	Failed   map[string]string // subjects that failed, and why

	total    int
	progress Progress
}

// New returns the steps of a change that has that many. progress may be nil.
func New(total int, progress Progress) *Steps {
	return &Steps{List: []Step{}, Complete: true, Failed: map[string]string{}, total: total, progress: progress}
}

// fatal marks errors after which nothing can go on.
type fatal struct{ error }

// Fatal marks an error after which nothing can go on.
func Fatal(err error) error {
	if err == nil {
		return nil
	}
	return fatal{err}
}

// Do does a step and takes its outcome down. Errors that concern its subject
// alone make it a failed step. It returns those marked as fatal, and the
// context's once that has ended.
func (s *Steps) Do(ctx context.Context, step Step, do func() (Outcome, string, error)) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("stopped before %s %s: run again to go on: %w", step.Action, step.Subject, err)
	}
	var err error
	step.Outcome, step.Detail, err = do()
	if end := (fatal{}); errors.As(err, &end) {
		return fmt.Errorf("%s %s: %w", step.Action, step.Subject, end.error)
	}
	if ended := ctx.Err(); err != nil && ended != nil {
		return fmt.Errorf("stopped at %s %s: run again to go on: %w", step.Action, step.Subject, ended)
	}
	if err != nil {
		step.Outcome, step.Detail = Failed, err.Error()
		s.Failed[step.Subject] = step.Detail
		s.Complete = false
	}
	s.List = append(s.List, step)
	if s.progress != nil {
		s.progress(len(s.List), s.total, step)
	}
	return nil
}
