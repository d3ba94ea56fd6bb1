package main

import "github.com/spf13/cobra"

func newUnstick(t terminal) *cobra.Command {
	c := change{terminal: t}
	command := &cobra.Command{
		Use:   "unstick <secret>",
		Short: "Clear a pending version that blocks the rotation of a secret",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			o, err := t.operator(command.Context())
			if err != nil {
				return err
			}
			plan, err := o.PlanUnstick(command.Context(), args[0])
			if err != nil {
				return err
			}
			return c.run(command.Context(), plan)
		},
	}
	c.flags(command)
	return command
}
