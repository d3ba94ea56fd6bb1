package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/operations/recovery"
	"github.com/aistudio/secrets/sdk/spec"
)

func newDrill(s *stack) *cobra.Command {
	c := change{stack: s}
	var options recovery.DrillOptions
	var bucket, out string
	command := &cobra.Command{
		Use:   "drill",
		Short: "Try out the loss of the primary region, measure it and write a report",
		Long: `Try out the loss of the primary region, measure it and write a report.

Replicas are compared with their primaries, read in the DR region as the services
would, and read through the SDK while the primary region is dark. On a local cloud,
and on AWS with --for-real, all secrets are then failed over, some rotated in the DR
region, and all brought back: recovery time and lost versions are measured.

The exit status is 1 if anything failed, was lost or took too long.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx := command.Context()
			estate, declared, err := s.open(ctx)
			if err != nil {
				return err
			}
			drill, err := estate.PlanDrill(ctx, options)
			if err != nil {
				return err
			}
			ok, err := c.agreed(drill.Plan)
			if err != nil || !ok {
				return err
			}
			report, err := drill.Run(ctx, c.force)
			if err != nil {
				return err
			}
			if out == "" {
				out = s.folder(declared)
			}
			return c.report(ctx, report, out, bucket, declared.Region)
		},
	}
	c.flags(command)
	f := command.Flags()
	f.BoolVar(&options.ForReal, "for-real", false, "fail over and back on AWS, too")
	f.StringVar(&options.Rotate, "rotate", recovery.RotateOne, "what to rotate in the DR region: one secret of each rotation function, all or none")
	f.StringVar(&out, "out", "", "folder for the reports (default dist/recovery/<environment>)")
	f.StringVar(&bucket, "bucket", os.Getenv(spec.EnvAuditBucket), "the audit's bucket, to keep the report there, too (default $"+spec.EnvAuditBucket+")")
	return command
}

// report writes the report to a folder, and to the bucket where there is one, which
// is in the primary region.
func (c *change) report(ctx context.Context, r *recovery.Report, out, bucket, region string) error {
	var page, data bytes.Buffer
	if err := errors.Join(r.WriteMarkdown(&page), r.WriteJSON(&data)); err != nil {
		return err
	}
	var errs []error
	if err := os.MkdirAll(out, 0o700); err != nil {
		return fmt.Errorf("make the folder for the report: %w", err)
	}
	for name, text := range map[string][]byte{"recovery.md": page.Bytes(), spec.RecoveryJSON: data.Bytes()} {
		if err := os.WriteFile(filepath.Join(out, name), text, 0o600); err != nil {
			errs = append(errs, fmt.Errorf("write the report: %w", err))
		}
		if bucket != "" {
			errs = append(errs, put(ctx, region, bucket, r.Key(name), text))
		}
	}
	text := page
	if c.asJSON {
		text = data
	}
	_, err := io.Copy(c.out, &text)
	errs = append(errs, err)
	fmt.Fprintln(c.err, "The report is in "+out+".")
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if !r.Passed {
		return errTold
	}
	return nil
}

func put(ctx context.Context, region, bucket, key string, text []byte) error {
	aws, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return fmt.Errorf("read the AWS configuration: %w", err)
	}
	if _, err := s3.NewFromConfig(aws).PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(text)}); err != nil {
		return fmt.Errorf("write s3://%s/%s: %w", bucket, key, err)
	}
	return nil
}
