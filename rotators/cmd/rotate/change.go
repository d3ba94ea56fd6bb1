package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/rotators/operate"
)

// change are the flags of what changes something, and how it is done: planned,
// shown, agreed to, done, told.
type change struct {
	terminal
	yes, dryRun, asJSON bool
}

func (c *change) flags(command *cobra.Command) {
	f := command.Flags()
	f.BoolVar(&c.yes, "yes", false, "agree beforehand: don't ask")
	f.BoolVar(&c.dryRun, "dry-run", false, "show what would be done, and change nothing")
	f.BoolVar(&c.asJSON, "json", false, "as JSON")
}

// told is the JSON of what was done.
type told struct {
	*operate.Plan
	DryRun bool `json:"dryRun"`
	*operate.Outcome
}

func (c *change) run(ctx context.Context, plan *operate.Plan) error {
	words := c.out
	if c.asJSON {
		words = c.err
	}
	show(words, plan)
	if c.dryRun {
		if c.asJSON {
			return writeJSON(c.out, told{Plan: plan, DryRun: true})
		}
		fmt.Fprintln(c.out, "Nothing was changed: --dry-run.")
		return nil
	}
	if len(plan.Steps) > 0 && !c.yes {
		if err := c.agrees("Do it?"); err != nil {
			return err
		}
	}
	outcome, err := plan.Do(ctx, func(line string) { fmt.Fprintln(words, "  "+line) })
	if err != nil {
		return err
	}
	if c.asJSON {
		if err := writeJSON(c.out, told{Plan: plan, Outcome: &outcome}); err != nil {
			return err
		}
	} else {
		ending(c.out, outcome)
	}
	if !outcome.Done {
		return errTold
	}
	return nil
}

func show(w io.Writer, plan *operate.Plan) {
	if len(plan.Steps) == 0 {
		return
	}
	fmt.Fprintf(w, "%s of %s:\n", plan.Action, plan.Secret)
	for _, step := range plan.Steps {
		fmt.Fprintln(w, "  - "+step)
	}
	for _, warning := range plan.Warnings {
		fmt.Fprintln(w, "  ! "+warning)
	}
}

func ending(w io.Writer, outcome operate.Outcome) {
	word := "Done: "
	if !outcome.Done {
		word = "Failed: "
	}
	fmt.Fprintln(w, word+outcome.Result+".")
	for _, next := range outcome.Next {
		fmt.Fprintln(w, "  - "+next)
	}
}
