package main

import "github.com/spf13/cobra"

func newStatus(s *stack) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show each secret's replica, and in which region the secrets are",
		Long: `Show each secret's replica, and in which region the secrets are.

The exit status is 0 if each secret could be failed over without a loss, and 1
if not. Nothing is changed, and no value is read.

States: in-sync; in-progress (AWS is replicating); differs (the replica has other
versions); failed (AWS couldn't replicate); missing; promoted (failed over);
reversed (on the way back); replica (the primary region doesn't answer); alone
(one region alone has it, and the catalogue doesn't declare it); unknown.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			estate, _, err := s.open(c.Context())
			if err != nil {
				return err
			}
			status, err := estate.Status(c.Context())
			if err != nil {
				return err
			}
			if s.asJSON {
				err = status.WriteJSON(s.out)
			} else {
				err = status.WriteText(s.out, all)
			}
			if err == nil && !status.Healthy() {
				return errTold
			}
			return err
		},
	}
	c.Flags().BoolVar(&all, "all", false, "list the secrets that are in sync, too")
	return c
}
