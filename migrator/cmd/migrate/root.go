package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/settings"
	"github.com/aistudio/secrets/migrator/validate"
)

func newRoot(t terminal) *cobra.Command {
	root := &cobra.Command{
		Use:   "migrate",
		Short: "Move secrets from environment variables and parameters to Secrets Manager, and back if need be",
		Long: `Move secrets from environment variables and parameters to Secrets Manager, and
back if need be.

The way is discover, plan, apply, validate, cleanup; rollback leads back from any
point before the cleanup. Plan, journal and reports are in the migration's folder,
migration/<stack>. Region and credentials are those of AWS's usual environment
(AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL and so on); the region is the stack's.
Nothing that is printed or written holds a secret's value.

What changes something shows what it is going to do and asks; --yes agrees
beforehand, and --dry-run changes nothing.

Exit status: 0 done; 1 something is left to look at (findings, blocks, failed
steps, not valid, phase not complete); 2 it couldn't be done.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.AddCommand(newDiscover(t), newSource(t), newPlan(t), newApply(t), newValidate(t), newRollback(t), newCleanup(t), newRestore(t), newStatus(t), newPhase(t))
	return root
}

// migration are the flags that say which migration it is.
type migration struct {
	terminal
	stack  string
	root   string
	file   string
	config string
	folder string
	asJSON bool
}

func (m *migration) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&m.root, "root", ".", "folder of the stacks' files")
	f.StringVar(&m.file, "stack-file", "", "the stack's file (default Pulumi.<stack>.yaml in the root)")
	f.StringVar(&m.config, "config", "", "the migration's settings (default migration.<stack>.yaml in the root, if it is there)")
	f.StringVar(&m.folder, "folder", "", "the migration's folder (default migration/<stack> in the root)")
	f.BoolVar(&m.asJSON, "json", false, "as JSON")
}

// open fills in the defaults for a stack.
func (m *migration) open(stack string) {
	m.stack = stack
	if m.file == "" {
		m.file = filepath.Join(m.root, "Pulumi."+stack+".yaml")
	}
	if m.config == "" {
		m.config = filepath.Join(m.root, "migration."+stack+".yaml")
	}
	if m.folder == "" {
		m.folder = m.folderOf(stack)
	}
}

func (m *migration) folderOf(stack string) string { return filepath.Join(m.root, "migration", stack) }

func (m *migration) settings() (settings.Settings, error) {
	return settings.Read(m.stack, m.file, m.config)
}

func (m *migration) planPath() string { return filepath.Join(m.folder, "plan.yaml") }

func (m *migration) plan() (plan.Plan, error) {
	p, err := plan.Load(m.planPath())
	if errors.Is(err, fs.ErrNotExist) {
		return plan.Plan{}, fmt.Errorf("there is no plan of %s: make one with migrate plan %s: %w", m.stack, m.stack, err)
	}
	if err == nil && p.Stack != m.stack {
		return plan.Plan{}, fmt.Errorf("%s is the plan of stack %s", m.planPath(), p.Stack)
	}
	return p, err
}

func (m *migration) key() (digest.Key, error) { return digest.Open(m.folder) }

// aws reads AWS's environment for a region. Its clients keep to AWS's quotas.
func (m *migration) aws(ctx context.Context, region string) (aws.Config, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return aws.Config{}, fmt.Errorf("read the AWS configuration: %w", err)
	}
	return m.quota(c), nil
}

// clock is AWS's clock, for what is written down beside what AWS has written
// down.
func (m *migration) clock(ctx context.Context, c aws.Config) (func() time.Time, error) {
	now, _, err := validate.Now(ctx, c)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	return func() time.Time { return now.Add(time.Since(started)) }, nil
}

// say is where words for people go: not where JSON is.
func (m *migration) say(format string, args ...any) {
	w := m.out
	if m.asJSON {
		w = m.err
	}
	fmt.Fprintf(w, format, args...)
}
