package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/apply"
	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/plan"
)

// change are the flags of what changes something.
type change struct {
	migration
	yes, dryRun bool
}

func (c *change) flags(command *cobra.Command) {
	c.migration.flags(command)
	f := command.Flags()
	f.BoolVar(&c.yes, "yes", false, "agree beforehand: don't ask")
	f.BoolVar(&c.dryRun, "dry-run", false, "show what would be done, and change nothing")
}

func newApply(t terminal) *cobra.Command {
	m := change{migration: migration{terminal: t}}
	var wave int
	var only []string
	var mode string
	c := &cobra.Command{
		Use:   "apply <stack>",
		Short: "Apply the plan: make the secrets, let roles read them, switch services wave by wave",
		Long: `Apply the plan: make the secrets, let roles read them, switch services wave by wave.

It can be stopped at any point and run again, and goes on where it was. A plan
that no longer fits the estate is refused before anything is written. A service
that doesn't do well is changed back. One that is out of order already stays as it
is and holds up nothing else.

Exit status: 0 done; 1 a step failed, was held up, or is blocked by the plan; 2 it couldn't be done.`,
		Example: "  migrate apply dev --dry-run\n  migrate apply prod --wave 1\n  migrate apply prod --only lambda/orders --mode dual-read",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m.open(args[0])
			if mode != "" && !slices.Contains([]plan.Mode{plan.DualRead, plan.Final}, plan.Mode(mode)) {
				return fmt.Errorf("--mode: %q is unknown: write %s or %s", mode, plan.DualRead, plan.Final)
			}
			return m.apply(c.Context(), apply.Options{Wave: wave, Only: only, Mode: plan.Mode(mode)})
		},
	}
	m.flags(c)
	c.Flags().IntVar(&wave, "wave", 0, "this wave alone, if those before are healthy (default all)")
	c.Flags().StringSliceVar(&only, "only", nil, "IDs of services, whatever their wave, with the secrets that they need")
	c.Flags().StringVar(&mode, "mode", "", "dual-read keeps the old values beside the new, final doesn't (default the plan's)")
	return c
}

func (c *change) apply(ctx context.Context, o apply.Options) error {
	p, err := c.plan()
	if err != nil {
		return err
	}
	if o.Key, err = c.key(); err != nil {
		return err
	}
	config, err := c.aws(ctx, p.Region)
	if err != nil {
		return err
	}
	if o.Now, err = c.clock(ctx, config); err != nil {
		return err
	}
	if c.sleep != nil {
		o.Sleep = func(ctx context.Context, d time.Duration) error { return errors.Join(ctx.Err(), c.sleep(d)) }
	}
	o.Folder = c.folder
	if err := c.checkEdited(ctx, config, p, o); err != nil {
		return err
	}
	run := func(dryRun bool) (apply.Result, error) {
		o.DryRun = dryRun
		bar := &progress{terminal: c.terminal}
		defer bar.end()
		o.Progress = c.tell("apply", bar)
		return apply.Run(ctx, config, p, o)
	}
	err = c.dryThenReal("Apply this?", func(dryRun bool) (done, toDo bool, result any, err error) {
		r, err := run(dryRun)
		if err == nil && !dryRun {
			c.sayLeft(r.Steps)
		}
		return r.Complete, wouldDo(r.Steps), r, err
	})
	if err == nil && len(p.Blocked) > 0 && o.Wave == 0 && len(o.Only) == 0 {
		c.say("What blocks in the plan was left out: %d. See %s.\n", len(p.Blocked), c.planPath())
		return errFindings
	}
	var changed *apply.ChangedError
	if errors.As(err, &changed) && !c.dryRun {
		return errors.Join(err, c.replan(ctx))
	}
	return err
}

// sayLeft sums up what wasn't done, if anything: the steps that failed may be far
// above.
func (c *change) sayLeft(all []steps.Step) {
	var failed []string
	for _, s := range all {
		if s.Outcome == steps.Failed {
			failed = append(failed, s.Subject)
		}
	}
	if len(failed) > 0 {
		c.say("%d of %d steps failed: %s. What was done stays. When they are mended, the same command does what is left.\n", len(failed), len(all), strings.Join(failed, ", "))
	}
}

// replan makes the plan anew for the estate as it is now. People must look at it
// before it is applied.
func (c *change) replan(ctx context.Context) error {
	p, _, err := c.makePlan(ctx, true)
	if err != nil {
		return fmt.Errorf("make a new plan: %w", err)
	}
	c.say("A new plan is in %s, with what people had changed in the old one; %d things block. Review it, and apply it then.\n", c.planPath(), len(p.Blocked))
	return nil
}

// tell shows each step on a line, and how far it is.
func (c *change) tell(what string, bar *progress) steps.Progress {
	return func(done, total int, s steps.Step) {
		bar.end()
		c.say("%s\n", stepLine(s))
		bar.show(what, done, total)
	}
}

// wouldDo tells whether a dry run has found something to do.
func wouldDo(all []steps.Step) bool {
	return slices.ContainsFunc(all, func(s steps.Step) bool { return s.Outcome == steps.Would })
}

func stepLine(s steps.Step) string {
	line := fmt.Sprintf("  %-13s %-8s %s", s.Outcome, s.Action, s.Subject)
	if s.Wave > 0 {
		line += fmt.Sprintf(" (wave %d)", s.Wave)
	}
	if s.Detail != "" {
		line += ": " + s.Detail
	}
	return line
}

// dryThenReal shows what would be done, asks, and does it. do tells whether all
// was done, whether there is anything to do, and the result for JSON.
func (c *change) dryThenReal(question string, do func(dryRun bool) (complete, toDo bool, result any, err error)) error {
	if c.dryRun || !c.yes {
		c.say("What would be done:\n")
		complete, toDo, result, err := do(true)
		if err != nil {
			return err
		}
		if c.dryRun {
			c.say("Nothing was changed: --dry-run.\n")
			return c.end(complete, result)
		}
		if toDo {
			if err := c.agrees(question); err != nil {
				return err
			}
		}
	}
	complete, _, result, err := do(false)
	if err != nil {
		return err
	}
	return c.end(complete, result)
}

func (c *change) end(complete bool, result any) error {
	if c.asJSON {
		if err := c.json(result); err != nil {
			return err
		}
	}
	if !complete {
		c.say("Not everything was done: see above.\n")
		return errFindings
	}
	return nil
}
