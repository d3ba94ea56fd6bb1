package phase

import (
	"fmt"
	"slices"
	"strings"
)

// Name is the name of a phase.
type Name string

// The phases, in the order of ADR-006. Those that are named after a stack
// migrate it; the others concern one stack at a time.
const (
	Foundation Name = "foundation"
	Prepare    Name = "prepare"
	Dev        Name = "dev"
	Staging    Name = "staging"
	Prod       Name = "prod"
	Cleanup    Name = "cleanup"
)

// Phase is a phase of the plan. It is the same for every stack that goes through
// it, but for the checks that say otherwise.
type Phase struct {
	Name   Name    `json:"phase"`
	Title  string  `json:"title"`
	Steps  []Step  `json:"steps"` // in order
	Checks []Check `json:"checks"`
}

// At is a phase of a stack.
type At struct {
	Phase Name   `json:"phase"`
	Stack string `json:"stack"`
}

// String returns the phase, with the stack if the phase doesn't name it.
func (a At) String() string {
	if string(a.Phase) == a.Stack {
		return a.Stack
	}
	return fmt.Sprintf("%s of %s", a.Phase, a.Stack)
}

// Step is something to do.
type Step struct {
	Title string `json:"title"`
	// Command is a program and its arguments, in which {stack}, {folder} and {soak}
	// stand for the stack's. Empty: a person does it.
	Command []string `json:"command,omitempty"`
	// Reaches are the IDs of the checks that pass when the step has been done. The
	// step is skipped when they all pass before.
	Reaches []string `json:"reaches"`
}

// Check is an item of a checklist.
type Check struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Why    string   `json:"why"`
	How    string   `json:"how"` // it is found out
	Remedy string   `json:"remedy"`
	Stacks []string `json:"stacks,omitempty"` // that it concerns; empty: all
	Manual bool     `json:"manual,omitempty"` // a person must confirm it

	ask question
}

func (c Check) concerns(stack string) bool {
	return len(c.Stacks) == 0 || slices.Contains(c.Stacks, stack)
}

// Stacks returns the stacks of the plan, in the order in which they migrate.
func Stacks() []string { return []string{string(Dev), string(Staging), string(Prod)} }

// Of returns the phases that a stack goes through, in order.
func Of(stack string) []Name { return []Name{Foundation, Prepare, Name(stack), Cleanup} }

// Find returns the phase of a name and the stack that it is for. Phases that are
// named after a stack need none given.
func Find(name Name, stack string) (Phase, At, error) {
	for _, p := range Phases() {
		if p.Name != name {
			continue
		}
		own := slices.Contains(Stacks(), string(name))
		switch {
		case own && stack != "" && stack != string(name):
			return Phase{}, At{}, fmt.Errorf("phase %s is for stack %s and no other", name, name)
		case own:
			stack = string(name)
		case stack == "":
			return Phase{}, At{}, fmt.Errorf("phase %s is for one stack at a time: name it, one of %s", name, strings.Join(Stacks(), ", "))
		case !slices.Contains(Stacks(), stack):
			return Phase{}, At{}, fmt.Errorf("unknown stack %q: use one of %s", stack, strings.Join(Stacks(), ", "))
		}
		p.Checks = slices.DeleteFunc(p.Checks, func(c Check) bool { return !c.concerns(stack) })
		return p, At{name, stack}, nil
	}
	return Phase{}, At{}, fmt.Errorf("unknown phase %q", name)
}

// Before returns the phases that must be complete before one starts: the one
// before it of the same stack, and the stack before it.
func Before(at At) []At {
	phases := Of(at.Stack)
	var before []At
	if i := slices.Index(phases, at.Phase); i > 0 {
		before = append(before, At{phases[i-1], at.Stack})
	}
	if i := slices.Index(Stacks(), string(at.Phase)); i > 0 {
		before = append(before, At{Name(Stacks()[i-1]), Stacks()[i-1]})
	}
	return before
}
