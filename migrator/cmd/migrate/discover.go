package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/discover"
)

func newDiscover(t terminal) *cobra.Command {
	m := migration{terminal: t}
	c := &cobra.Command{
		Use:     "discover <stack>",
		Short:   "Show where secrets are in plaintext, and what couldn't be read",
		Example: "  migrate discover dev\n  migrate discover prod --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m.open(args[0])
			s, err := m.settings()
			if err != nil {
				return err
			}
			config, err := m.aws(c.Context(), s.Region)
			if err != nil {
				return err
			}
			bar := &progress{terminal: t}
			estate, err := discover.Read(c.Context(), config, bar.show)
			bar.end()
			if err != nil {
				return err
			}
			fmt.Fprintf(t.out, "%d functions, %d services, %d parameters, %d unread\n", len(estate.Functions), len(estate.Services), len(estate.Parameters), len(estate.Unread))
			return nil
		},
	}
	m.flags(c)
	return c
}
