// Package recovery moves a stack's secrets to their replicas' region when the
// primary region is lost, and back; and it tries that out in drills.
//
// What it does follows Secrets Manager's rules (user guide, "Replicate AWS
// Secrets Manager secrets across Regions" and "Promote a replica secret to a
// standalone secret"):
//
//   - A replica can be read while its primary's region is dark, and not written,
//     so not rotated. StopReplicationToReplica, called in the replica's region,
//     makes it a secret of its own, with value, versions, tags, policy and key,
//     and without a rotation.
//   - Nothing joins a promoted replica and its old primary again. The way back is
//     to replicate from the DR region onto the old secret
//     (ForceOverwriteReplicaSecret), to promote that copy, and to replicate from
//     it as before. The ARNs stay what they were, since a replica's differs from
//     its primary's in the region alone.
//
// All state is AWS's: every step looks first at what there is, so that a run
// that was killed is run again and goes on. A [Record] keeps what AWS forgets
// when a replica is promoted, the rotations' settings first of all. No value is
// ever kept, printed or written: values are compared by digests with a key that
// exists for one run.
package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/operations/quota"
)

// Options say which stack is recovered, and how.
type Options struct {
	Stack  catalogue.Stack
	AWS    aws.Config // credentials and endpoint; the regions are the stack's
	Record string     // file of the Record

	QuotaShare float64          // of AWS's request quotas; 0: quota.DefaultShare
	Silence    time.Duration    // without an answer after which what may not hold up a failover is given up, and twice that for an attempt of the rest; 0: five seconds
	Poll       time.Duration    // how often what AWS does in the background is looked at; 0: a second
	Patience   time.Duration    // how long it may take, a secret and step; 0: five minutes
	Progress   func(Progress)   // called from one goroutine at a time; nil: not called
	Now        func() time.Time // nil: time.Now
}

// Progress tells how far a step is.
type Progress struct {
	Step        string
	Done, Total int
}

// Estate is a stack's secrets in their two regions. Its methods are safe to use
// one after the other, and not at once.
type Estate struct {
	stack    catalogue.Stack
	home     site // where the stack has its secrets
	standby  site // where it has their replicas: the DR region
	record   string
	poll     time.Duration
	patience time.Duration
	now      func() time.Time
	key      []byte // of the digests

	mu       sync.Mutex // of progress
	progress func(Progress)
}

// site is a region.
type site struct {
	region  string
	config  aws.Config
	secrets *secretsmanager.Client
	hasty   *secretsmanager.Client // soon gives up: for what may not hold up a failover
	lambda  *lambda.Client
	sts     *sts.Client
}

// workers is how many secrets are worked on at once: with answers in 100 ms or
// less they use up a quota of 50 calls a second many times.
const workers = 32

// New makes no call. A stack without a region for replicas is an error.
func New(o Options) (*Estate, error) {
	standby := o.Stack.Settings.ReplicaRegion
	if standby == "" {
		return nil, fmt.Errorf("the stack %s has no replicas to recover from: set %s.replicaRegion and deploy it", o.Stack.Settings.Environment, catalogue.KeySettings)
	}
	share := o.QuotaShare
	if share == 0 {
		share = quota.DefaultShare
	}
	if share < 0 {
		return nil, errors.New("the share of AWS's quotas must be more than 0")
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	silence := cmp.Or(o.Silence, 5*time.Second)
	e := &Estate{
		stack: o.Stack, home: newSite(o.AWS, o.Stack.Region, share, silence), standby: newSite(o.AWS, standby, share, silence),
		record: o.Record, poll: o.Poll, patience: o.Patience, now: o.Now, key: key, progress: o.Progress,
	}
	if e.poll == 0 {
		e.poll = time.Second
	}
	if e.patience == 0 {
		e.patience = 5 * time.Minute
	}
	if e.now == nil {
		e.now = time.Now
	}
	return e, nil
}

// attempts of a call, spread over about a minute: what AWS throttles or fails
// to answer in a disaster is worth some patience.
const attempts = 8

func newSite(config aws.Config, region string, share float64, silence time.Duration) site {
	config = config.Copy()
	config.Region = region
	if config.Credentials != nil {
		config.Credentials = credentials{config.Credentials}
	}
	config.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = attempts
			o.RateLimiter = ratelimit.None // the retries of many workers would use up the tokens that they share
		})
	}
	config = quota.Apply(config, share)
	hasty := config.Copy()
	hasty.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.RateLimiter = 2, ratelimit.None })
	}
	hasty, config = answerWithin(hasty, silence), answerWithin(config, 2*silence)
	return site{
		region: region, config: config,
		secrets: secretsmanager.NewFromConfig(config), hasty: secretsmanager.NewFromConfig(hasty),
		lambda: lambda.NewFromConfig(config), sts: sts.NewFromConfig(config),
	}
}

// Failure is a step that couldn't be done for a secret. The secret's further
// steps are left out; a further run takes them up.
type Failure struct {
	Secret  string `json:"secret"` // or the ARN of a function, or a region
	Step    string `json:"step"`
	Problem string `json:"problem"` // AWS's error code or our own words; never a value
}

func (f Failure) String() string { return f.Step + " " + f.Secret + ": " + f.Problem }

// each does a step for many secrets at once. It returns those for which it was
// done, in order, and the failures of the others. The error is ctx's.
func (e *Estate) each(ctx context.Context, step string, secrets []*Secret, do func(context.Context, *Secret) error) ([]*Secret, []Failure, error) {
	problems := make([]error, len(secrets))
	var group errgroup.Group
	group.SetLimit(workers)
	done := 0
	e.tell(Progress{step, 0, len(secrets)})
	for i, s := range secrets {
		group.Go(func() error {
			if problems[i] = ctx.Err(); problems[i] == nil {
				problems[i] = do(ctx, s)
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			done++
			if e.progress != nil {
				e.progress(Progress{step, done, len(secrets)})
			}
			return nil
		})
	}
	_ = group.Wait() // never fails
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("%s: stopped, run it again to go on: %w", step, context.Cause(ctx))
	}
	var good []*Secret
	var failures []Failure
	for i, s := range secrets {
		if problems[i] == nil {
			good = append(good, s)
			continue
		}
		failures = append(failures, Failure{s.Name, step, problems[i].Error()})
	}
	return good, failures, nil
}

func (e *Estate) tell(p Progress) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.progress != nil {
		e.progress(p)
	}
}

// pick returns the secrets that are in one of the states.
func pick(secrets []*Secret, states ...State) []*Secret {
	var picked []*Secret
	for _, s := range secrets {
		if slices.Contains(states, s.State) {
			picked = append(picked, s)
		}
	}
	return picked
}

// wait looks until done says so, at most for e.patience.
func (e *Estate) wait(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, e.patience, fmt.Errorf("%s isn't done after %s", what, e.patience))
	defer cancel()
	// The first looks are soon after one another: much takes AWS less than poll.
	for pause := min(e.poll, 50*time.Millisecond); ; pause = min(2*pause, e.poll) {
		ok, err := done(ctx)
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}
