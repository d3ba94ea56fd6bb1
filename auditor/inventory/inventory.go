// Package inventory reads what an audit needs from AWS, in as few calls as can
// be: the pages of ListSecrets hold nearly all, and what a page doesn't hold is
// read once for all secrets that share it.
//
// Secrets pass through a file, never through memory as a whole, so an estate of
// 100,000 needs little more memory than one of 1,000. What can't be read is
// unknown with its reason, and nothing that was seen is lost to an error: see
// Region.Incomplete.
//
// No call here can return a secret's value.
package inventory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/policy"
	"github.com/aistudio/secrets/sdk/spec"
)

// Options say what is read.
type Options struct {
	Account    string   // to be audited
	Regions    []string // at least one
	Catalogue  *spec.AuditCatalogue
	Policy     *policy.Policy
	Previous   *Reviewed // resource policies that the last run read; nil: none
	Scan       facts.Fact[*spec.Scan]
	Dir        string         // an existing folder for the secrets' file; about 1 KB a secret
	Deadline   time.Time      // when reading ends, and what wasn't read is unknown; zero: never
	Now        time.Time      // UTC
	Log        *slog.Logger   // never nil
	QuotaShare float64        // of AWS's quotas that may be used, for each region; 0: DefaultShare
	Progress   func(Progress) // called often, from several goroutines; nil: nobody asks
}

// Progress is how far the reading is.
type Progress struct {
	Step    string // what is being read
	Secrets int    // seen so far
}

// Inventory is what was read. Each walks through the secrets.
type Inventory struct {
	Estate   facts.Estate
	Regions  map[string]*Region
	Reviewed *Reviewed // resource policies, for the next run

	opts     Options
	declared map[string]*facts.Declared // by name
	keys     map[regionKey]facts.Fact[facts.Key]
	failures map[string]facts.Fact[map[string]time.Time] // by region; by name
	reads    facts.Fact[map[string][]facts.Access]       // by name
	policies *policyReads

	mu        sync.Mutex                          // guards the next two while they are read
	versions  map[uint64]facts.Fact[versions]     // by hash of the secret's ARN
	replicas  map[uint64]map[string]facts.Replica // confirmed with AWS, by hash of the primary's ARN
	callsMade *Calls
}

// Region is what was listed in a region.
type Region struct {
	Secrets    int    // primaries, those scheduled for deletion too
	Replicas   int    // of secrets of other regions
	Incomplete string // why the listing ended early; empty: it is complete

	file     *os.File
	index    *index
	clients  clients
	throttle limits
}

type regionKey struct{ region, id string }

type clients struct {
	secrets   secretsAPI
	keys      keysAPI
	functions functionsAPI
	metrics   metricsAPI
	trail     trailAPI
}

type secretsAPI interface {
	ListSecrets(context.Context, *secretsmanager.ListSecretsInput, ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretsOutput, error)
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	GetResourcePolicy(context.Context, *secretsmanager.GetResourcePolicyInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetResourcePolicyOutput, error)
	ListSecretVersionIds(context.Context, *secretsmanager.ListSecretVersionIdsInput, ...func(*secretsmanager.Options)) (*secretsmanager.ListSecretVersionIdsOutput, error)
}

type keysAPI interface {
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error)
	GetKeyRotationStatus(context.Context, *kms.GetKeyRotationStatusInput, ...func(*kms.Options)) (*kms.GetKeyRotationStatusOutput, error)
}

type functionsAPI interface {
	GetFunctionConfiguration(context.Context, *lambda.GetFunctionConfigurationInput, ...func(*lambda.Options)) (*lambda.GetFunctionConfigurationOutput, error)
}

type metricsAPI interface {
	GetMetricData(context.Context, *cloudwatch.GetMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error)
}

type trailAPI interface {
	DescribeTrails(context.Context, *cloudtrail.DescribeTrailsInput, ...func(*cloudtrail.Options)) (*cloudtrail.DescribeTrailsOutput, error)
	GetTrailStatus(context.Context, *cloudtrail.GetTrailStatusInput, ...func(*cloudtrail.Options)) (*cloudtrail.GetTrailStatusOutput, error)
	GetEventSelectors(context.Context, *cloudtrail.GetEventSelectorsInput, ...func(*cloudtrail.Options)) (*cloudtrail.GetEventSelectorsOutput, error)
	LookupEvents(context.Context, *cloudtrail.LookupEventsInput, ...func(*cloudtrail.Options)) (*cloudtrail.LookupEventsOutput, error)
}

// Collect reads the inventory. It fails only when nothing can be audited at all:
// no region could be listed, the context has ended, or the disk is full.
// Whoever gets an Inventory closes it.
func Collect(ctx context.Context, cfg aws.Config, opts Options) (*Inventory, error) {
	inv := &Inventory{
		Estate:    facts.Estate{Account: opts.Account, Regions: opts.Regions, Scan: opts.Scan},
		Regions:   map[string]*Region{},
		opts:      opts,
		declared:  declared(opts.Catalogue),
		callsMade: &Calls{},
	}
	cfg = keepQuickReplies(inv.callsMade.count(cfg))
	for _, region := range opts.Regions {
		if err := inv.open(cfg, region); err != nil {
			return nil, errors.Join(err, inv.Close())
		}
	}
	reading, cancel := ctx, context.CancelFunc(func() {})
	if !opts.Deadline.IsZero() {
		reading, cancel = context.WithDeadline(ctx, opts.Deadline)
	}
	defer cancel()
	for _, step := range []struct {
		name string
		read func(context.Context) error
	}{
		{"secrets", inv.list},
		{"keys, functions and trails", inv.readShared},
		{"what pages don't hold", inv.readSingly},
	} {
		inv.progress(step.name)
		// Past the deadline what is missing is unknown; when the caller's context
		// has ended there is no audit.
		if err := errors.Join(step.read(reading), ctx.Err()); err != nil {
			return nil, errors.Join(fmt.Errorf("read %s: %w", step.name, err), inv.Close())
		}
	}
	return inv, nil
}

