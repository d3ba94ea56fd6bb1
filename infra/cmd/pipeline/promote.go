package main

import "github.com/spf13/cobra"

func newPromote(s *setting) *cobra.Command {
	var u update
	command := &cobra.Command{
		Use:   "promote <stack>",
		Short: "Deploy to a stack what ran with success in the stage before it",
		Long: `Deploy to a stack what ran with success in the stage before it.

It is refused unless the last deployment of the stage before was of this commit
and these artifacts, by the pipeline, and succeeded. All else is as with up.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			p, err := s.open(command.Context(), args[0], u)
			if err != nil {
				return err
			}
			return s.tell(p.Promote(command.Context()))
		},
	}
	u.gateFlags(command)
	u.refreshFlag(command)
	u.lockFlags(command)
	return command
}
