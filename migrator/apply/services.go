package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/aistudio/secrets/migrator/apply/refusal"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
)

// service switches a service over, if it isn't, and judges it.
func (r *run) service(ctx context.Context, s plan.Service) (Outcome, string, error) {
	known := r.known.Service(s.ID)
	if r.switched(s, known) && known.Status == journal.Healthy || known.Status == journal.Cleaned {
		return Already, "", nil
	}
	if known.Status == journal.Cleaning {
		return "", "", errors.New("its cleanup has begun: run the cleanup again, which completes it")
	}
	if known.Status == journal.Restoring {
		return "", "", errors.New("its rollback has begun: run the rollback again first, which completes it")
	}
	if why := r.steps.Failed[s.Role]; why != "" {
		return "", "", fmt.Errorf("its role may not read its secrets: %s", why)
	}
	for _, v := range r.selection.variables(s) {
		if why := r.steps.Failed[v.Secret]; why != "" {
			return "", "", fmt.Errorf("its secret %s isn't there: %s", v.Secret, why)
		}
		if err := r.prove(ctx, v.Secret); err != nil {
			return "", "", fmt.Errorf("its secret %s: %w", v.Secret, err)
		}
	}
	return r.change(ctx, s, known)
}

// change switches a service over and judges it.
func (r *run) change(ctx context.Context, s plan.Service, known journal.Service) (Outcome, string, error) {
	var err error
	switch s.Kind {
	case plan.LambdaFunction:
		known, err = r.switchFunction(ctx, s, known)
	case plan.ECSService, plan.RuleTask, plan.ScheduledTask:
		known, err = r.switchTask(ctx, s, known)
	default:
		err = fmt.Errorf("it is of the kind %q, which this program doesn't know", s.Kind)
	}
	switch {
	case err != nil:
		return "", "", err
	case r.DryRun:
		return Would, "switched" + r.how(s), nil
	}
	if err := r.judge(ctx, s, known); err != nil {
		return "", "", err
	}
	return Done, "switched" + r.how(s), nil
}

func (r *run) how(s plan.Service) string {
	switch {
	case s.How == plan.ByInjection:
		return ": ECS injects its secrets"
	case r.Mode == plan.Final:
		return ": references in the place of its values"
	default:
		return ": references beside its values"
	}
}

// prove reads a secret that a service is about to use, with all its keys: a task
// whose key doesn't exist doesn't start.
func (r *run) prove(ctx context.Context, name string) error {
	if r.DryRun || r.proved[name] {
		return nil
	}
	out, err := r.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		return fmt.Errorf("read its value: %w", refusal.Of(err))
	}
	i := slices.IndexFunc(r.plan.Secrets, func(s plan.Secret) bool { return s.Name == name })
	if i < 0 {
		return errors.New("the plan hasn't got it: make a new plan")
	}
	held := bytesOf(out)
	defer clear(held)
	if !r.same(r.plan.Secrets[i], held) {
		return errors.New("its value isn't the plan's any more: it was rotated or changed since the migration wrote it, so the old value may be of no use: settle that first")
	}
	r.proved[name] = true
	return nil
}

// judge asks whether the service does well, and takes it down.
func (r *run) judge(ctx context.Context, s plan.Service, known journal.Service) error {
	if r.Healthy != nil {
		if err := r.Healthy(ctx, s); err != nil {
			known.Problem = err.Error()
			return errors.Join(fmt.Errorf("it is switched and doesn't do well: %w: mend it and run again, or roll it back", err),
				r.record(journal.Entry{Service: &known}))
		}
	}
	known.Status, known.Problem = journal.Healthy, ""
	return r.record(journal.Entry{Service: &known})
}

// switched tells whether an earlier run did all that is to be done.
func (r *run) switched(s plan.Service, known journal.Service) bool {
	if !known.Live() || r.mode(known) != known.Mode && s.How == plan.ByReference {
		return false
	}
	return !slices.ContainsFunc(r.selection.variables(s), func(v plan.Variable) bool { return !known.Holds(v) })
}

// begin is the entry of a switch that is about to be made.
func (r *run) begin(s plan.Service, known journal.Service, variables []journal.Variable) journal.Service {
	next := known
	next.ID, next.Kind, next.ARN, next.Cluster, next.Role, next.Wave, next.How = s.ID, s.Kind, s.ARN, s.Cluster, s.Role, s.Wave, s.How
	next.Mode, next.Variables, next.Problem = r.mode(known), variables, ""
	if !known.Live() {
		next.Attempt++
	}
	next.Status = journal.Switching
	return next
}

// mode is what the service is switched to. What has lost its old values doesn't get
// them back by an apply.
func (r *run) mode(known journal.Service) plan.Mode {
	if known.Live() && known.Mode == plan.Final {
		return plan.Final
	}
	return r.Mode
}

// moving are the variables of the service that move, with what the journal knows
// of those that did already.
func (r *run) moving(s plan.Service, known journal.Service) []journal.Variable {
	var all []journal.Variable
	if known.Live() {
		all = slices.Clone(known.Variables)
	}
	for _, v := range r.selection.variables(s) {
		if known.Live() && known.Holds(v) {
			continue
		}
		next := journal.Variable{Container: v.Container, Name: v.Name, Secret: v.Secret, Field: v.Field, Parameter: v.Parameter}
		if v.Parameter == "" {
			next.Digest = r.digestOf(v)
		}
		_, next.Reference = v.Reference()
		all = append(all, next)
	}
	return all
}

// digestOf is the digest of the value that the plan moves to the variable's
// secret.
func (r *run) digestOf(v plan.Variable) string {
	for _, s := range r.plan.Secrets {
		if s.Name != v.Secret {
			continue
		}
		for _, value := range s.Values {
			if value.Field == v.Field {
				return value.Digest
			}
		}
	}
	return ""
}
