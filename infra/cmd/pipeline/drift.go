package main

import "github.com/spf13/cobra"

func newDrift(s *setting) *cobra.Command {
	return &cobra.Command{
		Use:   "drift <stack>",
		Short: "Tell what was changed in AWS behind Pulumi's back",
		Long: `Tell what was changed in AWS behind Pulumi's back. Neither the state nor AWS is
changed; up --refresh makes it again what the program says.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			p, err := s.open(command.Context(), args[0], update{})
			if err != nil {
				return err
			}
			return s.tell(p.Drift(command.Context()))
		},
	}
}
