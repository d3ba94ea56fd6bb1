package cleanup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aistudio/secrets/migrator/apply"
	"github.com/aistudio/secrets/migrator/apply/functions"
	"github.com/aistudio/secrets/migrator/apply/refusal"
	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/apply/tasks"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/rollback/script"
)

// DefaultKeep is how long the export of the parameters is kept.
const DefaultKeep = 30 * 24 * time.Hour

// Options say what is cleaned up. Folder, Key, Plan and Validated are needed.
type Options struct {
	Folder string     // of the migration, see package journal
	Key    digest.Key // of its digests
	Plan   plan.Plan  // tells the KMS key, and the parameters that no service names
	DryRun bool       // tell what would be done

	// Validated returns nil if the migration has been validated: its services have
	// done without their old values for the soak time. Its error is returned.
	Validated func(context.Context) error

	Keep     time.Duration // how long the export is kept at least; 0: DefaultKeep
	Versions bool          // delete published versions of functions that hold plaintext and that no alias names

	// Readers are names of roles whose reads of parameters count for nothing, such as
	// those of people. The caller's own never count, nor do those of the daily scans.
	Readers []string

	// Healthy judges a service that was changed, besides Lambda's and ECS's own
	// signs. Nil: nobody does.
	Healthy func(context.Context, plan.Service) error

	Progress steps.Progress    // nil: nobody is told
	Reading  discover.Progress // of the estate; nil: nobody is told

	Sleep functions.Sleep  // how to wait for AWS; nil: in real time
	Now   func() time.Time // for the journal and the export; nil: time.Now
}

// Remain is something that still holds plaintext.
type Remain struct {
	Subject string   `json:"subject"` // ARN of the version, revision or parameter
	Holds   []string `json:"holds"`   // names of its variables; empty: a parameter
	Why     string   `json:"why"`     // why it wasn't removed
	Remedy  string   `json:"remedy"`  // what to do
}

// Result is what a cleanup did. It holds no values.
type Result struct {
	Stack    string       `json:"stack"`
	DryRun   bool         `json:"dryRun"`
	Steps    []steps.Step `json:"steps"`    // in the order in which they were done
	Remains  []Remain     `json:"remains"`  // what still holds plaintext, by subject
	Export   string       `json:"export"`   // file with the deleted parameters; "": there are none
	Complete bool         `json:"complete"` // no step failed
}

// run is one cleanup.
type run struct {
	Options
	config     aws.Config
	parameters parametersAPI
	keys       keysAPI
	trail      trailAPI
	functions  functionsAPI
	identity   identityAPI
	tasks      *tasks.Tasks
	journal    *journal.Journal // nil in a dry run
	known      journal.State    // from before the run
	me         string           // the role or user that cleans up, ARN
	estate     discover.Estate
	export     string
	steps      *steps.Steps
	remains    []Remain
}

// Run cleans the migration in the folder up, in the account and region of the
// configuration, whose calls should wait for AWS's quotas (package quota).
//
// What can't be done for one thing is a failed step of the result. Run returns an
// error, with what was done so far, when it can't go on at all: the migration
// isn't validated, another program is at it (journal.ErrLocked), the journal can't
// be written, or the context has ended.
func Run(ctx context.Context, config aws.Config, o Options) (_ Result, err error) {
	r, err := newRun(config, o)
	if err != nil {
		return Result{}, err
	}
	if err := r.whoAmI(ctx); err != nil {
		return Result{}, err
	}
	if err := o.Validated(ctx); err != nil {
		return Result{}, fmt.Errorf("the migration isn't validated, so nothing is removed: %w", err)
	}
	if o.DryRun {
		if r.known, err = journal.Read(o.Folder); err != nil {
			return Result{}, err
		}
	} else {
		if r.journal, err = journal.Open(o.Folder, journal.Cleanup, r.Now); err != nil {
			return Result{}, err
		}
		defer func() { err = errors.Join(err, r.journal.Close()) }()
		r.known = r.journal.State()
	}
	err = r.do(ctx)
	slices.SortFunc(r.remains, func(a, b Remain) int { return cmp.Compare(a.Subject, b.Subject) })
	return Result{
		Stack: filepath.Base(o.Folder), DryRun: o.DryRun, Steps: r.steps.List, Remains: r.remains, Export: r.export, Complete: r.steps.Complete,
	}, err
}

