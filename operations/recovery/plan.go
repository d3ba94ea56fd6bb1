package recovery

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Plan is what a failover or failback is going to do.
type Plan struct {
	Action   string   `json:"action"`
	Status   *Status  `json:"status"`
	Steps    []string `json:"steps"`    // in words; none: there is nothing to do
	Warnings []string `json:"warnings"` // what the operator must know
	Blocked  []string `json:"blocked"`  // why it isn't done unless forced

	again func(context.Context) (*Plan, error) // makes the plan anew
	do    func(context.Context) (*Outcome, error)
}

// Do does it, after another look: time passes while people think. The error is
// for what stops the whole; what failed for single secrets is in the Outcome. Both
// can be followed by a further plan, which goes on where this one ended.
func (p *Plan) Do(ctx context.Context, force bool) (*Outcome, error) {
	now, err := p.again(ctx)
	if err != nil {
		return nil, err
	}
	if len(now.Blocked) > 0 && !force {
		return nil, refuse("nothing was changed: %s", now.Blocked[0])
	}
	return now.do(ctx)
}

// Outcome is what was done.
type Outcome struct {
	Steps    []Step    `json:"steps"`    // never null
	Failures []Failure `json:"failures"` // never null
	Notes    []string  `json:"notes"`    // what is left for somebody else to do; never null
	Seconds  float64   `json:"seconds"`
}

// NothingDone is the outcome of a plan without steps.
func NothingDone() *Outcome {
	return &Outcome{Steps: []Step{}, Failures: []Failure{}, Notes: []string{}}
}

// Step is a part of what was done.
type Step struct {
	Name    string  `json:"name"`
	Done    int     `json:"done"` // secrets, or functions
	Failed  int     `json:"failed"`
	Seconds float64 `json:"seconds"`
}

// run carries an Outcome from step to step.
type run struct {
	*Estate
	record  *Record
	outcome Outcome
	began   time.Time
}

func (e *Estate) begin(status *Status) (*run, error) {
	record, err := e.openRecord(status)
	if err != nil {
		return nil, err
	}
	return &run{Estate: e, record: record, began: time.Now(), outcome: *NothingDone()}, nil
}

// step does something for secrets and returns those for which it was done.
func (r *run) step(ctx context.Context, name string, secrets []*Secret, do func(context.Context, *Secret) error) ([]*Secret, error) {
	began := time.Now()
	good, failures, err := r.each(ctx, name, secrets, do)
	if err != nil {
		return nil, err
	}
	r.outcome.Steps = append(r.outcome.Steps, Step{name, len(good), len(failures), time.Since(began).Seconds()})
	r.outcome.Failures = append(r.outcome.Failures, failures...)
	return good, nil
}

// fail records the failure of a step, which is no secret's.
func (r *run) fail(what, step string, err error) {
	r.outcome.Failures = append(r.outcome.Failures, Failure{what, step, err.Error()})
}

func (r *run) note(format string, args ...any) {
	r.outcome.Notes = append(r.outcome.Notes, fmt.Sprintf(format, args...))
}

func (r *run) end() *Outcome {
	r.outcome.Seconds = time.Since(r.began).Seconds()
	return &r.outcome
}

// some names a few of many secrets.
func some(secrets []*Secret) string {
	names := make([]string, 0, len(secrets))
	for _, s := range secrets {
		names = append(names, s.Name)
	}
	return few(names)
}

// few names a few of many.
func few(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
