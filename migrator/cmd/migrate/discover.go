package main

import (
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/inventory"
)

func newDiscover(t terminal) *cobra.Command {
	m := migration{terminal: t}
	var plain bool
	c := &cobra.Command{
		Use:   "discover <stack>",
		Short: "Show where secrets are in plaintext, and what couldn't be read",
		Long: `Show where secrets are in plaintext, and what couldn't be read: functions with
their published versions, all active revisions of task definitions, scheduled
tasks, parameters.

What belongs together by its value has the same digest. Digests are keyed by the
migration's folder: nobody can try values out against them.

Exit status: 0 nothing is in plaintext; 1 something is, or couldn't be read; 2 it
couldn't be done.`,
		Example: "  migrate discover dev\n  migrate discover prod --json --plain",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m.open(args[0])
			s, err := m.settings()
			if err != nil {
				return err
			}
			key, err := m.key()
			if err != nil {
				return err
			}
			config, err := m.aws(c.Context(), s.Region)
			if err != nil {
				return err
			}
			classifier, err := classify.New(s.Classify)
			if err != nil {
				return err
			}
			bar := &progress{terminal: t}
			estate, err := discover.Read(c.Context(), config, bar.show)
			bar.end()
			if err != nil {
				return err
			}
			found := inventory.Make(estate, classifier, key, inventory.Options{Plain: plain, OwnerTags: s.OwnerTags})
			if m.asJSON {
				err = found.WriteJSON(t.out)
			} else {
				err = found.WriteTable(t.out)
			}
			if err == nil && found.Counts.Plaintext+found.Counts.Unknown+found.Counts.Unread > 0 {
				err = errFindings
			}
			return err
		},
	}
	m.flags(c)
	c.Flags().BoolVar(&plain, "plain", false, "also show settings that are no secret")
	return c
}
