package rollback

import (
	"context"
	"fmt"
	"slices"

	"github.com/aistudio/secrets/migrator/apply/functions"
	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/sdk/spec"
)

// function brings a function's aliases and its environment back. Variables that
// aren't the migration's stay as they are now.
func (r *run) function(ctx context.Context, s journal.Service) (steps.Outcome, string, error) {
	read, err := r.functions.ReadBroken(ctx, s.ARN)
	if err != nil {
		return "", "", err
	}
	wanted, err := r.before(ctx, s, read.Environment)
	if err != nil {
		return "", "", err
	}
	if err := r.aliasesAreOurs(ctx, s); err != nil {
		return "", "", err
	}
	if r.DryRun {
		return steps.Would, "brought back to its old values", nil
	}
	if err := r.begin(s); err != nil {
		return "", "", err
	}
	for _, alias := range s.Aliases {
		if err := r.functions.Point(ctx, s.ARN, alias.Name, s.Versions, alias.Old); err != nil {
			return "", "", err
		}
	}
	if !wanted.Equal(read.Environment) || read.Broken != nil {
		if _, err := r.functions.Update(ctx, read, wanted); err != nil {
			return "", "", err
		}
	}
	return steps.Done, "back at its old values", r.done(s)
}

// before is the environment without what the migration added, and with what it
// removed.
func (r *run) before(ctx context.Context, s journal.Service, e functions.Environment) (functions.Environment, error) {
	for _, v := range s.Variables {
		name := v.Name + spec.ReferenceSuffix
		if reference, there := e.Get(name); there {
			if reference.RevealString() != v.Reference {
				return e, fmt.Errorf("variable %s names another secret than the migration wrote: somebody else has changed it meanwhile: correct the function by hand", name)
			}
			e = e.Without(name)
		}
		if _, there := e.Get(v.Name); there {
			continue
		}
		value, err := r.oldValue(ctx, v)
		if err != nil {
			return e, err
		}
		e = e.With(v.Name, value)
	}
	if s.Compare {
		e = e.Without(spec.EnvDualRead)
	}
	return e, nil
}

// oldValue is what was in a variable that is gone.
func (r *run) oldValue(ctx context.Context, v journal.Variable) (spec.Value, error) {
	if v.Parameter != "" {
		return spec.ValueString(v.Old), nil
	}
	value, err := r.field(ctx, v.Secret, v.Field)
	if err != nil {
		return spec.Value{}, err
	}
	if r.Key.Of(value) != v.Digest {
		return spec.Value{}, fmt.Errorf("secret %s doesn't hold what was in variable %s: correct the function by hand", v.Secret, v.Name)
	}
	return value, nil
}

// aliasesAreOurs tells before anything is written whether somebody else has moved
// an alias.
func (r *run) aliasesAreOurs(ctx context.Context, s journal.Service) error {
	for _, alias := range s.Aliases {
		at, err := r.functions.Alias(ctx, s.ARN, alias.Name)
		if err != nil {
			return err
		}
		if at != alias.Old && !slices.Contains(s.Versions, at) {
			return fmt.Errorf("its alias %s names version %s, which somebody else deployed since: deploy a version without the references, or move the alias to version %s by hand, then run again", alias.Name, at, alias.Old)
		}
	}
	return nil
}
