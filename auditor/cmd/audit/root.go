package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/auditor/bucket"
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/inventory"
	"github.com/aistudio/secrets/auditor/policy"
	"github.com/aistudio/secrets/auditor/remedy"
	"github.com/aistudio/secrets/auditor/rules"
	"github.com/aistudio/secrets/auditor/run"
	"github.com/aistudio/secrets/auditor/state"
	"github.com/aistudio/secrets/sdk/spec"
)

// findingsError says that the audit was made and found too much.
type findingsError struct {
	count     int
	threshold string
}

func (e findingsError) Error() string {
	return fmt.Sprintf("findings that are %[2]s or worse: %[1]d", e.count, e.threshold)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "audit",
		Short:         "Audit the secrets of an account against SOC 2, ISO 27001 and HIPAA",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newRun(), newReport(), newAccess(), newRules(), newRemedy())
	return root
}

// target are the flags that say what is audited, and by what.
type target struct {
	bucket, catalogue, policy, stack, environment string
	regions                                       []string
	verbose                                       bool
	share                                         float64
}

func (t *target) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&t.bucket, "bucket", os.Getenv(spec.EnvAuditBucket), "the stack's audit bucket, which holds catalogue, policy, state and scan (default $"+spec.EnvAuditBucket+")")
	f.StringVar(&t.stack, "stack", "", "a stack's file, such as Pulumi.dev.yaml, in place of a catalogue")
	f.StringVar(&t.catalogue, "catalogue", "", "a catalogue's JSON file")
	f.StringVar(&t.policy, "policy", "", "a policy's YAML file")
	f.StringVar(&t.environment, "environment", "", "the environment's name in reports (default the catalogue's)")
	f.StringSliceVar(&t.regions, "region", nil, "regions to audit (default the catalogue's, else that of the AWS configuration)")
	f.Float64Var(&t.share, "quota-share", inventory.DefaultShare, "share of AWS's request quotas to use")
	f.BoolVar(&t.verbose, "verbose", false, "log what happens to standard error")
	c.MarkFlagsMutuallyExclusive("stack", "catalogue")
}

func (t *target) logger(w io.Writer) *slog.Logger {
	level := slog.LevelWarn
	if t.verbose {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// options reads configuration, catalogue, policy and scan.
func (t *target) options(ctx context.Context, log *slog.Logger) (run.Options, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return run.Options{}, fmt.Errorf("read the AWS configuration: %w", err)
	}
	o := run.Options{AWS: cfg, Log: log, QuotaShare: t.share, Scan: facts.Unknown[*spec.Scan]("without the audit's bucket (--bucket) there is no scan to read")}
	if t.bucket != "" {
		o.Bucket = &bucket.Bucket{Name: t.bucket, Objects: s3.NewFromConfig(cfg)}
		o.Store = o.Bucket
	}
	var errs []error
	o.Catalogue, err = t.readCatalogue(ctx, cfg, o.Bucket)
	errs = append(errs, err)
	o.Policy, err = t.readPolicy(ctx, o.Bucket)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return run.Options{}, err
	}
	if o.Bucket != nil {
		o.Scan = o.Bucket.Scan(ctx)
	}
	return o, t.place(&o)
}

// place settles regions and the environment's name.
func (t *target) place(o *run.Options) error {
	o.Environment, o.Regions = t.environment, t.regions
	if c := o.Catalogue; c != nil {
		if o.Environment == "" {
			o.Environment = c.Environment
		}
		if len(o.Regions) == 0 {
			o.Regions = slices.Clone(c.Regions)
		}
		if c.ReplicaRegion != "" && !slices.Contains(o.Regions, c.ReplicaRegion) {
			o.Regions = append(o.Regions, c.ReplicaRegion)
		}
	}
	if o.Environment == "" {
		o.Environment = "the account"
	}
	if len(o.Regions) == 0 && o.AWS.Region != "" {
		o.Regions = []string{o.AWS.Region}
	}
	if len(o.Regions) == 0 {
		return errors.New("no region: name one with --region, or set AWS_REGION")
	}
	if o.AWS.Region == "" {
		o.AWS.Region = o.Regions[0]
	}
	return nil
}

func (t *target) readCatalogue(ctx context.Context, cfg aws.Config, b *bucket.Bucket) (*spec.AuditCatalogue, error) {
	switch {
	case t.stack != "":
		file, err := readStack(t.stack)
		if err != nil {
			return nil, err
		}
		if cfg.Region == "" {
			cfg = region(cfg, file.Config.Region)
		}
		in, err := here(ctx, cfg)
		if err != nil {
			return nil, err
		}
		c, err := file.catalogue(in)
		if err != nil {
			return nil, fmt.Errorf("read the stack's file %s: %w", t.stack, err)
		}
		return c, nil
	case t.catalogue != "":
		text, err := os.ReadFile(t.catalogue)
		if err != nil {
			return nil, fmt.Errorf("read the catalogue: %w", err)
		}
		var c spec.AuditCatalogue
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, fmt.Errorf("read the catalogue %s: %w", t.catalogue, err)
		}
		return &c, nil
	case b != nil:
		return b.Catalogue(ctx)
	default:
		return nil, nil
	}
}

// here is the account that is audited.
func here(ctx context.Context, cfg aws.Config) (place, error) {
	identity, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return place{}, fmt.Errorf("ask AWS which account this is: %w", err)
	}
	caller, err := arn.Parse(aws.ToString(identity.Arn))
	if err != nil {
		return place{}, fmt.Errorf("read the caller's ARN %q: %w", aws.ToString(identity.Arn), err)
	}
	return place{caller.Partition, caller.AccountID}, nil
}

func (t *target) readPolicy(ctx context.Context, b *bucket.Bucket) (policy.Policy, error) {
	switch {
	case t.policy != "":
		file, err := os.Open(t.policy)
		if err != nil {
			return policy.Policy{}, fmt.Errorf("read the policy: %w", err)
		}
		defer file.Close()
		p, err := policy.Parse(file, rules.IDs(), remedy.Rules())
		if err != nil {
			return policy.Policy{}, fmt.Errorf("%s: %w", t.policy, err)
		}
		return p, nil
	case b != nil:
		return b.Policy(ctx)
	default:
		return policy.Default(), nil
	}
}

// local keeps the state beside the reports where there is no bucket.
func local(o *run.Options, out string) error {
	if err := os.MkdirAll(out, 0o700); err != nil {
		return fmt.Errorf("make the folder for the reports: %w", err)
	}
	o.Reports = out
	if o.Store == nil {
		o.Store = state.File(filepath.Join(out, "state.jsonl.gz"))
	}
	return nil
}

// region returns a configuration for another region.
func region(cfg aws.Config, name string) aws.Config {
	cfg = cfg.Copy()
	cfg.Region = name
	return cfg
}
