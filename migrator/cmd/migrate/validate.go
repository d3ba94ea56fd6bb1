package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/validate"
)

func newValidate(t terminal) *cobra.Command {
	m := migration{terminal: t}
	var only []string
	var soak time.Duration
	c := &cobra.Command{
		Use:   "validate <stack>",
		Short: "Prove that the migration has worked, or tell what is missing for the proof",
		Long: `Prove that the migration has worked, or tell what is missing for the proof.

Secrets are compared by digest with their old places as long as these are there.
Roles are asked about in IAM, and taken on where they allow it; where they don't,
running tasks and CloudTrail tell who has read what. Services must be healthy, and
must have done without their old values for the soak time.

The report is written to validation.json and validation.md in the migration's
folder, where phases and the cleanup look for it.

Exit status: 0 valid; 1 something failed or is unknown; 2 it couldn't be done.`,
		Example: "  migrate validate dev --soak 1h\n  migrate validate prod --only lambda/orders --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m.open(args[0])
			p, err := m.plan()
			if err != nil {
				return err
			}
			key, err := m.key()
			if err != nil {
				return err
			}
			state, err := journal.Read(m.folder)
			if err != nil {
				return err
			}
			config, err := m.aws(c.Context(), p.Region)
			if err != nil {
				return err
			}
			o := validate.Options{Plan: p, Key: key, Soak: soak, Only: only, Switched: map[string]time.Time{}, Versions: map[string]string{}}
			for id, s := range state.Services {
				if !s.Switched.IsZero() {
					o.Switched[id] = s.Switched
				}
			}
			for name, s := range state.Secrets {
				if s.Version != "" {
					o.Versions[name] = s.Version
				}
			}
			bar := &progress{terminal: t}
			o.Progress = func(done, total int) { bar.show("validate", done, total) }
			report, err := validate.Run(c.Context(), config, o)
			bar.end()
			if err != nil {
				return err
			}
			if len(only) == 0 { // a part of a plan must not take the place of the whole
				if err := report.Save(m.folder); err != nil {
					return err
				}
			}
			if m.asJSON {
				err = m.json(report)
			} else {
				err = report.Text(t.out)
			}
			if err == nil && report.Count(validate.Pass) != len(report.Checks) {
				err = errFindings
			}
			return err
		},
	}
	m.flags(c)
	c.Flags().DurationVar(&soak, "soak", validate.DefaultSoak, "how long services must have done without their old values; 0: they needn't")
	c.Flags().StringSliceVar(&only, "only", nil, "IDs of services to look at, with their secrets; the report isn't kept")
	return c
}
