package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/cleanup"
)

func newRestore(t terminal) *cobra.Command {
	m := change{migration: migration{terminal: t}}
	var o cleanup.RestoreOptions
	c := &cobra.Command{
		Use:   "restore <stack> <export>",
		Short: "Put parameters back that a cleanup deleted, from its encrypted export",
		Long: `Put parameters back that a cleanup deleted, from its encrypted export in the
migration's folder. A parameter that is there stays as it is. Versions before the
last and labels don't come back.

Exit status: 0 done; 1 a step failed; 2 it couldn't be done.`,
		Example: "  migrate restore dev export-20260301T120000Z.json --only /shop/db/password",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			m.open(args[0])
			o.Export = args[1]
			return m.restore(c.Context(), o)
		},
	}
	m.flags(c)
	c.Flags().StringSliceVar(&o.Only, "only", nil, "names of parameters (default all)")
	return c
}

func (c *change) restore(ctx context.Context, o cleanup.RestoreOptions) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	config, err := c.aws(ctx, s.Region)
	if err != nil {
		return err
	}
	if o.Now, err = c.clock(ctx, config); err != nil {
		return err
	}
	o.Folder = c.folder
	return c.dryThenReal("Put these back?", func(dryRun bool) (complete, toDo bool, result any, err error) {
		o.DryRun = dryRun
		bar := &progress{terminal: c.terminal}
		defer bar.end()
		o.Progress = c.tell("restore", bar)
		r, err := cleanup.Restore(ctx, config, o)
		return r.Complete, wouldDo(r.Steps), r, err
	})
}
