package main

import "github.com/spf13/cobra"

func newFailover(s *stack) *cobra.Command {
	c := change{stack: s}
	command := &cobra.Command{
		Use:   "failover",
		Short: "Make the replicas in the DR region the secrets",
		Long: `Make the replicas in the DR region the secrets.

For when the primary region is lost for longer than secrets can go without a
rotation or a change: reading goes on without it, since the SDK reads replicas
by itself. The old primaries must not be written afterwards. Run it again when
the primary region answers, which stops the rotations there.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			estate, _, err := s.open(command.Context())
			if err != nil {
				return err
			}
			plan, err := estate.PlanFailover(command.Context())
			if err != nil {
				return err
			}
			return c.run(command.Context(), plan)
		},
	}
	c.flags(command)
	return command
}
