package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/settings"
)

func newPlan(t terminal) *cobra.Command {
	m := migration{terminal: t}
	var dryRun bool
	c := &cobra.Command{
		Use:   "plan <stack>",
		Short: "Plan the migration: which secrets are made, which services change and how, what blocks",
		Long: `Plan the migration: which secrets are made, which services change and how, what
blocks. Nothing is changed but the plan's file.

The plan is plan.yaml in the migration's folder, for people to read and edit; its
head tells how. The same estate gives the same file.

Exit status: 0 planned; 1 planned, and something blocks; 2 it couldn't be done.`,
		Example: "  migrate plan dev\n  migrate plan dev --dry-run --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m.open(args[0])
			s, err := m.settings()
			if err != nil {
				return err
			}
			key := digest.New()
			if !dryRun {
				if key, err = m.key(); err != nil {
					return err
				}
			}
			config, err := m.aws(c.Context(), s.Region)
			if err != nil {
				return err
			}
			p, err := m.make(c.Context(), config, s, key)
			if err != nil {
				return err
			}
			if !dryRun {
				if err := m.write(p); err != nil {
					return err
				}
			}
			if m.asJSON {
				err = m.json(p)
			} else {
				err = summarize(t, p)
			}
			if err == nil && !dryRun {
				m.say("\nThe plan is %s. Read it, settle what blocks, and apply it: migrate apply %s --dry-run\n", m.planPath(), m.stack)
			}
			if err == nil && len(p.Blocked) > 0 {
				err = errFindings
			}
			return err
		},
	}
	m.flags(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show the plan and write no file; its digests mean nothing then")
	return c
}

// make reads the estate and plans.
func (m *migration) make(ctx context.Context, config aws.Config, s settings.Settings, key digest.Key) (plan.Plan, error) {
	bar := &progress{terminal: m.terminal}
	defer bar.end()
	classifier, err := classify.New(s.Classify)
	if err != nil {
		return plan.Plan{}, err
	}
	estate, err := discover.Read(ctx, config, bar.show)
	if err != nil {
		return plan.Plan{}, err
	}
	draft, err := plan.Make(s, estate, classifier, key, plan.Facts{})
	if err != nil {
		return plan.Plan{}, err
	}
	facts, err := plan.ReadFacts(ctx, config, draft, estate, key, bar.show)
	if err != nil {
		return plan.Plan{}, err
	}
	return plan.Make(s, estate, classifier, key, facts)
}

// write replaces the plan's file at once.
func (m *migration) write(p plan.Plan) error {
	var text bytes.Buffer
	if err := plan.Write(&text, p); err != nil {
		return err
	}
	return replaceFile(m.planPath(), text.Bytes())
}

// replaceFile writes a file for its owner alone, so that nobody sees half of it.
func replaceFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the migration's folder: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // with 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(file.Name()) // gone if all went well
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func summarize(t terminal, p plan.Plan) error {
	fmt.Fprintf(t.out, "%d secrets, %d services, %d grants, %d skipped, %d blocked\n\n", len(p.Secrets), len(p.Services), len(p.Grants), len(p.Skipped), len(p.Blocked))
	rows := []string{"WAVE\tSERVICE\tHOW\tVARIABLES\tOWNER"}
	for _, s := range p.Services {
		rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%d\t%s", s.Wave, s.ID, s.How, len(s.Variables), s.Owner))
	}
	if err := table(t.out, rows...); err != nil {
		return err
	}
	for _, b := range p.Blocked {
		fmt.Fprintf(t.out, "\nBLOCKED  %s %s\n  %s\n  -> %s\n", b.Code, b.Subject, b.Problem, b.Remedy)
	}
	return nil
}
