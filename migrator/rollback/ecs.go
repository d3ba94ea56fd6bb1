package rollback

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/apply/tasks"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
)

// task brings what starts a task back to the old revision.
func (r *run) task(ctx context.Context, s journal.Service) (steps.Outcome, string, error) {
	old, err := r.tasks.Definition(ctx, s.Old)
	if err != nil {
		return "", "", err
	}
	if !old.Active() {
		return "", "", fmt.Errorf("its old revision %s was deregistered, and no task can be started from it: register what it says once more, and deploy that by hand", s.Old)
	}
	if s.Follows {
		return r.follower(ctx, s)
	}
	if r.DryRun {
		return steps.Would, "brought back to " + s.Old, nil
	}
	if err := r.begin(s); err != nil {
		return "", "", err
	}
	switch s.Kind {
	case plan.RuleTask:
		err = r.tasks.PointRule(ctx, s.ARN, tasks.TargetID(s.ID), s.Versions, s.Old)
	case plan.ScheduledTask:
		err = r.tasks.PointSchedule(ctx, s.ARN, s.Versions, s.Old)
	default:
		err = r.tasks.Deploy(ctx, s.Cluster, s.ARN, s.Versions, s.Old)
	}
	if errors.Is(err, tasks.ErrChanged) {
		err = fmt.Errorf("%w: a deployment since is on top of the migration's: deploy a revision, the way that was, which has the variables as %s has them", err, s.Old)
	}
	if err != nil {
		return "", "", err
	}
	return steps.Done, "back at " + s.Old, r.done(s)
}

// follower brings back what starts the newest revision of a family: by making
// the new ones inactive.
func (r *run) follower(ctx context.Context, s journal.Service) (steps.Outcome, string, error) {
	other := r.using(func(x journal.Service) bool {
		return x.ID != s.ID && !x.Follows && slices.ContainsFunc(x.Versions, func(v string) bool { return slices.Contains(s.Versions, v) })
	})
	if other != "" {
		return "", "", fmt.Errorf("it starts the newest revision, which %s runs as well: roll that back too", other)
	}
	newest, err := r.tasks.Definition(ctx, tasks.FamilyOf(s.Old))
	if err != nil {
		return "", "", err
	}
	if newest.ARN != s.Old && !slices.Contains(s.Versions, newest.ARN) {
		return "", "", fmt.Errorf("it starts the newest revision, which is %s: somebody else has registered it meanwhile: see whether that has the old values; if an apply was stopped just then, it may be the migration's: apply again, and roll back", newest.ARN)
	}
	if r.DryRun {
		return steps.Would, "brought back to " + s.Old + " by deregistering what the migration registered", nil
	}
	if err := r.begin(s); err != nil {
		return "", "", err
	}
	for _, arn := range s.Versions {
		d, err := r.tasks.Definition(ctx, arn)
		if err != nil {
			return "", "", err
		}
		if !d.Active() {
			continue
		}
		if err := r.tasks.Deregister(ctx, arn); err != nil {
			return "", "", err
		}
	}
	return steps.Done, "back at " + s.Old + ", the newest active revision", r.done(s)
}
