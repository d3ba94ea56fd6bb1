package rollback

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/aistudio/secrets/migrator/apply/functions"
	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/apply/tasks"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/rollback/script"
)

// Options say what is rolled back. Folder and Key are needed.
type Options struct {
	Folder string     // of the migration, see package journal
	Key    digest.Key // of its digests
	Only   []string   // IDs of services; empty: all
	DryRun bool       // tell what would be done

	// DeleteAfter schedules the secrets that the migration made and no service uses
	// for deletion after so many days, from 7 to 30, in which they can be restored.
	// 0: they stay.
	DeleteAfter int

	Progress steps.Progress // nil: nobody is told

	Sleep functions.Sleep  // how to wait for AWS; nil: in real time
	Now   func() time.Time // for the journal; nil: time.Now
}

// Result is what a rollback did. It holds no values.
type Result struct {
	Stack    string       `json:"stack"`
	DryRun   bool         `json:"dryRun"`
	Steps    []steps.Step `json:"steps"`    // in the order in which they were done
	Complete bool         `json:"complete"` // no step failed
}

// run is one rollback.
type run struct {
	Options
	stack     string
	secrets   secretsAPI
	roles     rolesAPI
	functions *functions.Functions
	tasks     *tasks.Tasks
	journal   *journal.Journal // nil in a dry run
	known     journal.State    // from before the run
	services  []journal.Service
	steps     *steps.Steps
}

// Run rolls back what the journal in the folder tells of, in the account and
// region of the configuration.
//
// What can't be done for one service is a failed step of the result. Run returns
// an error, with what was done so far, when it can't go on at all: there is
// nothing to roll back, another program is at it (journal.ErrLocked), the journal
// can't be written, or the context has ended.
func Run(ctx context.Context, config aws.Config, o Options) (_ Result, err error) {
	r := newRun(config, o)
	if o.DryRun {
		if r.known, err = journal.Read(o.Folder); err != nil {
			return Result{}, err
		}
	} else {
		if r.journal, err = journal.Open(o.Folder, journal.Rollback, r.Now); err != nil {
			return Result{}, err
		}
		defer func() { err = errors.Join(err, r.journal.Close()) }()
		r.known = r.journal.State()
	}
	if err := r.choose(); err != nil {
		return Result{}, err
	}
	err = r.do(ctx)
	return Result{Stack: r.stack, DryRun: o.DryRun, Steps: r.steps.List, Complete: r.steps.Complete}, err
}

func newRun(config aws.Config, o Options) *run {
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &run{
		Options: o, stack: filepath.Base(o.Folder), secrets: secretsmanager.NewFromConfig(config), roles: iam.NewFromConfig(config),
		functions: functions.New(config, o.Sleep), tasks: tasks.New(config, tasks.Sleep(o.Sleep)),
	}
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

// choose finds the services, the last that were switched first. What starts the
// newest revision of a family comes at the end: it goes back when the new
// revision goes, which others must no longer use then.
func (r *run) choose() error {
	var errs []error
	for _, id := range r.Only {
		if _, ok := r.known.Services[id]; !ok {
			errs = append(errs, fmt.Errorf("the migration didn't switch a service %s", id))
		}
	}
	if r.DeleteAfter != 0 && (r.DeleteAfter < 7 || r.DeleteAfter > 30) {
		errs = append(errs, fmt.Errorf("secrets can be deleted after 7 to 30 days, not %d", r.DeleteAfter))
	}
	if r.known.Started.IsZero() {
		errs = append(errs, fmt.Errorf("there is nothing to roll back: %s has no journal", r.Folder))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for id, s := range r.known.Services {
		if s.Live() && (len(r.Only) == 0 || slices.Contains(r.Only, id)) {
			r.services = append(r.services, s)
		}
	}
	last := func(s journal.Service) int {
		if s.Follows {
			return 1
		}
		return 0
	}
	slices.SortFunc(r.services, func(a, b journal.Service) int {
		if d := last(a) - last(b); d != 0 {
			return d
		}
		if a.Wave != b.Wave {
			return b.Wave - a.Wave
		}
		return strings.Compare(b.ID, a.ID)
	})
	return nil
}

func (r *run) do(ctx context.Context) error {
	grants, secrets := r.grants(), r.deletable()
	r.steps = steps.New(len(r.services)+len(grants)+len(secrets), r.Progress)
	for _, s := range r.services {
		err := r.steps.Do(ctx, steps.Step{Action: "service", Subject: s.ID, Wave: s.Wave}, func() (steps.Outcome, string, error) { return r.service(ctx, s) })
		if err != nil {
			return err
		}
	}
	for _, g := range grants {
		err := r.steps.Do(ctx, steps.Step{Action: "grant", Subject: g.Role}, func() (steps.Outcome, string, error) { return r.revoke(ctx, g) })
		if err != nil {
			return err
		}
	}
	for _, s := range secrets {
		err := r.steps.Do(ctx, steps.Step{Action: "secret", Subject: s.Name}, func() (steps.Outcome, string, error) { return r.remove(ctx, s) })
		if err != nil {
			return err
		}
	}
	return nil
}

// record writes to the journal, without which nothing may go on, and keeps the
// script up with it.
func (r *run) record(e journal.Entry) error {
	if err := r.journal.Record(e); err != nil {
		return steps.Fatal(err)
	}
	if e.Service == nil {
		return nil
	}
	return steps.Fatal(script.Write(r.Folder, r.journal.State()))
}

// using names a service that is still at the new secrets and for which the
// condition holds, or "". In a dry run, those that would be rolled back are.
func (r *run) using(condition func(journal.Service) bool) string {
	services := r.known.Services
	if r.journal != nil {
		services = r.journal.State().Services
	}
	for id, s := range services {
		goes := r.journal == nil && r.steps.Failed[id] == "" && slices.ContainsFunc(r.services, func(x journal.Service) bool { return x.ID == id })
		if s.Live() && !goes && condition(s) {
			return id
		}
	}
	return ""
}

// service brings a service back.
func (r *run) service(ctx context.Context, s journal.Service) (steps.Outcome, string, error) {
	if s.Status == journal.Cleaning || s.Status == journal.Cleaned {
		return "", "", errors.New("its cleanup has begun, so there is no way back by a rollback: its old values are in the versions of the secrets that the journal names, and in the cleanup's export")
	}
	for _, name := range secretsOf(s) {
		if err := r.unrotated(ctx, name); err != nil {
			return "", "", err
		}
	}
	if s.Kind == plan.LambdaFunction {
		return r.function(ctx, s)
	}
	return r.task(ctx, s)
}

func secretsOf(s journal.Service) []string {
	var names []string
	for _, v := range s.Variables {
		names = append(names, v.Secret)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// begin writes down that the service is being restored.
func (r *run) begin(s journal.Service) error {
	s.Status, s.Problem = journal.Restoring, ""
	return r.record(journal.Entry{Service: &s})
}

// done writes down that the service is as it was.
func (r *run) done(s journal.Service) error {
	s.Status, s.Problem = journal.Restored, ""
	return r.record(journal.Entry{Service: &s})
}
