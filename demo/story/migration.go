package story

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/aistudio/secrets/migrator/apply"
	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/cleanup"
	"github.com/aistudio/secrets/migrator/inventory"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/rollback"
	"github.com/aistudio/secrets/migrator/validate"
)

// soak is how long the service does without its old values before they go, as
// ADR-006 has it for dev.
const soak = time.Hour

// Migration is how the estate's secrets were moved.
type Migration struct {
	Secrets  int // that were in plaintext, and are in Secrets Manager
	Left     int // that are in plaintext afterwards
	Answers  int // of the function meanwhile
	Failures []string
	Checks   int // of the validation, all passed
}

// migration moves an estate's secrets by the commands that people use.
type migration struct {
	*estate
	before map[string]string // the function's variables
	result Migration
}

// migrate runs a command of the migrator.
func (m *migration) migrate(ctx context.Context, into any, command string, flags ...string) error {
	return m.command(ctx, into, "migrate", append([]string{command, stack, "--root", m.Dir}, flags...)...)
}

// discover looks for secrets in plaintext.
func (m *migration) discover(ctx context.Context) (string, error) {
	var found inventory.Inventory
	if err := m.migrate(ctx, &found, "discover"); err != nil {
		return "", err
	}
	var places []string
	for _, item := range found.Items {
		if item.Secret && !item.Encrypted {
			places = append(places, strings.TrimSpace(item.Variable+" in "+string(item.Place)+" "+item.Name))
		}
	}
	m.result.Left = found.Counts.Plaintext + found.Counts.Unknown + found.Counts.Unread
	m.result.Secrets = max(m.result.Secrets, found.Counts.Plaintext)
	if len(places) == 0 {
		return fmt.Sprintf("none of %d settings", found.Counts.Settings), nil
	}
	return fmt.Sprintf("%d of %d settings: %s", len(places), found.Counts.Settings, strings.Join(places, ", ")), nil
}

// plan plans. Before the stack is there, its key blocks.
func (m *migration) plan(ctx context.Context) (string, error) {
	var p plan.Plan
	if err := m.migrate(ctx, &p, "plan"); err != nil {
		return "", err
	}
	var services, names, blocks []string
	for _, s := range p.Services {
		services = append(services, s.ID)
	}
	for _, s := range p.Secrets {
		names = append(names, s.Name)
	}
	for _, b := range p.Blocked {
		blocks = append(blocks, b.Code)
	}
	text := strings.Join(services, ", ") + " moves to " + strings.Join(names, " and ")
	if len(blocks) > 0 {
		text += "; blocked by " + strings.Join(blocks, ", ")
	}
	return text, nil
}

// merge does what a person does with the entries that the plan wrote for the
// stack's file.
func (m *migration) merge(context.Context) (string, error) {
	text, err := os.ReadFile(filepath.Join(m.Dir, "migration", stack, "catalogue.yaml"))
	if err != nil {
		return "", fmt.Errorf("read what the plan adds to the stack's file: %w", err)
	}
	var added struct {
		Config map[string]map[string]any `yaml:"config"`
	}
	if err := yaml.Unmarshal(text, &added); err != nil {
		return "", fmt.Errorf("read what the plan adds to the stack's file: %w", err)
	}
	var names []string
	for key, entries := range added.Config {
		if err := change(m.config, key, func(there object) error {
			maps.Copy(there, entries)
			return nil
		}); err != nil {
			return "", err
		}
		for name := range entries {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", "), m.writeStack()
}

// apply moves the secrets, and the service to them.
func (m *migration) apply(ctx context.Context) (string, error) {
	var err error
	if m.before, err = m.variables(ctx); err != nil {
		return "", err
	}
	var done apply.Result
	if err := m.migrate(ctx, &done, "apply", "--yes"); err != nil {
		return "", err
	}
	if !done.Complete {
		return "", failed(done.Steps)
	}
	return m.told(ctx, done.Steps)
}

// rollback goes back, and checks that all is as it was.
func (m *migration) rollback(ctx context.Context) (string, error) {
	var back rollback.Result
	if err := m.migrate(ctx, &back, "rollback", "--yes"); err != nil {
		return "", err
	}
	if !back.Complete {
		return "", failed(back.Steps)
	}
	now, err := m.variables(ctx)
	if err != nil {
		return "", err
	}
	if !maps.Equal(now, m.before) {
		return "", errors.New("the function's variables aren't what they were before the migration")
	}
	return m.told(ctx, back.Steps)
}

// validate lets the soak time pass and proves that it worked. What is counted
// comes once a minute, so it may take a second look.
func (m *migration) validate(ctx context.Context) (string, error) {
	if err := m.advance(ctx, soak); err != nil {
		return "", err
	}
	if err := m.await(ctx, invocationsPerSecond); err != nil {
		return "", err
	}
	var report validate.Report
	if err := m.migrate(ctx, &report, "validate", "--soak", soak.String(), "--wait", "--every", "5s"); err != nil {
		return "", err
	}
	if !report.Valid() {
		for _, c := range report.Checks {
			if c.Result != validate.Pass {
				return "", fmt.Errorf("%s %s: %s: %s", c.Question, c.Subject, c.Result, c.Detail)
			}
		}
	}
	m.result.Checks = len(report.Checks)
	return fmt.Sprintf("%d checks passed; %s", len(report.Checks), m), nil
}

// cleanup takes the old values away, after which there is no way back.
func (m *migration) cleanup(ctx context.Context) (string, error) {
	var end cleanup.Result
	if err := m.migrate(ctx, &end, "cleanup", "--yes", "--soak", soak.String(), "--ignore-reader", scanFunction); err != nil {
		return "", err
	}
	if !end.Complete || len(end.Remains) > 0 {
		return "", failed(end.Steps)
	}
	return m.told(ctx, end.Steps)
}

// told lets the function be used as it is now, and tells of the steps that were
// done.
func (m *migration) told(ctx context.Context, all []steps.Step) (string, error) {
	if err := m.await(ctx, invocationsPerSecond); err != nil {
		return "", err
	}
	var done []string
	for _, s := range all {
		done = append(done, s.Action+" "+s.Subject)
	}
	return fmt.Sprintf("%s; %s", strings.Join(done, ", "), m), nil
}

// failed tells which step failed.
func failed(all []steps.Step) error {
	for _, s := range all {
		if s.Outcome == steps.Failed {
			return fmt.Errorf("%s %s: %s", s.Action, s.Subject, s.Detail)
		}
	}
	return errors.New("not everything was done")
}

// end stops the use of the function.
func (m *migration) end(ctx context.Context) (Migration, error) {
	if err := m.await(ctx, 1); err != nil {
		return Migration{}, err
	}
	m.stop()
	m.result.Answers, m.result.Failures = m.service()
	return m.result, nil
}