func declared(c *spec.AuditCatalogue) map[string]*facts.Declared {
	byName := map[string]*facts.Declared{}
	if c == nil {
		return byName
	}
	for _, secret := range c.Secrets {
		byName[secret.Name] = &facts.Declared{AuditSecret: secret, Administrators: c.Administrators}
	}
	return byName
}

// open makes a region's clients and the file for its secrets.
func (inv *Inventory) open(cfg aws.Config, region string) error {
	cfg = cfg.Copy()
	cfg.Region = region
	// Adaptive mode slows down by itself when AWS throttles (AWS SDKs and Tools
	// Reference Guide, "Retry behavior").
	cfg.Retryer = func() aws.Retryer {
		return retry.AddWithMaxAttempts(retry.NewAdaptiveMode(), maxAttempts)
	}
	file, err := os.CreateTemp(inv.opts.Dir, "secrets-"+region+"-*.jsonl")
	if err != nil {
		return fmt.Errorf("make the file for the secrets of %s: %w", region, err)
	}
	inv.Regions[region] = &Region{
		file:  file,
		index: newIndex(),
		clients: clients{
			secrets: secretsmanager.NewFromConfig(cfg), keys: kms.NewFromConfig(cfg),
			functions: lambda.NewFromConfig(cfg), metrics: cloudwatch.NewFromConfig(cfg), trail: cloudtrail.NewFromConfig(cfg),
		},
		throttle: newLimits(inv.opts.QuotaShare),
	}
	return nil
}

const maxAttempts = 8

// Close removes the files.
func (inv *Inventory) Close() error {
	var errs []error
	for _, r := range inv.Regions {
		errs = append(errs, r.file.Close(), os.Remove(r.file.Name()))
	}
	return errors.Join(errs...)
}

// Secrets returns the number of secrets seen, replicas not counted.
func (inv *Inventory) Secrets() int {
	n := 0
	for _, r := range inv.Regions {
		n += r.Secrets
	}
	return n
}

// Calls returns the calls made so far, by "service:Operation".
func (inv *Inventory) Calls() map[string]int { return inv.callsMade.Made() }

func (inv *Inventory) progress(step string) {
	if inv.opts.Progress != nil {
		inv.opts.Progress(Progress{Step: step, Secrets: inv.Secrets()})
	}
}

// readShared reads what secrets have in common, all regions at once.
func (inv *Inventory) readShared(ctx context.Context) error {
	var mu sync.Mutex // guards the maps below
	inv.keys = map[regionKey]facts.Fact[facts.Key]{}
	inv.failures = map[string]facts.Fact[map[string]time.Time]{}
	inv.Estate.Trails = map[string]facts.Fact[[]facts.Trail]{}
	reads := newReads(inv.opts)
	changes := newPolicyChanges(inv.opts)
	var group errgroup.Group
	for _, region := range inv.opts.Regions {
		r := inv.Regions[region]
		group.Go(func() error {
			keys := r.readKeys(ctx, region)
			functions := r.readFunctions(ctx, region, inv.opts.Account, inv.opts.Now)
			trails := r.readTrails(ctx)
			mu.Lock()
			defer mu.Unlock()
			for _, key := range keys {
				inv.keys[regionKey{region, key.ID}] = key.Facts
			}
			inv.Estate.Keys = append(inv.Estate.Keys, keys...)
			inv.Estate.Functions = append(inv.Estate.Functions, functions...)
			inv.Estate.Trails[region] = trails
			return nil
		})
		group.Go(func() error {
			failures := r.readFailures(ctx, inv.opts.Now)
			reads.lookup(ctx, r, region)
			changes.lookup(ctx, r, region)
			mu.Lock()
			defer mu.Unlock()
			inv.failures[region] = failures
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	inv.Estate.Unlisted = map[string]string{}
	for _, region := range inv.opts.Regions {
		if why := inv.Regions[region].Incomplete; why != "" {
			inv.Estate.Unlisted[region] = why
		}
	}
	inv.Estate.Keys = mergeKeys(inv.Estate.Keys)
	sortShared(&inv.Estate)
	inv.reads = reads.fact()
	inv.policies = changes.plan()
	return nil
}

// reason says in a few words why a call failed: what was asked and AWS's code,
// the same for every secret, so that reports can group by it.
func reason(err error) string {
	var operation *smithy.OperationError
	what := "the call"
	if errors.As(err, &operation) {
		what = operation.Service() + " " + operation.Operation()
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		return what + " failed: " + api.ErrorCode()
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return what + " was cut off: the run's time was over"
	}
	return what + " failed: no answer"
}
