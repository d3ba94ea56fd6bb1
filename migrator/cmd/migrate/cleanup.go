package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/cleanup"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/validate"
)

func newCleanup(t terminal) *cobra.Command {
	m := change{migration: migration{terminal: t}}
	var o cleanup.Options
	var soak time.Duration
	var days int
	c := &cobra.Command{
		Use:   "cleanup <stack>",
		Short: "Remove old variables, parameters and revisions, and tell what still holds plaintext",
		Long: `Remove old variables, parameters and revisions, and tell what still holds plaintext.
There is no rollback after it.

It needs a validation of the last day with the soak time at least. Parameters are
deleted after an export of them is in the migration's folder, encrypted by the
stack's key; "migrate restore" puts them back while it is kept. A parameter that
something still names or reads isn't deleted.

Exit status: 0 done; 1 a step failed, or something still holds plaintext; 2 it couldn't be done.`,
		Example: "  migrate cleanup dev --dry-run\n  migrate cleanup prod --delete-versions",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m.open(args[0])
			if days < 1 {
				return fmt.Errorf("--keep-days: %d: the export has the only copy of the parameters: keep it for a day at least", days)
			}
			o.Keep = time.Duration(days) * 24 * time.Hour
			return m.cleanup(c.Context(), o, soak)
		},
	}
	m.flags(c)
	f := c.Flags()
	f.DurationVar(&soak, "soak", validate.DefaultSoak, "soak time that the validation must have had")
	f.IntVar(&days, "keep-days", int(cleanup.DefaultKeep/(24*time.Hour)), "how long the export of the parameters is kept at least")
	f.BoolVar(&o.Versions, "delete-versions", false, "also delete published versions of functions that hold plaintext and that no alias names")
	f.StringSliceVar(&o.Readers, "ignore-reader", nil, "names of roles whose reads of parameters don't count, such as those of people")
	return c
}

func (c *change) cleanup(ctx context.Context, o cleanup.Options, soak time.Duration) error {
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
	o.Folder, o.Plan = c.folder, p
	o.Validated = func(context.Context) error { return c.validated(p.Account, soak, o.Now()) }
	return c.dryThenReal("Remove this for good?", func(dryRun bool) (complete, toDo bool, result any, err error) {
		o.DryRun = dryRun
		bar := &progress{terminal: c.terminal}
		defer bar.end()
		o.Progress, o.Reading = c.tell("cleanup", bar), bar.show
		r, err := cleanup.Run(ctx, config, o)
		for _, remain := range r.Remains {
			c.say("  still plaintext: %s %s\n    %s\n    -> %s\n", remain.Subject, strings.Join(remain.Holds, ", "), remain.Why, remain.Remedy)
		}
		return r.Complete && (dryRun || len(r.Remains) == 0), wouldDo(r.Steps), r, err
	})
}

// validated tells whether the newest validation speaks for the migration as it is
// now. While a cleanup is under way, what it was begun with stands.
func (c *change) validated(account string, soak time.Duration, now time.Time) error {
	report, err := validate.Load(c.folder)
	if err != nil {
		return err
	}
	state, err := journal.Read(c.folder)
	if err != nil {
		return err
	}
	if state.Cleaned() {
		now = report.Finished
	}
	if err := report.Covers(c.stack, account, state.LastSwitch(), soak, now); err != nil {
		return fmt.Errorf("%w (migrate validate %s --soak %s)", err, c.stack, soak)
	}
	return nil
}
