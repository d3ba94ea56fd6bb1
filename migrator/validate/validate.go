package validate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/plan"
)

// DefaultSoak is how long services do without their old values before the
// migration counts as valid (ADR-006, phase 5: "Monitor for 24 hours").
const DefaultSoak = 24 * time.Hour

// atOnce is the number of secrets or services under way. The quotas decide how
// fast they go.
const atOnce = 8

// Options say what is validated.
type Options struct {
	Plan plan.Plan
	Key  digest.Key // that the plan's digests were made with

	// Soak is how long services must have done without their old values.
	// Negative: DefaultSoak; zero: they needn't have.
	Soak time.Duration

	// Only are the IDs of the services to look at, with the secrets that they
	// use. Empty: all.
	Only []string

	// Switched tells when each service was switched to the secrets, by its ID, as
	// the migration's journal has it. Where it has nothing, AWS's own time of the
	// last change stands in.
	Switched map[string]time.Time

	// Versions are the versions that the migration wrote, by the secret's name: a
	// newer one is a rotation's.
	Versions map[string]string

	// Left are services that the journal has as switched and the plan no longer has.
	// Where one is still there, nobody knows how it does: the plan is to tell. Only
	// their ID, Kind, ARN, Cluster and How count.
	Left []plan.Service

	// Progress is told how many secrets and services are done of how many. It may
	// be nil, and is called by one goroutine at a time.
	Progress func(done, total int)
}

// validation is one validation.
type validation struct {
	Options
	config     aws.Config
	secretAPI  secretReader
	functions  functionReader
	tasks      taskReader
	rules      ruleReader
	schedules  scheduleReader
	parameters parameterReader
	roles      simulator
	keys       keyReader
	metrics    cloudwatch.GetMetricDataAPIClient
	trail      cloudtrail.LookupEventsAPIClient

	report  Report
	now     time.Time
	secrets map[string]*secret // by name
	readers readers

	mu   sync.Mutex // guards report.Checks and done
	done int
	all  int
}

// Run validates a plan. It only reads, values too, as the caller and as the
// services' roles where it may take them on. The configuration's region must be
// the plan's; pass one that the package quota has made.
//
// What can't be found out is in the report. It fails if AWS can't be asked at
// all, if the plan is another account's, or if Only names a service that the
// plan doesn't have.
func Run(ctx context.Context, config aws.Config, o Options) (Report, error) {
	if o.Soak < 0 {
		o.Soak = DefaultSoak
	}
	v := &validation{
		Options:    o,
		config:     config,
		secretAPI:  secretsmanager.NewFromConfig(config),
		functions:  lambda.NewFromConfig(config),
		tasks:      ecs.NewFromConfig(config),
		rules:      eventbridge.NewFromConfig(config),
		schedules:  scheduler.NewFromConfig(config),
		parameters: ssm.NewFromConfig(config),
		roles:      iam.NewFromConfig(config),
		keys:       kms.NewFromConfig(config),
		metrics:    cloudwatch.NewFromConfig(config),
		trail:      cloudtrail.NewFromConfig(config),
	}
	if err := v.begin(ctx); err != nil {
		return Report{}, err
	}
	if err := v.checkSecrets(ctx); err != nil {
		return Report{}, err
	}
	if err := v.checkServices(ctx); err != nil {
		return Report{}, err
	}
	now, _, err := Now(ctx, config)
	if err != nil {
		return Report{}, err
	}
	v.report.Finished = now
	sortChecks(v.report.Checks)
	return v.report, nil
}

// Now returns AWS's time, and the account that the configuration's credentials
// belong to. What AWS notes down bears its time, not this machine's.
func Now(ctx context.Context, config aws.Config) (now time.Time, account string, err error) {
	out, err := sts.NewFromConfig(config).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return time.Time{}, "", fmt.Errorf("find out whose account this is: %w", err)
	}
	now, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if !ok {
		now = time.Now()
	}
	return now.UTC(), aws.ToString(out.Account), nil
}

func (v *validation) begin(ctx context.Context) error {
	now, account, err := Now(ctx, v.config)
	if err != nil {
		return err
	}
	p := v.Plan
	if account != p.Account || v.config.Region != p.Region {
		return fmt.Errorf("the plan is for account %s in %s, and the credentials and region are those of account %s in %s: use the plan's", p.Account, p.Region, account, v.config.Region)
	}
	var unknown []string
	for _, id := range v.Only {
		if !slices.ContainsFunc(p.Services, func(s plan.Service) bool { return s.ID == id }) {
			unknown = append(unknown, id)
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("the plan has no service %s", strings.Join(unknown, ", "))
	}
	v.now = now
	v.report = Report{Version: Version, Stack: p.Stack, Account: account, Region: p.Region, Started: now, Soak: v.Soak, Only: v.Only, Checks: []Check{}}
	for _, at := range v.Switched {
		if at.After(v.report.Switched) {
			v.report.Switched = at
		}
	}
	v.all = len(v.wantedSecrets()) + len(v.wantedServices())
	return nil
}

// wantedServices are the services of the plan that a person hasn't left out.
func (v *validation) wantedServices() []plan.Service {
	var wanted []plan.Service
	for _, s := range v.Plan.Services {
		if s.Skip == "" && (len(v.Only) == 0 || slices.Contains(v.Only, s.ID)) {
			wanted = append(wanted, s)
		}
	}
	return wanted
}

// wantedSecrets are the secrets of the plan that a person hasn't left out and
// that a wanted service reads; all of them if every service is wanted.
func (v *validation) wantedSecrets() []plan.Secret {
	var wanted []plan.Secret
	for _, s := range v.Plan.Secrets {
		used := len(v.Only) == 0 || slices.ContainsFunc(v.wantedServices(), func(service plan.Service) bool {
			return slices.ContainsFunc(service.Variables, func(variable plan.Variable) bool { return variable.Secret == s.Name })
		})
		if s.Skip == "" && used {
			wanted = append(wanted, s)
		}
	}
	return wanted
}

// blocked returns what blocks a secret or a service, or nil.
func (v *validation) blocked(subject string) *plan.Block {
	for i, b := range v.Plan.Blocked {
		if b.Subject == subject {
			return &v.Plan.Blocked[i]
		}
	}
	return nil
}

func (v *validation) add(checks ...Check) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.report.Checks = append(v.report.Checks, checks...)
}

func (v *validation) step() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.done++
	if v.Progress != nil {
		v.Progress(v.done, v.all)
	}
}

// each does something for all, some at once.
func each[T any](ctx context.Context, all []T, do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, one := range all {
		group.Go(func() error { return do(ctx, one) })
	}
	return group.Wait()
}

// code is the code of an error of AWS, whose text may quote what was sent.
func code(err error) string {
	if api := smithy.APIError(nil); errors.As(err, &api) {
		return api.ErrorCode()
	}
	return "no answer"
}

// answered tells whether the error is AWS's, and not the network's.
func answered(err error) bool {
	api := smithy.APIError(nil)
	return errors.As(err, &api)
}

func gone(err error) bool {
	return slices.Contains([]string{
		"ResourceNotFoundException", "ParameterNotFound", "NoSuchEntity", "ServiceNotFoundException", "ClusterNotFoundException",
	}, code(err))
}
