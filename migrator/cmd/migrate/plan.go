package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/settings"
)

// The files that a plan makes in the migration's folder, besides the plan.
const (
	summaryFile   = "plan.txt"       // for people
	catalogueFile = "catalogue.yaml" // to merge into the stack's file
)

func newPlan(t terminal) *cobra.Command {
	m := migration{terminal: t}
	var dryRun bool
	c := &cobra.Command{
		Use:   "plan <stack>",
		Short: "Plan the migration: which secrets are made, which services change and how, what blocks",
		Long: `Plan the migration: which secrets are made, which services change and how, what
blocks. Nothing is changed but files in the migration's folder: plan.yaml, for
people to read and edit (its head tells how), plan.txt, which sums it up, and
catalogue.yaml, which is to be merged into the stack's file.

The same estate gives the same plan. A plan that is there is made anew, and keeps
what people have changed in it; what has changed in the estate since is told.

Exit status: 0 planned; 1 planned, and something blocks; 2 it couldn't be done.`,
		Example: "  migrate plan dev\n  migrate plan dev --dry-run --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m.open(args[0])
			p, changes, err := m.makePlan(c.Context(), !dryRun)
			if err != nil {
				return err
			}
			for i, change := range changes {
				if i == 0 {
					m.say("Since the plan before:\n")
				}
				m.say("  %s\n", change)
			}
			if m.asJSON {
				err = plan.WriteJSON(t.out, p)
			} else {
				err = plan.Summary(t.out, p)
			}
			if err == nil && !dryRun {
				err = m.sayNext(p)
			}
			if err == nil && len(p.Blocked) > 0 {
				err = errFindings
			}
			return err
		},
	}
	m.flags(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show the plan, and write no file")
	return c
}

// sayNext says what to do with a plan that was written.
func (m *migration) sayNext(p plan.Plan) error {
	s, err := m.settings()
	if err != nil {
		return err
	}
	if undeclared := plan.Undeclared(p, s); len(undeclared) > 0 {
		m.say(`
Not yet in Pulumi.%[1]s.yaml: %[2]s.
Merge %[3]s into it and deploy before the apply: the stack makes the secrets, with
their policies and replicas, and the apply puts the values. Then plan again. What the
apply makes by itself, a later deployment doesn't take over.
`, m.stack, strings.Join(undeclared, ", "), filepath.Join(m.folder, catalogueFile))
	}
	m.say("\nThe plan is %s. Read it, settle what blocks, and apply it: migrate apply %s --dry-run\n", m.planPath(), m.stack)
	return nil
}

// makePlan plans, and writes the plan's files if it is to. The differences are
// why the plan that was there no longer fits.
func (m *migration) makePlan(ctx context.Context, write bool) (plan.Plan, []plan.Difference, error) {
	s, err := m.settings()
	if err != nil {
		return plan.Plan{}, nil, err
	}
	key := digest.New()
	if _, missing := os.Stat(m.folder); write || missing == nil {
		if key, err = m.key(); err != nil {
			return plan.Plan{}, nil, err
		}
	}
	config, err := m.aws(ctx, s.Region)
	if err != nil {
		return plan.Plan{}, nil, err
	}
	classifier, err := classify.New(s.Classify)
	if err != nil {
		return plan.Plan{}, nil, err
	}
	bar := &progress{terminal: m.terminal}
	defer bar.end()
	estate, err := discover.Read(ctx, config, bar.show)
	if err != nil {
		return plan.Plan{}, nil, err
	}
	p := planner{m, s, estate, classifier, key}
	made, changes, err := p.plan(ctx, config, bar)
	if err == nil && write {
		err = p.write(made)
	}
	return made, changes, err
}

// planner makes a plan for what was read of an estate.
type planner struct {
	*migration
	settings   settings.Settings
	estate     discover.Estate
	classifier *classify.Classifier
	key        digest.Key
}

func (p planner) plan(ctx context.Context, config aws.Config, bar *progress) (plan.Plan, []plan.Difference, error) {
	old, err := p.migration.plan()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return plan.Plan{}, nil, fmt.Errorf("%w: mend it, or move it away to begin anew", err)
	}
	have := err == nil
	build := func(facts plan.Facts) (plan.Plan, error) {
		if have {
			return plan.Renew(old, p.settings, p.estate, p.classifier, p.key, facts)
		}
		return plan.Make(p.settings, p.estate, p.classifier, p.key, facts)
	}
	draft, err := build(plan.Facts{})
	if err != nil {
		return plan.Plan{}, nil, err
	}
	facts, err := plan.ReadFacts(ctx, config, draft, p.estate, p.key, bar.show)
	if err != nil {
		return plan.Plan{}, nil, err
	}
	made, err := build(facts)
	if err != nil || !have {
		return made, nil, err
	}
	changes, err := plan.Check(old, p.settings, p.estate, p.classifier, p.key, facts)
	return made, changes, err
}

// write writes the plan's files. What stays as it is isn't written again, so
// that nothing seems to have changed.
func (p planner) write(made plan.Plan) error {
	state, err := journal.Read(p.folder)
	if err != nil {
		return err
	}
	filled := func(name string) bool { return state.Secrets[name].Version != "" }
	for _, file := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{filepath.Base(p.planPath()), func(w io.Writer) error { return plan.Write(w, made) }},
		{summaryFile, func(w io.Writer) error { return plan.Summary(w, made) }},
		{catalogueFile, func(w io.Writer) error {
			return plan.Catalogue(w, made, p.settings, p.estate, p.classifier, filled)
		}},
	} {
		var text bytes.Buffer
		if err := file.write(&text); err != nil {
			return err
		}
		path := filepath.Join(p.folder, file.name)
		if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, text.Bytes()) {
			continue
		}
		if err := replaceFile(path, text.Bytes()); err != nil {
			return err
		}
	}
	return nil
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