func newRun(config aws.Config, o Options) (*run, error) {
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Keep == 0 {
		o.Keep = DefaultKeep
	}
	switch {
	case o.Keep < 0:
		return nil, fmt.Errorf("the export can't be kept for %s: it has the only copy of the parameters", o.Keep)
	case o.Validated == nil:
		return nil, errors.New("nobody says whether the migration is validated")
	case o.Plan.KMSKey == "":
		return nil, errors.New("the plan names no KMS key for the export of the parameters")
	}
	return &run{
		Options: o, config: config, parameters: ssm.NewFromConfig(config), keys: kms.NewFromConfig(config), trail: cloudtrail.NewFromConfig(config),
		functions: lambda.NewFromConfig(config), identity: sts.NewFromConfig(config), tasks: tasks.New(config, tasks.Sleep(o.Sleep)),
		steps: steps.New(0, o.Progress), remains: []Remain{},
	}, nil
}

// whoAmI finds out who cleans up, and refuses another account than the plan's, in
// which nothing of the migration is there.
func (r *run) whoAmI(ctx context.Context) error {
	me, err := r.identity.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return fmt.Errorf("find out who cleans up: %w", refusal.Of(err))
	}
	if account := aws.ToString(me.Account); account != r.Plan.Account || r.config.Region != r.Plan.Region {
		return fmt.Errorf("the plan is for account %s in %s, and the credentials and region are those of account %s in %s: use the plan's", r.Plan.Account, r.Plan.Region, account, r.config.Region)
	}
	r.me = sessionRole(aws.ToString(me.Arn))
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// do does what can still be undone first.
func (r *run) do(ctx context.Context) error {
	services := r.services()
	if err := r.finish(ctx, services); err != nil {
		return err
	}
	var err error
	if r.estate, err = discover.Read(ctx, r.config, r.Reading); err != nil {
		return err
	}
	if err := r.removeParameters(ctx); err != nil {
		return err
	}
	if err := r.removeRevisions(ctx); err != nil {
		return err
	}
	if err := r.removeVersions(ctx); err != nil {
		return err
	}
	if r.DryRun {
		return nil
	}
	if err := r.close(services); err != nil {
		return err
	}
	return r.prune()
}

// services are those that the migration switched, in the order of their waves.
func (r *run) services() []journal.Service {
	var list []journal.Service
	for _, s := range r.known.Services {
		if s.Live() {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b journal.Service) int { return cmp.Or(a.Wave-b.Wave, strings.Compare(a.ID, b.ID)) })
	return list
}

// finish takes the old variables out of the services.
func (r *run) finish(ctx context.Context, services []journal.Service) error {
	finisher := apply.NewFinisher(r.config, r.Folder, r.Key, r.journal, r.known, r.Healthy, r.Sleep)
	for _, s := range services {
		err := r.steps.Do(ctx, steps.Step{Action: "service", Subject: s.ID, Wave: s.Wave}, func() (steps.Outcome, string, error) {
			switch s.Status {
			case journal.Cleaned, journal.Cleaning:
				return steps.Already, "", nil
			case journal.Restoring, journal.Returning:
				return "", "", errors.New("it is on its way back: run the rollback again, which completes it, or apply again")
			}
			if !s.Done() && s.Mode != plan.Final {
				return "", "", errors.New("its switch isn't complete: apply again, validate, and clean up then")
			}
			return finisher.Finish(ctx, s)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// begin says that there is no way back for the services from here on.
func (r *run) begin(services []journal.Service) error {
	for _, s := range services {
		now := r.journal.Service(s.ID)
		if now.Status == journal.Cleaning || now.Status == journal.Cleaned {
			continue
		}
		now.Status = journal.Cleaning
		if err := r.record(journal.Entry{Service: &now}); err != nil {
			return err
		}
	}
	return nil
}

// close says which services are cleaned up: those of which nothing failed.
func (r *run) close(services []journal.Service) error {
	var done []journal.Service
	for _, s := range services {
		if r.steps.Failed[s.ID] == "" && !slices.ContainsFunc(s.Variables, func(v journal.Variable) bool { return v.Parameter != "" && r.steps.Failed[v.Parameter] != "" }) {
			done = append(done, s)
		}
	}
	if err := r.begin(done); err != nil {
		return err
	}
	for _, s := range done {
		now := r.journal.Service(s.ID)
		if now.Status == journal.Cleaned {
			continue
		}
		now.Status = journal.Cleaned
		if err := r.record(journal.Entry{Service: &now}); err != nil {
			return err
		}
	}
	return nil
}

// record writes to the journal, without which nothing may go on, and keeps the
// rollback script up with it.
func (r *run) record(e journal.Entry) error {
	err := r.journal.Record(e)
	if err == nil && e.Service != nil {
		err = script.Write(r.Folder, r.journal.State())
	}
	return steps.Fatal(err)
}
