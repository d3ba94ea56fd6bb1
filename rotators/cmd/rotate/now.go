package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

func newNow(t terminal) *cobra.Command {
	c := change{terminal: t}
	var test bool
	var timeout time.Duration
	command := &cobra.Command{
		Use:   "now <secret>",
		Short: "Rotate a secret now and follow it to its end; with --test, only test its rotation",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			o, err := t.operator(command.Context())
			if err != nil {
				return err
			}
			plan := o.PlanNow
			if test {
				plan = o.PlanTest
			}
			p, err := plan(command.Context(), args[0])
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(command.Context(), timeout)
			defer cancel()
			return c.run(ctx, p)
		},
	}
	c.flags(command)
	command.Flags().BoolVar(&test, "test", false, "don't rotate: have the rotation function test the current value (RotateImmediately=false)")
	command.Flags().DurationVar(&timeout, "timeout", 20*time.Minute, "how long it is followed; it goes on without")
	return command
}
