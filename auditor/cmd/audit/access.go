package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/auditor/access"
	"github.com/aistudio/secrets/auditor/trail"
)

func newAccess() *cobra.Command {
	var since string
	var regions []string
	var asJSON bool
	var pages int
	c := &cobra.Command{
		Use:   "access <secret>",
		Short: "Show who accessed a secret, when, from where, and what is unusual about it",
		Long: `Show who accessed a secret, when, from where, and what is unusual about it.

The source is CloudTrail's event history, which holds 90 days. What is before
--since tells what is usual: principals, regions, accesses in an hour.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			now := time.Now().UTC()
			from, err := parseSince(since, now)
			if err != nil {
				return err
			}
			cfg, err := config.LoadDefaultConfig(c.Context())
			if err != nil {
				return fmt.Errorf("read the AWS configuration: %w", err)
			}
			q := access.Query{Secret: trail.NameOf(args[0]), Since: from, Now: now, Pages: pages}
			asked := len(regions) > 0
			if !asked {
				regions = []string{cfg.Region}
			}
			described, err := secretsmanager.NewFromConfig(region(cfg, regions[0])).DescribeSecret(c.Context(), &secretsmanager.DescribeSecretInput{SecretId: &args[0]})
			switch {
			case err != nil:
				fmt.Fprintf(c.ErrOrStderr(), "only reads are shown, and none of replicas in other regions than %s, since the secret can't be described: %v\n",
					strings.Join(regions, ", "), err)
			case asked:
				q.ARN = aws.ToString(described.ARN)
			default:
				q.ARN = aws.ToString(described.ARN)
				regions = everywhere(regions[0], described)
			}
			trails := map[string]trail.API{}
			for _, name := range regions {
				trails[name] = cloudtrail.NewFromConfig(region(cfg, name))
			}
			report, err := access.Find(c.Context(), trails, q)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), report)
			}
			return report.Table(c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&since, "since", "7d", "how far back: a number of days such as 7d, a duration such as 12h, or a date")
	c.Flags().StringSliceVar(&regions, "region", nil, "regions to look in (default that of the AWS configuration, and those of the replicas)")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.Flags().IntVar(&pages, "pages", 100, "pages of 50 events to read at most, for each region; AWS gives two a second")
	return c
}

// everywhere are the regions in which a secret can be read: that in which it was
// described, its primary's and its replicas'.
func everywhere(here string, described *secretsmanager.DescribeSecretOutput) []string {
	regions := []string{here}
	if primary := aws.ToString(described.PrimaryRegion); primary != "" {
		regions = append(regions, primary)
	}
	for _, replica := range described.ReplicationStatus {
		regions = append(regions, aws.ToString(replica.Region))
	}
	slices.Sort(regions)
	return slices.Compact(regions)
}

func parseSince(text string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 {
			return now.Add(-time.Duration(n) * 24 * time.Hour), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("--since: write 7d, 12h, 2026-11-25 or 2026-11-25T06:00:00Z")
}
