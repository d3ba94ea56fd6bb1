package discover

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/sdk/spec"
)

// atOnce is the number of calls to a service under way at a time. The quotas
// decide how fast they go.
const atOnce = 16

// Progress is told of every step: what is read, how many are done and how many
// there are, or 0 while that isn't known. It is called by one goroutine at a
// time.
type Progress func(what string, done, total int)

// discovery is one reading of an estate.
type discovery struct {
	region     string
	functions  functionReader
	parameters parameterReader
	containers containerReader
	rules      ruleReader
	schedules  scheduleReader
	identity   identity
	report     Progress
	plaintext  bool // without encrypted values and without aliases

	mu     sync.Mutex
	estate Estate // Unread is guarded by mu
}

// Actions returns the IAM actions that Read calls, except for kms:Decrypt of the
// keys of SecureString parameters and of functions' environments, and of
// sts:GetCallerIdentity, which nobody needs a right for. ReadPlaintext calls
// those of spec.ScanActions.
func Actions() []string { return append(spec.ScanActions(), "lambda:ListAliases") }

type identity interface {
	GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error)
}

// Read reads the estate of the configuration's account and region. Calls wait
// for nothing but AWS: pass a configuration made by the package quota to stay
// under AWS's quotas. report may be nil.
//
// It fails when a listing fails for a passing reason, since a part of an estate
// would look like a whole one. A listing that isn't allowed is in Unread.
func Read(ctx context.Context, config aws.Config, report Progress) (Estate, error) {
	return newDiscovery(config, report, false).read(ctx)
}

// ReadPlaintext is Read without the values of encrypted parameters, which are
// no plaintext, and without the aliases of functions, which hold none. It needs
// neither the right to decrypt parameters nor lambda:ListAliases.
func ReadPlaintext(ctx context.Context, config aws.Config, report Progress) (Estate, error) {
	return newDiscovery(config, report, true).read(ctx)
}

func newDiscovery(config aws.Config, report Progress, plaintext bool) *discovery {
	return &discovery{
		region:     config.Region,
		functions:  lambda.NewFromConfig(config),
		parameters: ssm.NewFromConfig(config),
		containers: ecs.NewFromConfig(config),
		rules:      eventbridge.NewFromConfig(config),
		schedules:  scheduler.NewFromConfig(config),
		identity:   sts.NewFromConfig(config),
		report:     report,
		plaintext:  plaintext,
	}
}

func (d *discovery) read(ctx context.Context) (Estate, error) {
	who, err := d.identity.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Estate{}, fmt.Errorf("find out whose account this is: %w", err)
	}
	d.estate = Estate{Account: aws.ToString(who.Account), Region: d.region}

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.attempt(ctx, spec.ScanLambda, "the functions", d.readFunctions) })
	group.Go(func() error { return d.attempt(ctx, spec.ScanSSM, "the parameters", d.readParameters) })
	group.Go(func() error { return d.readECS(ctx) })
	if err := group.Wait(); err != nil {
		return Estate{}, fmt.Errorf("discover the estate of account %s in %s: %w", d.estate.Account, d.region, err)
	}
	sortUnread(d.estate.Unread)
	return d.estate, nil
}

func sortUnread(unread []Unread) {
	slices.SortFunc(unread, func(a, b Unread) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.ARN, b.ARN), cmp.Compare(a.Reason, b.Reason))
	})
}

// attempt reads something whole. What isn't allowed is noted.
func (d *discovery) attempt(ctx context.Context, place spec.ScanPlace, what string, read func(context.Context) error) error {
	err := read(ctx)
	if denied(err) {
		d.unread(place, "", what+" can't be listed: "+reason(err))
		return nil
	}
	return err
}

func (d *discovery) unread(place spec.ScanPlace, arn, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.estate.Unread = append(d.estate.Unread, Unread{place, arn, reason})
}

func (d *discovery) progress(what string, done, total int) {
	if d.report == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.report(what, done, total)
}
