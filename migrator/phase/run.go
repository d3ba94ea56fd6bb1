package phase

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// records is the file of the phases' last results in a migration's folder.
const records = "phases.json"

// Item is a check with its answer.
type Item struct {
	Check
	Answer
}

// Report is how a phase of a stack stands.
type Report struct {
	At
	Title    string     `json:"title"`
	Time     time.Time  `json:"time"` // by AWS's clock
	Account  string     `json:"account"`
	Before   []Standing `json:"before"` // the phases that must be complete
	Items    []Item     `json:"checks"`
	Todo     []Step     `json:"todo"` // steps whose checks don't all pass
	Complete bool       `json:"complete"`
}

// Standing is how a phase of a stack stood when it was last looked at.
type Standing struct {
	At
	Complete bool      `json:"complete"`
	Time     time.Time `json:"time"` // of the look; zero: nobody has looked
	Account  string    `json:"account,omitempty"`
	Passed   int       `json:"passed"`
	Checks   int       `json:"checks"`
	Open     []string  `json:"open,omitempty"` // IDs of the checks that didn't pass
}

// Folders tells where the migration of a stack is.
type Folders func(stack string) string

// Look finds out how a phase of a stack stands, and changes nothing. The phases
// before it of the same stack are looked at too; of other stacks, what their
// folders record counts.
func Look(ctx context.Context, at At, stack Stack, folders Folders) (Report, error) {
	p, at, err := Find(at.Phase, at.Stack)
	if err != nil {
		return Report{}, err
	}
	if stack.Name != at.Stack {
		return Report{}, fmt.Errorf("phase %s can't be looked at in stack %s", at, stack.Name)
	}
	f := &facts{Stack: stack}
	if f.confirmed, err = readConfirmations(stack.Folder); err != nil {
		return Report{}, err
	}
	r := Report{At: at, Title: p.Title, Time: stack.Now, Account: stack.Account, Before: []Standing{}, Items: []Item{}, Todo: []Step{}}
	complete := true
	for _, before := range Before(at) {
		standing, err := stands(ctx, before, stack, folders)
		if err != nil {
			return Report{}, err
		}
		complete = complete && standing.Complete
		r.Before = append(r.Before, standing)
	}
	fill := strings.NewReplacer("{stack}", at.Stack, "{folder}", stack.Folder, "{soak}", soak(at.Stack).String())
	open := map[string]bool{}
	for _, c := range p.Checks {
		answer := c.ask(ctx, f)
		if ctx.Err() != nil {
			return Report{}, ctx.Err()
		}
		c.Remedy = fill.Replace(c.Remedy)
		r.Items = append(r.Items, Item{c, answer})
		open[c.ID] = answer.Result != Pass
		complete = complete && answer.Result == Pass
	}
	for _, step := range p.Steps {
		if slices.ContainsFunc(step.Reaches, func(id string) bool { return open[id] }) {
			command := slices.Clone(step.Command)
			for i := range command {
				command[i] = fill.Replace(command[i])
			}
			step.Command = command
			r.Todo = append(r.Todo, step)
		}
	}
	r.Complete = complete
	return r, nil
}

// stands looks at a phase of the same stack, or reads what another's folder
// records.
func stands(ctx context.Context, at At, stack Stack, folders Folders) (Standing, error) {
	if at.Stack != stack.Name {
		return Recorded(folders(at.Stack), at)
	}
	r, err := Look(ctx, at, stack, folders)
	return r.standing(), err
}

func (r Report) standing() Standing {
	s := Standing{At: r.At, Complete: r.Complete, Time: r.Time, Account: r.Account, Checks: len(r.Items)}
	for _, item := range r.Items {
		if item.Result == Pass {
			s.Passed++
		} else {
			s.Open = append(s.Open, item.ID)
		}
	}
	return s
}

// Ready tells whether the phase may start: those before it are complete.
func (r Report) Ready() bool {
	return !slices.ContainsFunc(r.Before, func(s Standing) bool { return !s.Complete })
}

// NotReadyError says which phases must be complete before one starts.
type NotReadyError struct {
	At     At
	Before []Standing
}

// Error names the phases and what is open in them.
func (e *NotReadyError) Error() string {
	var open []string
	for _, s := range e.Before {
		switch {
		case s.Complete:
		case s.Time.IsZero():
			open = append(open, s.At.String()+" (never run)")
		default:
			open = append(open, fmt.Sprintf("%s (%s)", s.At, cmp.Or(strings.Join(s.Open, ", "), "the phase before it")))
		}
	}
	return fmt.Sprintf("phase %s can't start before these are complete: %s", e.At, strings.Join(open, "; "))
}

// Record notes in the stack's folder how the phase stands, for other stacks.
func (r Report) Record(folder string) error {
	all, err := readRecords(folder)
	if err != nil {
		return err
	}
	all[r.Phase] = r.standing()
	return writeJSON(folder, records, all)
}

// Recorded is how a phase stood when it was last run.
func Recorded(folder string, at At) (Standing, error) {
	all, err := readRecords(folder)
	if err != nil {
		return Standing{}, err
	}
	s := all[at.Phase]
	s.At = at
	return s, nil
}

func readRecords(folder string) (map[Name]Standing, error) {
	all := map[Name]Standing{}
	err := readJSON(folder, records, &all)
	if errors.Is(err, fs.ErrNotExist) {
		return map[Name]Standing{}, nil
	}
	return all, err
}

// Runner does the steps of a phase.
type Runner struct {
	// Stack reads the stack anew, since a step may have changed it.
	Stack func(context.Context) (Stack, error)
	// Folders tells where the migrations of other stacks are.
	Folders Folders
	// Agree is asked before a command runs, which it is given. An error ends the
	// run.
	Agree func(Step) error
	// Command runs a step's command.
	Command func(context.Context, Step) error
	// Tell is told of each step before it is done.
	Tell func(Step)
}

// Run does the steps of a phase that aren't done yet, up to the first one that a
// person must do or whose command leaves a check open, and notes in the stack's
// folder how the phase stands then. It fails with a NotReadyError while a phase
// before it isn't complete.
func (run Runner) Run(ctx context.Context, at At) (Report, error) {
	report, stack, err := run.look(ctx, at)
	if err != nil {
		return Report{}, err
	}
	if !report.Ready() {
		return report, &NotReadyError{report.At, report.Before}
	}
	for len(report.Todo) > 0 {
		step := report.Todo[0]
		run.Tell(step)
		if len(step.Command) == 0 {
			break
		}
		if err := run.Agree(step); err != nil {
			return report, err
		}
		if err := run.Command(ctx, step); err != nil {
			return report, fmt.Errorf("%s: %s: %w", step.Title, strings.Join(step.Command, " "), err)
		}
		if report, stack, err = run.look(ctx, at); err != nil {
			return Report{}, err
		}
		if len(report.Todo) > 0 && report.Todo[0].Title == step.Title {
			break // the command did what it could
		}
	}
	return report, report.Record(stack.Folder)
}

func (run Runner) look(ctx context.Context, at At) (Report, Stack, error) {
	stack, err := run.Stack(ctx)
	if err != nil {
		return Report{}, Stack{}, err
	}
	report, err := Look(ctx, at, stack, run.Folders)
	return report, stack, err
}
