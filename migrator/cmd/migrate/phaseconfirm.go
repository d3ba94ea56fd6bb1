package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/phase"
)

func newPhaseConfirm(t terminal) *cobra.Command {
	m := migration{terminal: t}
	var by, note string
	c := &cobra.Command{
		Use:   "confirm <phase> <check> [stack]",
		Short: "Record a person's word that a check of a phase passes",
		Long: `Record a person's word that a check of a phase passes: who, when, and a note. It
is kept in confirmations.json in the migration's folder. The review of a plan is
about the plan as it is now: a changed plan must be reviewed again.`,
		Example: "  migrate phase confirm prepare plan-reviewed dev --by ann\n  migrate phase confirm prod window --by ann --note 'Sunday 06:00 UTC, CHG-1204'",
		Args:    cobra.RangeArgs(2, 3),
		RunE: func(_ *cobra.Command, args []string) error {
			_, at, err := phase.Find(phase.Name(args[0]), strings.Join(args[2:], ""))
			if err != nil {
				return err
			}
			m.open(at.Stack)
			err = phase.Confirm(m.folder, at, phase.Confirmation{Check: args[1], By: by, At: time.Now().UTC(), Note: note})
			if err == nil {
				m.say("%s of phase %s: confirmed by %s.\n", args[1], at, by)
			}
			return err
		},
	}
	m.flags(c)
	c.Flags().StringVar(&by, "by", "", "who confirms it")
	c.Flags().StringVar(&note, "note", "", "what there is to say about it")
	_ = c.MarkFlagRequired("by")
	return c
}
