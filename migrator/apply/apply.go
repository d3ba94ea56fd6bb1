package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aistudio/secrets/migrator/apply/functions"
	"github.com/aistudio/secrets/migrator/apply/places"
	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/apply/tasks"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/rollback/script"
)

// Options say what of a plan is applied, and how. Folder and Key are needed.
type Options struct {
	Folder string     // of the migration, see package journal
	Key    digest.Key // of the plan's digests
	Mode   plan.Mode  // instead of the plan's; "": the plan's
	Wave   int        // this one alone, if those before are healthy; 0: all
	Only   []string   // IDs of services, whatever their wave, and the secrets that they need; empty: all
	DryRun bool       // tell what would be done

	// Healthy judges a service that was switched, besides Lambda's and ECS's own
	// signs. Its error is shown. Nil: nobody does.
	Healthy func(context.Context, plan.Service) error

	// Progress is told of each step when it is done: how many are, and of how many.
	// It is called by one goroutine at a time. Nil: nobody is.
	Progress steps.Progress

	Sleep functions.Sleep  // how to wait for AWS; nil: in real time
	Now   func() time.Time // for the journal; nil: time.Now
}

// Step is a step of an apply.
type Step = steps.Step

// Outcome is what became of a step.
type Outcome = steps.Outcome

// The outcomes.
const (
	Done    = steps.Done
	Already = steps.Already
	Would   = steps.Would
	Failed  = steps.Failed
)

// Result is what an apply did. It holds no values.
type Result struct {
	Stack    string    `json:"stack"`
	Mode     plan.Mode `json:"mode"`
	DryRun   bool      `json:"dryRun"`
	Steps    []Step    `json:"steps"`    // in the order in which they were done
	Complete bool      `json:"complete"` // no step failed and none was held up
}

// ChangedError is returned when the estate is no longer what the plan was made
// from. Nothing was written.
type ChangedError struct{ Changes []string }

// Error lists the changes, one a line.
func (e *ChangedError) Error() string {
	return "the plan no longer fits the estate, nothing was written: make a new plan. What changed:\n  " + strings.Join(e.Changes, "\n  ")
}

// run is one apply.
type run struct {
	Options
	plan      plan.Plan
	secrets   secretsAPI
	roles     rolesAPI
	identity  identityAPI
	functions *functions.Functions
	tasks     *tasks.Tasks
	places    *places.Reader
	journal   *journal.Journal // nil in a dry run
	known     known
	selection selection

	steps  *steps.Steps
	proved map[string]bool // secrets that were read and are right

	granted bool // a role just got a policy
}

// Run applies the plan in the account and region of the configuration, whose
// calls should wait for AWS's quotas (package quota).
//
// What can't be done for one secret or one service is a failed step of the result
// and doesn't hold up what doesn't need it. Run returns an error, with what was
// done so far, when it can't go on at all: the plan doesn't fit (ChangedError) or
// is made for something else, another program is at it (journal.ErrLocked), the
// journal can't be written, or the context has ended.
func Run(ctx context.Context, config aws.Config, p plan.Plan, o Options) (_ Result, err error) {
	r, err := newRun(config, p, o)
	if err != nil {
		return Result{}, err
	}
	if o.DryRun {
		if r.known, err = journal.Read(o.Folder); err != nil {
			return Result{}, err
		}
		err = r.do(ctx)
		return r.result(), err
	}
	if r.journal, err = journal.Open(o.Folder, journal.Apply, r.Now); err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, r.journal.Close()) }()
	r.known = r.journal
	err = r.do(ctx)
	return r.result(), err
}

func (r *run) result() Result {
	return Result{Stack: r.plan.Stack, Mode: r.Mode, DryRun: r.DryRun, Steps: r.steps.List, Complete: r.steps.Complete}
}

// known is what a journal tells of earlier runs.
type known interface {
	Secret(name string) journal.Secret
	Grant(key string) journal.Grant
	Service(id string) journal.Service
}

