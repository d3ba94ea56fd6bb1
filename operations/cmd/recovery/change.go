package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/operations/recovery"
)

// change are the flags of what changes something.
type change struct {
	*stack
	yes, dryRun, force bool
}

func (c *change) flags(command *cobra.Command) {
	f := command.Flags()
	f.BoolVar(&c.yes, "yes", false, "agree beforehand: don't ask")
	f.BoolVar(&c.dryRun, "dry-run", false, "show what would be done, and change nothing")
	f.BoolVar(&c.force, "force", false, "also when secrets aren't in sync, or would be overwritten")
}

// agreed shows the plan and tells whether it is to be done.
func (c *change) agreed(p *recovery.Plan) (bool, error) {
	words := c.out
	if c.asJSON {
		words = c.err
	}
	if c.dryRun && c.asJSON {
		if err := recovery.WritePlan(c.out, p); err != nil {
			return false, err
		}
	} else {
		show(words, p)
	}
	switch {
	case len(p.Blocked) > 0 && !c.force:
		return false, &recovery.RefusedError{Reason: "nothing was changed: see what is marked with x; --force does it all the same"}
	case c.dryRun:
		fmt.Fprintln(c.err, "Nothing was changed: --dry-run.")
		return false, nil
	case c.yes:
		return true, nil
	}
	return true, c.agrees("Do it?")
}

func (c *change) run(ctx context.Context, plan *recovery.Plan) error {
	if len(plan.Steps)+len(plan.Blocked) == 0 && !c.dryRun {
		fmt.Fprintf(c.err, "Nothing to do: the secrets are in %s.\n", plan.Status.Where)
		if c.asJSON {
			return recovery.NothingDone().WriteJSON(c.out, plan)
		}
		return nil
	}
	ok, err := c.agreed(plan)
	if err != nil || !ok {
		return err
	}
	outcome, err := plan.Do(ctx, c.force)
	if err != nil {
		return err
	}
	if c.asJSON {
		err = outcome.WriteJSON(c.out, plan)
	} else {
		err = outcome.WriteText(c.out)
	}
	if err == nil && len(outcome.Failures) > 0 {
		fmt.Fprintf(c.err, "recovery: %d steps failed; mend the cause and run it again: it goes on\n", len(outcome.Failures))
		return errTold
	}
	return err
}
