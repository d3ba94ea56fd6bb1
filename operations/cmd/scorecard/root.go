package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/operations/recovery"
	"github.com/aistudio/secrets/operations/scorecard"
	"github.com/aistudio/secrets/sdk/spec"
)

// flags say where evidence is and what is written.
type flags struct {
	stack, bucket            string
	code, scan, audit, drill string
	history, out             string
	noReads, noKeep, asJSON  bool
}

// store keeps scorecards.
type store interface {
	History(context.Context) ([]scorecard.Scorecard, error)
	Save(context.Context, *scorecard.Scorecard) error
}

func newRoot() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "scorecard",
		Short: "Measure the seven success metrics of ADR-006 for a stack",
		Long: `Measure the seven success metrics of ADR-006 for a stack.

The stack is that of a Pulumi.<stack>.yaml. The audit's bucket has most evidence:
reports of the audit, the migration's scan, drills, and earlier scorecards; files
come before it. A code scan is a file: SARIF, or what "migrate source" writes. Credentials
are those of AWS's usual environment. To measure the retrieval latency where there
are no traces, secrets are read; --no-reads leaves that out.

What can't be measured is unknown, and not met. Exit status: 0 all metrics are met;
1 one is missed; 2 one is unknown, or the scorecard couldn't be made.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	p := c.Flags()
	p.StringVar(&f.stack, "stack", "", "the stack's file, such as Pulumi.prod.yaml (required)")
	p.StringVar(&f.bucket, "bucket", os.Getenv(spec.EnvAuditBucket), "the stack's audit bucket (default $"+spec.EnvAuditBucket+")")
	p.StringVar(&f.code, "code", "", "result of a scan of the source code: SARIF, or the JSON of migrate source")
	p.StringVar(&f.scan, "scan", "", "result of the migration's scan, in place of the bucket's")
	p.StringVar(&f.audit, "audit", "", "report.json of the audit, in place of the bucket's (without a bucket default dist/audit/<environment>/report.json)")
	p.StringVar(&f.drill, "drill", "", "recovery.json of a drill, in place of the bucket's (without a bucket default dist/recovery/<environment>/recovery.json)")
	p.StringVar(&f.history, "history", "", "folder of earlier scorecards, in place of the bucket (default without a bucket dist/scorecard/<environment>/history)")
	p.StringVar(&f.out, "out", "", "folder for the pages (default dist/scorecard/<environment>)")
	p.BoolVar(&f.noReads, "no-reads", false, "read no secret to measure the latency")
	p.BoolVar(&f.noKeep, "no-keep", false, "don't keep the scorecard for later trends")
	p.BoolVar(&f.asJSON, "json", false, "as JSON")
	return c
}

func (f flags) run(c *cobra.Command) error {
	if f.stack == "" {
		return errors.New("no stack: name its file with --stack, such as Pulumi.prod.yaml")
	}
	stack, err := catalogue.ReadFile(f.stack)
	if err != nil {
		return err
	}
	ctx := c.Context()
	config, err := config.LoadDefaultConfig(ctx, config.WithRegion(stack.Region))
	if err != nil {
		return fmt.Errorf("read the AWS configuration: %w", err)
	}
	environment := stack.Settings.Environment
	evidence, keep, err := f.evidence(ctx, environment, config)
	if err != nil {
		return err
	}
	history, err := keep.History(ctx)
	if err != nil {
		return err
	}
	card, err := scorecard.Measure(ctx, scorecard.Options{
		Stack: stack, AWS: config, LocalCloud: recovery.IsLocalCloud(ctx, aws.ToString(config.BaseEndpoint)),
		Evidence: evidence, History: history, NoReads: f.noReads, Now: time.Now(),
	})
	if err != nil {
		return err
	}
	if !f.noKeep {
		if err := keep.Save(ctx, card); err != nil {
			return err
		}
	}
	if err := f.write(c, card, cmp.Or(f.out, filepath.Join("dist", "scorecard", environment))); err != nil {
		return err
	}
	switch {
	case card.Counts[scorecard.Missed] > 0:
		return fmt.Errorf("%w: %d", errMissed, card.Counts[scorecard.Missed])
	case card.Counts[scorecard.Unknown] > 0:
		return fmt.Errorf("%w: %d", errUnknown, card.Counts[scorecard.Unknown])
	}
	return nil
}

// evidence gathers what there is, and where scorecards are kept.
func (f flags) evidence(ctx context.Context, environment string, config aws.Config) (scorecard.Evidence, store, error) {
	var e scorecard.Evidence
	var keep store = scorecard.Folder(cmp.Or(f.history, filepath.Join("dist", "scorecard", environment, "history")))
	if f.bucket != "" {
		bucket := scorecard.Bucket{Name: f.bucket, Environment: environment, Objects: s3.NewFromConfig(config)}
		e = bucket.Evidence(ctx)
		if f.history == "" {
			keep = bucket
		}
	}
	var errs [4]error
	e.Code, errs[0] = scorecard.CodeFile(f.code)
	if f.scan != "" || f.bucket == "" {
		e.Scan, errs[1] = scorecard.File(f.scan, false, spec.ReadScan, "migration's scan (--scan, or --bucket)")
	}
	if f.audit != "" || f.bucket == "" {
		e.Audit, errs[2] = scorecard.File(cmp.Or(f.audit, filepath.Join("dist", "audit", environment, "report.json")), f.audit == "", scorecard.ReadAudit, "report of the audit (--audit, or --bucket)")
	}
	if f.drill != "" || f.bucket == "" {
		e.Drill, errs[3] = scorecard.File(cmp.Or(f.drill, filepath.Join("dist", "recovery", environment, spec.RecoveryJSON)), f.drill == "", scorecard.ReadDrill, "report of a drill (--drill, or --bucket)")
	}
	return e, keep, errors.Join(errs[:]...)
}

func (f flags) write(c *cobra.Command, card *scorecard.Scorecard, out string) error {
	if err := os.MkdirAll(out, 0o700); err != nil {
		return fmt.Errorf("make the folder for the scorecard: %w", err)
	}
	var page, markdown, data bytes.Buffer
	if err := errors.Join(card.WriteHTML(&page), card.WriteMarkdown(&markdown), card.WriteJSON(&data)); err != nil {
		return err
	}
	for name, text := range map[string][]byte{"scorecard.html": page.Bytes(), "scorecard.md": markdown.Bytes(), spec.ScorecardJSON: data.Bytes()} {
		if err := os.WriteFile(filepath.Join(out, name), text, 0o600); err != nil {
			return fmt.Errorf("write the scorecard: %w", err)
		}
	}
	if f.asJSON {
		_, err := data.WriteTo(c.OutOrStdout())
		return err
	}
	if err := card.WriteText(c.OutOrStdout()); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "\nThe pages are in %s.\n", out)
	return nil
}
