package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/validate"
)

func newValidate(t terminal) *cobra.Command {
	m := watch{migration: migration{terminal: t}}
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

With --wait it validates again and again until the soak time is over, and ends at
the first failure: run it while people watch.

Exit status: 0 valid; 1 something failed or is unknown; 2 it couldn't be done.`,
		Example: "  migrate validate dev --soak 1h\n  migrate validate prod --wait\n  migrate validate prod --only lambda/orders --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m.open(args[0])
			if m.every <= 0 {
				return fmt.Errorf("--every: %s: write how long to wait in between, as 5m", m.every)
			}
			return m.run(c.Context())
		},
	}
	m.flags(c)
	f := c.Flags()
	f.DurationVar(&m.soak, "soak", validate.DefaultSoak, "how long services must have done without their old values; 0: they needn't")
	f.StringSliceVar(&m.only, "only", nil, "IDs of services to look at, with their secrets; the report isn't kept")
	f.BoolVar(&m.wait, "wait", false, "validate again and again, until the soak time is over or something fails")
	f.DurationVar(&m.every, "every", 5*time.Minute, "with --wait: how often")
	return c
}

// watch is a validation, or many.
type watch struct {
	migration
	only  []string
	soak  time.Duration
	wait  bool
	every time.Duration
}

// patience is how long after the soak time what is unknown may still become
// known: CloudTrail and CloudWatch are late.
const patience = time.Hour

func (w *watch) run(ctx context.Context) error {
	o, config, err := w.options(ctx)
	if err != nil {
		return err
	}
	for {
		report, err := w.once(ctx, config, o)
		if err != nil {
			return err
		}
		until := report.Switched.Add(w.soak)
		if !w.wait || report.Count(validate.Fail) > 0 || report.Count(validate.Unknown) == 0 || report.Finished.After(until.Add(patience)) {
			return w.tell(report)
		}
		fmt.Fprintf(w.err, "%s  %s The soak ends at %s.\n", moment(report.Finished), report.Summary(), moment(until))
		if err := w.pause(ctx); err != nil {
			return err
		}
	}
}

// options are those of the plan, and of the journal as it is now.
func (w *watch) options(ctx context.Context) (validate.Options, aws.Config, error) {
	p, err := w.plan()
	if err != nil {
		return validate.Options{}, aws.Config{}, err
	}
	key, err := w.key()
	if err != nil {
		return validate.Options{}, aws.Config{}, err
	}
	state, err := journal.Read(w.folder)
	if err != nil {
		return validate.Options{}, aws.Config{}, err
	}
	config, err := w.aws(ctx, p.Region)
	o := validate.Options{Plan: p, Key: key, Soak: w.soak, Only: w.only, Switched: map[string]time.Time{}, Versions: map[string]string{}}
	for id, s := range state.Services {
		if !s.Switched.IsZero() {
			o.Switched[id] = s.Switched
		}
		planned := slices.ContainsFunc(p.Services, func(x plan.Service) bool { return x.ID == id })
		if s.Live() && s.Status != journal.Cleaned && !planned && len(w.only) == 0 {
			o.Left = append(o.Left, plan.Service{ID: id, Kind: s.Kind, ARN: s.ARN, Cluster: s.Cluster, How: s.How})
		}
	}
	for name, s := range state.Secrets {
		if s.Version != "" {
			o.Versions[name] = s.Version
		}
	}
	return o, config, err
}

// once validates, and keeps the report of a whole plan.
func (w *watch) once(ctx context.Context, config aws.Config, o validate.Options) (validate.Report, error) {
	bar := &progress{terminal: w.terminal}
	defer bar.end()
	o.Progress = func(done, total int) { bar.show("validate", done, total) }
	report, err := validate.Run(ctx, config, o)
	if err == nil && len(w.only) == 0 { // a part of a plan must not take the place of the whole
		err = report.Save(w.folder)
	}
	return report, err
}

func (w *watch) tell(report validate.Report) error {
	var err error
	if w.asJSON {
		err = w.json(report)
	} else {
		err = report.Text(w.out)
	}
	if err == nil && report.Count(validate.Pass) != len(report.Checks) {
		err = errFindings
	}
	return err
}

func (w *watch) pause(ctx context.Context) error {
	if w.sleep != nil {
		return w.sleep(w.every)
	}
	timer := time.NewTimer(w.every)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
