package main

import "github.com/spf13/cobra"

func newFailback(s *stack) *cobra.Command {
	c := change{stack: s}
	command := &cobra.Command{
		Use:   "failback",
		Short: "Bring the secrets back to the primary region, with all that changed meanwhile",
		Long: `Bring the secrets back to the primary region, with all that changed meanwhile.

The secrets of the DR region are replicated onto the old primaries, compared,
promoted there, and replicated to the DR region as before. Names, ARNs, tags,
policies and keys stay what they were, and rotations are set up as before.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			estate, _, err := s.open(command.Context())
			if err != nil {
				return err
			}
			plan, err := estate.PlanFailback(command.Context())
			if err != nil {
				return err
			}
			return c.run(command.Context(), plan)
		},
	}
	c.flags(command)
	return command
}