func newRun(config aws.Config, p plan.Plan, o Options) (*run, error) {
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Mode == "" {
		o.Mode = p.Mode
	}
	f := functions.New(config, o.Sleep)
	r := &run{
		Options: o, plan: p,
		secrets: secretsmanager.NewFromConfig(config), roles: iam.NewFromConfig(config), identity: sts.NewFromConfig(config),
		functions: f, tasks: tasks.New(config, tasks.Sleep(o.Sleep)), places: places.New(config, f),
		proved: map[string]bool{},
	}
	var err error
	if r.selection, err = choose(p, o); err != nil {
		return nil, err
	}
	if config.Region != p.Region {
		return nil, fmt.Errorf("the plan is for %s and not for %s", p.Region, config.Region)
	}
	r.steps = steps.New(len(r.selection.secrets)+len(r.selection.grants)+len(r.selection.services), o.Progress)
	return r, nil
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

func (r *run) do(ctx context.Context) error {
	if err := r.preflight(ctx); err != nil {
		return err
	}
	for _, s := range r.selection.secrets {
		if err := r.steps.Do(ctx, Step{Action: "secret", Subject: s.Name}, func() (Outcome, string, error) { return r.secret(ctx, s) }); err != nil {
			return err
		}
	}
	for _, g := range r.selection.grants {
		if err := r.steps.Do(ctx, Step{Action: "grant", Subject: g.Role}, func() (Outcome, string, error) { return r.grant(ctx, g) }); err != nil {
			return err
		}
	}
	return r.waves(ctx)
}

// waves switches the services of one wave after those of another, as long as
// all do well.
func (r *run) waves(ctx context.Context) error {
	if r.granted && len(r.selection.services) > 0 {
		if err := r.Sleep(ctx, policyArrives); err != nil {
			return fmt.Errorf("stopped before the services: run again to go on: %w", err)
		}
	}
	wave, held := 0, ""
	for _, s := range r.selection.services {
		if s.Wave != wave && len(r.Only) == 0 {
			wave, held = s.Wave, r.unhealthyBefore(ctx, s.Wave)
		}
		err := r.steps.Do(ctx, Step{Action: "service", Subject: s.ID, Wave: s.Wave}, func() (Outcome, string, error) {
			if held != "" {
				return "", "", fmt.Errorf("held up: %s of an earlier wave isn't at its new secrets and healthy", held)
			}
			return r.service(ctx, s)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unhealthyBefore names a service of an earlier wave that isn't healthy, or "".
// One that was out of order before the migration came to it says nothing about
// the migration, and doesn't count.
func (r *run) unhealthyBefore(ctx context.Context, wave int) string {
	for _, s := range r.plan.Services {
		if s.Wave >= wave || r.selection.out(s) {
			continue
		}
		known := r.known.Service(s.ID)
		failed := r.steps.Failed[s.ID] != ""
		untouched := !known.Live() && known.Status != journal.Returned
		if !failed && (r.DryRun || known.Done()) || untouched && r.outOfOrder(ctx, s) {
			continue
		}
		return s.ID
	}
	return ""
}

// outOfOrder tells whether a service is in a state in which it can't be switched.
func (r *run) outOfOrder(ctx context.Context, s plan.Service) bool {
	switch s.Kind {
	case plan.LambdaFunction:
		_, err := r.functions.Read(ctx, s.ARN, "")
		return errors.Is(err, functions.ErrUnready)
	case plan.ECSService:
		unsteady := &tasks.UnsteadyError{}
		return errors.As(r.tasks.Failing(ctx, s.Cluster, s.ARN), &unsteady)
	default:
		return false
	}
}

// record writes to the journal, without which nothing may go on. The rollback
// script is kept up with it, so that it undoes a switch before that begins.
func (r *run) record(e journal.Entry) error {
	err := r.journal.Record(e)
	if err == nil && e.Service != nil {
		err = script.Write(r.Folder, r.journal.State())
	}
	return steps.Fatal(err)
}

// selection is what of a plan is to be applied.
type selection struct {
	secrets  []plan.Secret
	grants   []plan.Grant
	services []plan.Service
	left     map[string]bool // secrets that are left out, by name
	blocked  map[string]plan.Block
}

// out tells whether no apply of this plan switches the service.
func (s selection) out(service plan.Service) bool {
	return service.Skip != "" || s.blocked[service.ID].Code != "" || len(s.variables(service)) == 0
}

// variables are those of the service whose secrets are made.
func (s selection) variables(service plan.Service) []plan.Variable {
	return slices.DeleteFunc(slices.Clone(service.Variables), func(v plan.Variable) bool { return s.left[v.Secret] })
}

func choose(p plan.Plan, o Options) (selection, error) {
	s := selection{left: map[string]bool{}, blocked: map[string]plan.Block{}}
	for _, b := range p.Blocked {
		s.blocked[b.Subject] = b
	}
	for _, secret := range p.Secrets {
		if secret.Skip != "" || s.blocked[secret.Name].Code != "" {
			s.left[secret.Name] = true
		}
	}
	var errs []error
	if o.Mode != plan.DualRead && o.Mode != plan.Final {
		errs = append(errs, fmt.Errorf("mode %q is neither %s nor %s", o.Mode, plan.DualRead, plan.Final))
	}
	if p.Version != plan.Version {
		errs = append(errs, fmt.Errorf("the plan's format is %d, and this program reads %d: make a new plan", p.Version, plan.Version))
	}
	if o.Wave < 0 || o.Wave > 0 && !slices.ContainsFunc(p.Services, func(x plan.Service) bool { return x.Wave == o.Wave }) {
		errs = append(errs, fmt.Errorf("the plan has no wave %d", o.Wave))
	}
	for _, id := range o.Only {
		i := slices.IndexFunc(p.Services, func(x plan.Service) bool { return x.ID == id })
		switch {
		case i < 0:
			errs = append(errs, fmt.Errorf("the plan has no service %s", id))
		case p.Services[i].Skip != "":
			errs = append(errs, fmt.Errorf("service %s is skipped in the plan: %s", id, p.Services[i].Skip))
		case s.blocked[id].Code != "":
			errs = append(errs, fmt.Errorf("service %s is blocked: %s %s", id, s.blocked[id].Problem, s.blocked[id].Remedy))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return selection{}, err
	}
	needed, roles := map[string]bool{}, map[string]bool{}
	for _, service := range p.Services {
		if s.out(service) || o.Wave > 0 && service.Wave != o.Wave || len(o.Only) > 0 && !slices.Contains(o.Only, service.ID) {
			continue
		}
		s.services = append(s.services, service)
		roles[service.Role] = true
		for _, v := range s.variables(service) {
			needed[v.Secret] = true
		}
	}
	all := o.Wave == 0 && len(o.Only) == 0
	for _, secret := range p.Secrets {
		if !s.left[secret.Name] && (all || needed[secret.Name]) {
			s.secrets = append(s.secrets, secret)
		}
	}
	for _, g := range p.Grants {
		if roles[g.Role] {
			s.grants = append(s.grants, g)
		}
	}
	slices.SortStableFunc(s.services, func(a, b plan.Service) int { return a.Wave - b.Wave })
	return s, nil
}
