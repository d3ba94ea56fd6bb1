package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aistudio/secrets/migrator/apply/tasks"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

// runsTask returns the task definition that a service, a rule's target or a
// schedule starts, as it stands.
func (r *run) runsTask(ctx context.Context, s plan.Service) (string, error) {
	switch s.Kind {
	case plan.ECSService:
		return r.tasks.Running(ctx, s.Cluster, s.ARN)
	case plan.RuleTask:
		return r.tasks.RuleTarget(ctx, s.ARN, tasks.TargetID(s.ID))
	default:
		return r.tasks.ScheduleTarget(ctx, s.ARN)
	}
}

// taskFits tells whether what isn't switched yet is as the plan has it.
func (r *run) taskFits(ctx context.Context, s plan.Service) error {
	at, err := r.runsTask(ctx, s)
	if err != nil {
		return err
	}
	if at != s.TaskDefinition && at != tasks.FamilyOf(s.TaskDefinition) {
		return &differs{"it starts " + at + " and not " + s.TaskDefinition}
	}
	base, err := r.tasks.Definition(ctx, s.TaskDefinition)
	if err != nil {
		return err
	}
	if err := r.definitionFits(base, r.moving(s, journal.Service{})); err != nil || at == s.TaskDefinition {
		return err
	}
	// It starts the newest revision, whichever that is.
	newest, err := r.tasks.Definition(ctx, at)
	switch {
	case err != nil:
		return err
	case newest.ARN != base.ARN && r.selection.registered(r.known, newest.ARN) == "":
		return &differs{"it starts " + newest.ARN + " and not " + s.TaskDefinition}
	}
	return nil
}

// registered names a service for which the migration registered the revision, or
// "".
func (s selection) registered(k known, arn string) string {
	for _, service := range s.services {
		if slices.Contains(k.Service(service.ID).Versions, arn) {
			return service.ID
		}
	}
	return ""
}

func (r *run) definitionFits(d tasks.Definition, variables []journal.Variable) error {
	for _, v := range variables {
		name := "variable " + v.Name + " of container " + v.Container
		if from, injected := d.Injected(v.Container, v.Name); injected {
			if v.Parameter == "" || !namesParameter(from, v.Parameter) {
				return &differs{name + " is injected from something else"}
			}
			continue
		}
		value, there := d.Value(v.Container, v.Name)
		switch {
		case !there:
			return &differs{name + " is gone"}
		case v.Parameter != "" && !namesParameter(value.RevealString(), v.Parameter):
			return &differs{name + " no longer names the parameter " + v.Parameter}
		case v.Parameter == "" && r.Key.Of(value) != v.Digest:
			return &differs{name + " has another value"}
		}
		if reference, there := d.Value(v.Container, v.Name+spec.ReferenceSuffix); there && reference.RevealString() != v.Reference {
			return &differs{name + spec.ReferenceSuffix + " is in use for something else"}
		}
	}
	return nil
}

// injecting writes down what ECS injects the variables from: the secrets' ARNs.
func (r *run) injecting(s plan.Service, d tasks.Definition, variables []journal.Variable) error {
	for i, v := range variables {
		if from, injected := d.Injected(v.Container, v.Name); injected && v.Old == "" {
			variables[i].Old = from
		} else if v.Parameter != "" && v.Old == "" {
			value, _ := d.Value(v.Container, v.Name)
			variables[i].Old = value.RevealString()
		}
		if s.How != plan.ByInjection {
			continue
		}
		if _, injected := d.Injected(v.Container, v.Name); v.Parameter != "" && !injected {
			return fmt.Errorf("variable %s of container %s holds the name of a parameter, so its program wants to read by itself: choose the way %q for this service", v.Name, v.Container, plan.ByReference)
		}
		arn := r.known.Secret(v.Secret).ARN
		if arn == "" && !r.DryRun {
			return fmt.Errorf("its secret %s isn't there", v.Secret)
		}
		variables[i].Reference = plan.Variable{Field: v.Field}.ValueFrom(arn)
	}
	return nil
}

// switching is the definition with the secrets in the place of the values.
func switching(s plan.Service, d tasks.Definition, variables []journal.Variable, mode plan.Mode) tasks.Definition {
	for _, v := range variables {
		if s.How == plan.ByInjection {
			d = d.Injecting(v.Container, v.Name, v.Reference)
			continue
		}
		d = d.With(v.Container, v.Name+spec.ReferenceSuffix, v.Reference)
		// Tasks don't know by themselves what they are called, and count by that.
		d = withDefault(d, v.Container, spec.EnvService, s.ID[strings.IndexByte(s.ID, '/')+1:])
		if mode == plan.Final {
			d = d.Without(v.Container, v.Name)
			continue
		}
		d = withDefault(d, v.Container, spec.EnvDualRead, compareMode)
	}
	return d
}

// withDefault sets a variable that isn't there.
func withDefault(d tasks.Definition, container, variable, text string) tasks.Definition {
	if _, there := d.Value(container, variable); there {
		return d
	}
	return d.With(container, variable, text)
}

