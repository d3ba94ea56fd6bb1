package main

import "github.com/spf13/cobra"

func newPreview(s *setting) *cobra.Command {
	var u update
	command := &cobra.Command{
		Use:   "preview <stack>",
		Short: "Tell what up would change, and which gates are closed",
		Long: `Tell what up would change, and which gates are closed. Nothing is changed.

The report has the digest that people approve. Missing approvals don't refuse a
preview; what the policy checks find, and the deletion of what is guarded, do.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			p, err := s.open(command.Context(), args[0], u)
			if err != nil {
				return err
			}
			return s.tell(p.Preview(command.Context()))
		},
	}
	u.gateFlags(command)
	u.refreshFlag(command)
	return command
}
