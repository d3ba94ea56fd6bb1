package main

import (
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/rotators/operate"
)

func newRollback(t terminal) *cobra.Command {
	c := change{terminal: t}
	var options operate.RollbackOptions
	command := &cobra.Command{
		Use:   "rollback <secret>",
		Short: "Make the previous version of a secret current again, if it still works",
		Long: `Make the previous version of a secret current again, if it still works.

The rotation function tries the previous version's value first, as a client
would; the value doesn't leave the function. --dry-run tries it too.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			o, err := t.operator(command.Context())
			if err != nil {
				return err
			}
			plan, err := o.PlanRollback(command.Context(), args[0], options)
			if err != nil {
				return err
			}
			return c.run(command.Context(), plan)
		},
	}
	c.flags(command)
	command.Flags().StringVar(&options.To, "to", "", "version that becomes current (default the previous one, if it is the older)")
	command.Flags().BoolVar(&options.Force, "force", false, "also if the version doesn't work, or nobody knows")
	return command
}