// switchTask registers a revision with the secrets and lets the service, the
// rule or the schedule start it.
func (r *run) switchTask(ctx context.Context, s plan.Service, known journal.Service) (journal.Service, error) {
	at, err := r.runsTask(ctx, s)
	if err != nil {
		return known, err
	}
	old := s.TaskDefinition
	if known.Live() {
		old = known.Old
	}
	next := r.begin(s, known, r.moving(s, known))
	next.Old, next.Follows = old, at == tasks.FamilyOf(old)
	if !known.Live() {
		next.New, next.Versions = "", nil
	}
	ours := append([]string{old}, next.Versions...)
	if !next.Follows && !slices.Contains(ours, at) {
		return known, fmt.Errorf("it starts %s, which somebody else deployed since the plan was made, and stays as it is: make a new plan", at)
	}
	base, err := r.tasks.Definition(ctx, old)
	if err != nil {
		return known, err
	}
	if !known.Live() && !base.Active() {
		// ECS doesn't let a service go to such a revision (Amazon ECS API reference,
		// DeregisterTaskDefinition).
		return known, fmt.Errorf("%s was deregistered, so there would be no way back to it: deploy an active revision, and make a new plan", old)
	}
	if !known.Live() && s.Kind == plan.ECSService {
		if err := r.tasks.Failing(ctx, s.Cluster, s.ARN); err != nil {
			return known, fmt.Errorf("it wasn't switched: %w: see the service's events, and run again when it is mended", err)
		}
	}
	if err := r.definitionFits(base, next.Variables); err != nil {
		return known, err
	}
	if err := r.injecting(s, base, next.Variables); err != nil {
		return known, err
	}
	wanted := switching(s, base, next.Variables, next.Mode)
	if err := r.newestFits(ctx, next, base, wanted); err != nil || r.DryRun {
		return next, err
	}
	if err := r.record(journal.Entry{Service: &next}); err != nil {
		return known, err
	}
	fresh, err := r.tasks.Register(ctx, wanted, base.Revision)
	if err != nil {
		return known, err
	}
	next.New = fresh.ARN
	if !slices.Contains(next.Versions, fresh.ARN) {
		next.Versions = append(slices.Clone(next.Versions), fresh.ARN)
	}
	if err := r.record(journal.Entry{Service: &next}); err != nil {
		return known, err
	}
	if err := r.deploy(ctx, next, append(ours, next.Versions...)); err != nil {
		return known, err
	}
	next.Status = journal.Switched
	return next, r.record(journal.Entry{Service: &next})
}

// newestFits tells whether what starts the newest revision starts the old one, or
// one that is as it is to be.
func (r *run) newestFits(ctx context.Context, next journal.Service, base, wanted tasks.Definition) error {
	if !next.Follows {
		return nil
	}
	newest, err := r.tasks.Definition(ctx, tasks.FamilyOf(next.Old))
	switch {
	case err != nil:
		return err
	case newest.ARN != base.ARN && !newest.Same(wanted) && !slices.Contains(next.Versions, newest.ARN):
		return fmt.Errorf("it starts the newest revision, which is %s since the plan was made, and stays as it is: make a new plan", newest.ARN)
	}
	return nil
}

// deploy lets the new revision be started.
func (r *run) deploy(ctx context.Context, s journal.Service, from []string) error {
	switch {
	case s.Follows:
		return nil // it started the new one when that was registered
	case s.Kind == plan.RuleTask:
		return r.tasks.PointRule(ctx, s.ARN, tasks.TargetID(s.ID), from, s.New)
	case s.Kind == plan.ScheduledTask:
		return r.tasks.PointSchedule(ctx, s.ARN, from, s.New)
	}
	if _, err := r.tasks.Settled(ctx, s.Cluster, s.ARN); err != nil {
		return r.unsettled(ctx, s, err)
	}
	err := r.tasks.Deploy(ctx, s.Cluster, s.ARN, from, s.New)
	if unsteady := (&tasks.UnsteadyError{}); errors.As(err, &unsteady) {
		return r.goBack(ctx, s, err)
	}
	return err
}

// unsettled is for a service that isn't in a steady state to begin with: by a run
// that was killed, or for a reason of its own.
func (r *run) unsettled(ctx context.Context, s journal.Service, why error) error {
	unsteady := &tasks.UnsteadyError{}
	at, err := r.tasks.Running(ctx, s.Cluster, s.ARN)
	switch {
	case !errors.As(why, &unsteady):
		return why
	case err != nil:
		return errors.Join(why, err)
	case slices.Contains(s.Versions, at):
		return r.goBack(ctx, s, why)
	}
	return fmt.Errorf("it wasn't switched: %w, with %s: see the service's events, and run again when it is mended", why, at)
}

// goBack brings a service that doesn't do well with the new revision back to the
// old one, unless ECS did already.
func (r *run) goBack(ctx context.Context, s journal.Service, why error) error {
	s.Status, s.Problem = journal.Returning, why.Error()
	if err := r.record(journal.Entry{Service: &s}); err != nil {
		return err
	}
	if err := r.tasks.Deploy(ctx, s.Cluster, s.ARN, s.Versions, s.Old); err != nil {
		return fmt.Errorf("%w; and it couldn't be brought back to %s: %w", why, s.Old, err)
	}
	s.Status = journal.Returned
	return errors.Join(fmt.Errorf("%w: it was brought back to %s: see the service's events, mend what is wrong, and run again", why, s.Old), r.record(journal.Entry{Service: &s}))
}
