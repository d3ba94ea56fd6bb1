package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/rollback"
)

func newRollback(t terminal) *cobra.Command {
	m := change{migration: migration{terminal: t}}
	var o rollback.Options
	c := &cobra.Command{
		Use:   "rollback <stack>",
		Short: "Restore services as they were before the migration, by its journal",
		Long: `Restore services as they were before the migration, by its journal. It is possible
at any time before the cleanup, and can be stopped and run again.

A service whose secret has been rotated since is not restored, since its old value
no longer works: what to do is said. Where this program isn't at hand, rollback.sh
in the migration's folder does the same with the aws CLI alone.

Exit status: 0 done; 1 a step failed; 2 it couldn't be done.`,
		Example: "  migrate rollback dev --dry-run\n  migrate rollback prod --only lambda/orders",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m.open(args[0])
			return m.rollback(c.Context(), o)
		},
	}
	m.flags(c)
	c.Flags().StringSliceVar(&o.Only, "only", nil, "IDs of services (default all)")
	c.Flags().IntVar(&o.DeleteAfter, "delete-secrets-after", 0, "days, 7 to 30, after which the secrets that the migration made are deleted (default they stay)")
	return c
}

func (c *change) rollback(ctx context.Context, o rollback.Options) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	if o.Key, err = c.key(); err != nil {
		return err
	}
	config, err := c.aws(ctx, s.Region)
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
	return c.dryThenReal("Roll this back?", func(dryRun bool) (complete, toDo bool, result any, err error) {
		o.DryRun = dryRun
		bar := &progress{terminal: c.terminal}
		defer bar.end()
		o.Progress = c.tell("rollback", bar)
		r, err := rollback.Run(ctx, config, o)
		return r.Complete, wouldDo(r.Steps), r, err
	})
}
