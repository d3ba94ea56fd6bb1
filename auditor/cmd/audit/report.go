package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/sdk/spec"
)

func newReport() *cobra.Command {
	var bucket, environment, run, out string
	c := &cobra.Command{
		Use:   "report",
		Short: "Fetch the reports of a run from the audit's bucket, by default the newest",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if bucket == "" {
				return errors.New("no bucket: name the stack's audit bucket with --bucket")
			}
			cfg, err := config.LoadDefaultConfig(c.Context())
			if err != nil {
				return fmt.Errorf("read the AWS configuration: %w", err)
			}
			f := fetcher{client: s3.NewFromConfig(cfg), bucket: bucket, out: out}
			return f.fetch(c, spec.AuditReports+environment+"/", run)
		},
	}
	c.Flags().StringVar(&bucket, "bucket", os.Getenv(spec.EnvAuditBucket), "the stack's audit bucket (default $"+spec.EnvAuditBucket+")")
	c.Flags().StringVar(&environment, "environment", "", "the environment")
	c.Flags().StringVar(&run, "run", "", "the run, as in 2026-11-25T060000Z (default the newest)")
	c.Flags().StringVar(&out, "out", "audit", "folder for the reports")
	_ = c.MarkFlagRequired("environment")
	return c
}

type fetcher struct {
	client      *s3.Client
	bucket, out string
}

func (f fetcher) fetch(c *cobra.Command, prefix, run string) error {
	var keys []string
	pages := s3.NewListObjectsV2Paginator(f.client, &s3.ListObjectsV2Input{Bucket: &f.bucket, Prefix: aws.String(prefix + run)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(c.Context())
		if err != nil {
			return fmt.Errorf("list the reports in s3://%s/%s: %w", f.bucket, prefix, err)
		}
		for _, object := range page.Contents {
			keys = append(keys, aws.ToString(object.Key))
		}
	}
	if len(keys) == 0 {
		return fmt.Errorf("there is no report in s3://%s/%s", f.bucket, prefix+run)
	}
	// Keys are sorted, and a run's name is its time: the last is the newest.
	newest := keys[len(keys)-1]
	newest = newest[:strings.LastIndexByte(newest, '/')+1]
	if err := os.MkdirAll(f.out, 0o700); err != nil {
		return fmt.Errorf("make the folder for the reports: %w", err)
	}
	for _, key := range keys {
		if name, ok := strings.CutPrefix(key, newest); ok && filepath.IsLocal(name) && !strings.Contains(name, "/") {
			if err := f.get(c, key, filepath.Join(f.out, name)); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), filepath.Join(f.out, name))
		}
	}
	return nil
}

func (f fetcher) get(c *cobra.Command, key, path string) error {
	out, err := f.client.GetObject(c.Context(), &s3.GetObjectInput{Bucket: &f.bucket, Key: &key})
	if err != nil {
		return fmt.Errorf("read s3://%s/%s: %w", f.bucket, key, err)
	}
	defer out.Body.Close()
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	_, err = io.Copy(file, out.Body)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write the report %s: %w", path, err)
	}
	return nil
}
