package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/inventory"
	"github.com/aistudio/secrets/auditor/run"
)

func newRun() *cobra.Command {
	var t target
	var out, threshold, topic string
	var hub, quiet, asJSON bool
	c := &cobra.Command{
		Use:   "run",
		Short: "Audit once and write the reports",
		Long: `Audit once and write the reports.

Exit codes: 0 when no finding reaches the threshold, 1 when one does, 2 when the
audit could not be made or a region's list of secrets is incomplete.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := t.options(c.Context(), t.logger(c.ErrOrStderr()))
			if err != nil {
				return err
			}
			if threshold != "" {
				if o.Policy.Threshold, err = finding.ParseSeverity(threshold); err != nil {
					return fmt.Errorf("--threshold: %w", err)
				}
			}
			if err := local(&o, out); err != nil {
				return err
			}
			o.Now, o.Topic, o.SecurityHub = time.Now(), topic, hub
			if !quiet {
				p := &progress{w: c.ErrOrStderr()}
				o.Progress = p.show
				defer p.end()
			}
			outcome, err := run.Run(c.Context(), o)
			if outcome == nil {
				return err
			}
			defer outcome.Close()
			if asJSON {
				err = errors.Join(err, writeJSON(c.OutOrStdout(), outcome.Summary(filepath.Join(out, "report.html"))))
			} else {
				summarize(c.OutOrStdout(), outcome, out)
			}
			return verdict(outcome, o.Policy.Threshold, err)
		},
	}
	t.flags(c)
	c.Flags().StringVar(&out, "out", "audit", "folder for the reports, and for the state if there is no bucket")
	c.Flags().StringVar(&threshold, "threshold", "", "critical, high, medium or low: findings from here on fail (default the policy's)")
	c.Flags().StringVar(&topic, "topic", "", "ARN of an SNS topic for alerts")
	c.Flags().BoolVar(&hub, "security-hub", false, "import the findings into Security Hub")
	c.Flags().BoolVar(&quiet, "quiet", false, "show no progress")
	c.Flags().BoolVar(&asJSON, "json", false, "print the figures as JSON; all findings are in report.json")
	return c
}

// verdict turns an audit into an exit code: what couldn't be told weighs more
// than what was found.
func verdict(o *run.Outcome, threshold finding.Severity, err error) error {
	if err != nil {
		return err
	}
	if !o.Complete() {
		return fmt.Errorf("the list of secrets is incomplete, so the audit is: see the report")
	}
	if n := o.AtOrOver(threshold); n > 0 {
		return findingsError{n, string(threshold)}
	}
	return nil
}

func summarize(w io.Writer, o *run.Outcome, out string) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SEVERITY\tRULE\tFINDINGS\tNEW\tUNKNOWN")
	for _, severity := range finding.Severities() {
		for _, rule := range o.Rules {
			if rule.Severity != severity || rule.Counts[finding.Fail]+rule.Counts[finding.Unknown] == 0 {
				continue
			}
			fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\n", severity, rule.Title, rule.Counts[finding.Fail], rule.New, rule.Counts[finding.Unknown])
		}
	}
	table.Flush()
	calls := 0
	for _, n := range o.Calls {
		calls += n
	}
	fmt.Fprintf(w, "\n%d secrets, %.1f %% rotated in time, %.1f %% of the checks could be made, %d calls to AWS\n",
		o.Secrets, o.RotationCompliance(), o.Coverage(), calls)
	fmt.Fprintf(w, "report: %s\n", filepath.Join(out, "report.html"))
}

// progress shows on one line of a terminal how far the reading is.
type progress struct {
	w io.Writer

	mu    sync.Mutex
	shown time.Time
	width int
}

func (p *progress) show(now inventory.Progress) {
	file, ok := p.w.(*os.File)
	if !ok {
		return
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.shown) < 100*time.Millisecond {
		return
	}
	p.shown = time.Now()
	line := fmt.Sprintf("reading %s: %d secrets", now.Step, now.Secrets)
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", max(0, p.width-len(line))))
	p.width = len(line)
}

func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.width > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.width))
	}
}
