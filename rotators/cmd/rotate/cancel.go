package main

import "github.com/spf13/cobra"

func newCancel(t terminal) *cobra.Command {
	c := change{terminal: t}
	command := &cobra.Command{
		Use:   "cancel <secret>",
		Short: "Stop the rotation of a secret and switch its schedule off",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			o, err := t.operator(command.Context())
			if err != nil {
				return err
			}
			plan, err := o.PlanCancel(command.Context(), args[0])
			if err != nil {
				return err
			}
			return c.run(command.Context(), plan)
		},
	}
	c.flags(command)
	return command
}
