package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/auditor/report"
	"github.com/aistudio/secrets/sdk/spec"
)

func newReport() *cobra.Command {
	var bucket, environment, run, out string
	var asJSON bool
	c := &cobra.Command{
		Use:   "report",
		Short: "Fetch the reports of a run from the audit's bucket, by default the newest, and check their SHA-256",
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
			got, err := f.fetch(c.Context(), spec.AuditReports+environment+"/", run)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), got)
			}
			for _, file := range got.Files {
				fmt.Fprintln(c.OutOrStdout(), file)
			}
			return nil
		},
	}
	c.Flags().StringVar(&bucket, "bucket", os.Getenv(spec.EnvAuditBucket), "the stack's audit bucket (default $"+spec.EnvAuditBucket+")")
	c.Flags().StringVar(&environment, "environment", "", "the environment")
	c.Flags().StringVar(&run, "run", "", "the run, as in 2026-11-25T060000Z (default the newest)")
	c.Flags().StringVar(&out, "out", "audit", "folder for the reports")
	c.Flags().BoolVar(&asJSON, "json", false, "print the run and the files as JSON")
	_ = c.MarkFlagRequired("environment")
	return c
}

type fetcher struct {
	client      *s3.Client
	bucket, out string
}

// fetched are the reports of a run that were fetched.
type fetched struct {
	Run   string   `json:"run"`
	Files []string `json:"files"` // paths
}

func (f fetcher) fetch(ctx context.Context, prefix, run string) (fetched, error) {
	var keys []string
	pages := s3.NewListObjectsV2Paginator(f.client, &s3.ListObjectsV2Input{Bucket: &f.bucket, Prefix: aws.String(prefix + run)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fetched{}, fmt.Errorf("list the reports in s3://%s/%s: %w", f.bucket, prefix, err)
		}
		for _, object := range page.Contents {
			keys = append(keys, aws.ToString(object.Key))
		}
	}
	// Keys are sorted, and a run's name is its time: the last is the newest. A run
	// without sums is under way, or was killed.
	newest := ""
	for _, key := range slices.Backward(keys) {
		if folder, name := path.Split(key); name == report.Sums {
			newest = folder
			break
		}
	}
	if newest == "" {
		return fetched{}, fmt.Errorf("there is no report in s3://%s/%s, or none that is whole", f.bucket, prefix+run)
	}
	got := fetched{Run: path.Base(newest)}
	if err := os.MkdirAll(f.out, 0o700); err != nil {
		return fetched{}, fmt.Errorf("make the folder for the reports: %w", err)
	}
	for _, key := range keys {
		name, ok := strings.CutPrefix(key, newest)
		if !ok || !filepath.IsLocal(name) || strings.Contains(name, "/") {
			continue
		}
		file := filepath.Join(f.out, name)
		if err := f.get(ctx, key, file); err != nil {
			return fetched{}, err
		}
		got.Files = append(got.Files, file)
	}
	return got, report.Verify(f.out)
}

func (f fetcher) get(ctx context.Context, key, path string) error {
	out, err := f.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &f.bucket, Key: &key})
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
