package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aistudio/secrets/migrator/apply/functions"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

// compareMode is what a service is set to while it has both places, so that its
// dual reads compare them.
const compareMode = "compare"

// functionFits tells whether a function that isn't switched is as the plan has
// it.
func (r *run) functionFits(s plan.Service, read functions.Configuration) error {
	return r.variablesFit(read.Environment, r.moving(s, journal.Service{}))
}

// variablesFit tells whether the variables have their old values, and nobody uses
// the names of the references.
func (r *run) variablesFit(e functions.Environment, variables []journal.Variable) error {
	for _, v := range variables {
		value, there := e.Get(v.Name)
		switch {
		case !there:
			return &differs{"variable " + v.Name + " is gone"}
		case v.Parameter != "" && !namesParameter(value.RevealString(), v.Parameter):
			return &differs{"variable " + v.Name + " no longer names the parameter " + v.Parameter}
		case v.Parameter == "" && r.Key.Of(value) != v.Digest:
			return &differs{"variable " + v.Name + " has another value"}
		}
		if reference, there := e.Get(v.Name + spec.ReferenceSuffix); there && reference.RevealString() != v.Reference {
			return &differs{"variable " + v.Name + spec.ReferenceSuffix + " is in use for something else"}
		}
	}
	return nil
}

// namesParameter tells whether a variable names the parameter: by its name or
// its ARN.
func namesParameter(text, parameter string) bool {
	_, name, arn := strings.Cut(text, ":parameter/")
	return text == parameter || arn && strings.TrimPrefix(parameter, "/") == name
}

// wanted is the environment with the references.
func wanted(e functions.Environment, variables []journal.Variable, mode plan.Mode, compare bool) functions.Environment {
	for _, v := range variables {
		e = e.With(v.Name+spec.ReferenceSuffix, spec.ValueString(v.Reference))
		if mode == plan.Final {
			e = e.Without(v.Name)
		}
	}
	switch {
	case !compare:
	case mode == plan.Final:
		e = e.Without(spec.EnvDualRead)
	default:
		e = e.With(spec.EnvDualRead, spec.ValueString(compareMode))
	}
	return e
}

func (r *run) switchFunction(ctx context.Context, s plan.Service, known journal.Service) (journal.Service, error) {
	read, err := r.functions.Read(ctx, s.ARN, "")
	if err != nil {
		return known, err
	}
	variables := r.moving(s, known)
	mode, compare := r.mode(known), known.Live() && known.Compare
	if _, there := read.Environment.Get(spec.EnvDualRead); !there && mode == plan.DualRead {
		compare = true
	}
	target := wanted(read.Environment, variables, mode, compare)
	switched := target.Equal(read.Environment)
	if !switched {
		if err := r.variablesFit(read.Environment, variables); err != nil {
			return known, fmt.Errorf("it isn't as the plan has it, and stays as it is: %w: make a new plan", err)
		}
	}
	next := r.begin(s, known, r.withOld(read.Environment, variables))
	next.Compare = compare
	named, err := r.aliases(ctx, s, known, read, switched)
	if err != nil {
		return known, err
	}
	if !known.Live() {
		next.Aliases, next.Versions = named, nil
	}
	if r.DryRun {
		return next, nil
	}
	if err := r.record(journal.Entry{Service: &next}); err != nil {
		return known, err
	}
	if !switched {
		if read, err = r.functions.Update(ctx, read, target); err != nil {
			return known, err
		}
	}
	if err := r.publish(ctx, &next, named, read); err != nil {
		return known, err
	}
	next.Status = journal.Switched
	return next, r.record(journal.Entry{Service: &next})
}

// withOld notes what stood in the variables that name parameters, which is no
// secret.
func (r *run) withOld(e functions.Environment, variables []journal.Variable) []journal.Variable {
	for i, v := range variables {
		if v.Parameter != "" && v.Old == "" {
			variables[i].Old = e.Text(v.Name)
		}
	}
	return variables
}

// aliases are those that move, with the versions that they name now. They move to
// a copy of $LATEST, so what they name must be the same but for the migration:
// else it would also deploy what somebody keeps back.
func (r *run) aliases(ctx context.Context, s plan.Service, known journal.Service, latest functions.Configuration, switched bool) ([]journal.Alias, error) {
	var list []journal.Alias
	for _, alias := range s.Aliases {
		version, err := r.functions.Alias(ctx, s.ARN, alias)
		if err != nil {
			return nil, err
		}
		list = append(list, journal.Alias{Name: alias, Old: version})
		if known.Live() && slices.Contains(known.Versions, version) {
			continue
		}
		named, err := r.functions.Read(ctx, s.ARN, version)
		if err != nil {
			return nil, err
		}
		if !named.SameCode(latest) || !switched && !named.Environment.Equal(latest.Environment) {
			return nil, fmt.Errorf("its alias %s names version %s, which isn't what $LATEST is: deploy or take back what differs, then make a new plan", alias, version)
		}
	}
	return list, nil
}

// publish makes a version with the references and moves the aliases to it from
// what they were seen to name.
func (r *run) publish(ctx context.Context, next *journal.Service, named []journal.Alias, latest functions.Configuration) error {
	if len(named) == 0 {
		return nil
	}
	version, err := r.functions.Publish(ctx, latest, "secrets from Secrets Manager, by the migration of "+r.plan.Stack)
	if err != nil {
		return err
	}
	if !slices.Contains(next.Versions, version) {
		next.Versions = append(slices.Clone(next.Versions), version)
		if err := r.record(journal.Entry{Service: next}); err != nil {
			return err
		}
	}
	for _, alias := range named {
		if err := r.functions.Point(ctx, next.ARN, alias.Name, []string{alias.Old}, version); err != nil {
			return err
		}
	}
	return nil
}
