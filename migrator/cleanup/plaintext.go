package cleanup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/aistudio/secrets/migrator/apply/refusal"
	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/apply/tasks"
	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

type functionsAPI interface {
	DeleteFunction(context.Context, *lambda.DeleteFunctionInput, ...func(*lambda.Options)) (*lambda.DeleteFunctionOutput, error)
}

// moved are the names of variables that held a value and moved.
type moved map[string][]string // by function's ARN, or by family and container

func container(family, name string) string { return family + " " + name }

func (r *run) moved() moved {
	m := moved{}
	for _, s := range r.known.Services {
		if !s.Live() {
			continue
		}
		for _, v := range s.Variables {
			if v.Parameter != "" {
				continue
			}
			key := s.ARN
			if s.Kind != plan.LambdaFunction {
				key = container(tasks.FamilyOf(s.Old), v.Container)
			}
			m[key] = append(m[key], v.Name)
		}
	}
	return m
}

// held are those of the names that the settings still have a value for. An older
// value is as much a secret as the last one, so the values don't count.
func held(names []string, settings []classify.Setting) []string {
	var all []string
	for _, s := range settings {
		if slices.Contains(names, s.Name) && s.Value.Len() > 0 {
			all = append(all, s.Name)
		}
	}
	return all
}

// removeRevisions deregisters the revisions that hold plaintext and that nothing
// runs.
func (r *run) removeRevisions(ctx context.Context) error {
	names, users, goes := r.moved(), r.users(), r.going()
	for _, d := range r.estate.TaskDefinitions {
		var holds []string
		for _, c := range d.Containers {
			holds = append(holds, held(names[container(tasks.FamilyOf(d.ARN), c.Name)], c.Settings)...)
		}
		if len(holds) == 0 {
			continue
		}
		if i := slices.IndexFunc(r.estate.Unread, func(u discover.Unread) bool { return u.Place == spec.ScanECS }); i >= 0 {
			r.remains = append(r.remains, Remain{d.ARN, holds, "what starts it isn't known: " + r.estate.Unread[i].Reason, "Let the migrator read it, and clean up again."})
			continue
		}
		if user := users[d.ARN]; user != "" && !goes[d.ARN] {
			r.remains = append(r.remains, Remain{d.ARN, holds, user + " starts it", "Deploy a revision without these variables there, and clean up again."})
			continue
		}
		if failed := r.failedIn(d.ARN); failed != "" {
			r.remains = append(r.remains, Remain{d.ARN, holds, failed + " could not be cleaned up, and may need it", "Settle that, and clean up again."})
			continue
		}
		err := r.steps.Do(ctx, steps.Step{Action: "revision", Subject: d.ARN}, func() (steps.Outcome, string, error) { return r.deregister(ctx, d.ARN) })
		if err != nil {
			return err
		}
	}
	return nil
}

// users tells who starts a revision.
func (r *run) users() map[string]string {
	newest := map[string]discover.TaskDefinition{}
	for _, d := range r.estate.TaskDefinitions {
		if family := tasks.FamilyOf(d.ARN); d.Active && d.Revision >= newest[family].Revision {
			newest[family] = d
		}
	}
	users := map[string]string{}
	for _, s := range r.estate.Services {
		users[s.TaskDefinition] = s.ARN
	}
	for _, s := range r.estate.ScheduledTasks {
		arn := s.TaskDefinition
		if arn == tasks.FamilyOf(arn) {
			arn = newest[arn].ARN
		}
		users[arn] = s.ARN
	}
	return users
}

// failedIn names a service of the revision's family that couldn't be cleaned up,
// or "".
func (r *run) failedIn(revision string) string {
	for id, s := range r.known.Services {
		if s.Live() && s.Old != "" && tasks.FamilyOf(s.Old) == tasks.FamilyOf(revision) && r.steps.Failed[id] != "" {
			return id
		}
	}
	return ""
}

func (r *run) deregister(ctx context.Context, arn string) (steps.Outcome, string, error) {
	if r.DryRun {
		return steps.Would, "deregistered", nil
	}
	if err := r.begin(r.of(func(s journal.Service) bool { return s.Old != "" && tasks.FamilyOf(s.Old) == tasks.FamilyOf(arn) })); err != nil {
		return "", "", err
	}
	revision := journal.Revision{ARN: arn, Status: journal.Removing}
	if err := r.record(journal.Entry{Revision: &revision}); err != nil {
		return "", "", err
	}
	if err := r.tasks.Deregister(ctx, arn); err != nil {
		return "", "", err
	}
	revision.Status = journal.Removed
	return steps.Done, "deregistered; ECS still shows it to those who may read inactive revisions, until it is deleted", r.record(journal.Entry{Revision: &revision})
}

// of are the services that are at their secrets and for which the condition holds.
func (r *run) of(condition func(journal.Service) bool) []journal.Service {
	var list []journal.Service
	for _, s := range r.services() {
		if condition(s) {
			list = append(list, s)
		}
	}
	return list
}

// removeVersions deletes the published versions that hold plaintext, if that is
// asked for, or tells of them.
func (r *run) removeVersions(ctx context.Context) error {
	names, goes := r.moved(), r.going()
	for _, f := range r.estate.Functions {
		for _, v := range f.Versions {
			holds := held(names[f.ARN], v.Settings)
			if len(holds) == 0 {
				continue
			}
			arn := f.ARN + ":" + v.Number
			alias := slices.IndexFunc(f.Aliases, func(a discover.Alias) bool { return a.Version == v.Number || a.Second == v.Number })
			switch {
			case alias >= 0 && !goes[f.ARN]:
				r.remains = append(r.remains, Remain{arn, holds, "alias " + f.Aliases[alias].Name + " names it", "Publish a version of $LATEST, move the alias, and clean up again."})
				continue
			case !r.Versions:
				r.remains = append(r.remains, Remain{arn, holds, "somebody may invoke it by its number", "Delete it if nobody does: clean up with the published versions."})
				continue
			}
			err := r.steps.Do(ctx, steps.Step{Action: "version", Subject: arn}, func() (steps.Outcome, string, error) { return r.deleteVersion(ctx, f.ARN, v.Number) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) deleteVersion(ctx context.Context, function, number string) (steps.Outcome, string, error) {
	if why := r.steps.Failed["lambda/"+function[strings.LastIndexByte(function, ':')+1:]]; why != "" {
		return "", "", errors.New("kept, since its function could not be cleaned up: settle that, and clean up again")
	}
	if r.DryRun {
		return steps.Would, "deleted", nil
	}
	if err := r.begin(r.of(func(s journal.Service) bool { return s.ARN == function })); err != nil {
		return "", "", err
	}
	version := journal.Revision{ARN: function + ":" + number, Status: journal.Removing}
	if err := r.record(journal.Entry{Revision: &version}); err != nil {
		return "", "", err
	}
	_, err := r.functions.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &function, Qualifier: &number})
	if missing := (&lambdatypes.ResourceNotFoundException{}); err != nil && !errors.As(err, &missing) {
		return "", "", fmt.Errorf("delete the version: %w", refusal.Of(err))
	}
	version.Status = journal.Removed
	return steps.Done, "deleted", r.record(journal.Entry{Revision: &version})
}
