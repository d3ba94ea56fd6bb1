package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/infra/pipeline/checks"
)

func newChecks(s *setting) *cobra.Command {
	return &cobra.Command{
		Use:   "checks",
		Short: "List the policy checks that every preview goes through",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if s.asJSON {
				return writeJSON(s.out, checks.All())
			}
			for _, check := range checks.All() {
				scope := ""
				if check.OnlyGuarded {
					scope = " (prod)"
				}
				if _, err := fmt.Fprintf(s.out, "%s%s\n  %s.\n  %s\n", check.ID, scope, check.Demands, check.Why); err != nil {
					return &failedError{fmt.Errorf("write the checks: %w", err)}
				}
			}
			return nil
		},
	}
}
