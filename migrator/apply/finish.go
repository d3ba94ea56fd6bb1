package apply

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/aistudio/secrets/migrator/apply/functions"
	"github.com/aistudio/secrets/migrator/apply/places"
	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/apply/tasks"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

// Finisher takes the old values out of services that are at their new secrets. It
// goes by the journal alone: a plan that was made since no longer has what was
// switched.
type Finisher struct{ run *run }

// NewFinisher returns a finisher for the migration in the folder. j is its open
// journal, or nil for a dry run, and state what it adds up to. healthy judges a
// service that was changed, as Options.Healthy does.
func NewFinisher(config aws.Config, folder string, key digest.Key, j *journal.Journal, state journal.State, healthy func(context.Context, plan.Service) error, sleep functions.Sleep) *Finisher {
	f := functions.New(config, sleep)
	r := &run{
		Options:   Options{Folder: folder, Key: key, Mode: plan.Final, DryRun: j == nil, Sleep: sleep, Healthy: healthy},
		plan:      plan.Plan{Stack: filepath.Base(folder)},
		functions: f, tasks: tasks.New(config, tasks.Sleep(sleep)), places: places.New(config, f),
		journal: j, known: state, steps: steps.New(0, nil), proved: map[string]bool{},
		selection: selection{left: map[string]bool{}, blocked: map[string]plan.Block{}},
	}
	if j != nil {
		r.known = j
	}
	return &Finisher{r}
}

// Finish switches the service to the mode Final, if it isn't. The old values are
// compared before they go. A service that is no more holds nothing.
func (f *Finisher) Finish(ctx context.Context, known journal.Service) (Outcome, string, error) {
	r := f.run
	s := plan.Service{
		ID: known.ID, Kind: known.Kind, ARN: known.ARN, Cluster: known.Cluster, Role: known.Role, Wave: known.Wave, How: known.How, TaskDefinition: known.Old,
	}
	for _, a := range known.Aliases {
		s.Aliases = append(s.Aliases, a.Name)
	}
	for _, v := range known.Variables {
		s.Variables = append(s.Variables, plan.Variable{Container: v.Container, Name: v.Name, Secret: v.Secret, Field: v.Field, Parameter: v.Parameter})
	}
	err := r.stillSwitched(ctx, s, known)
	if missing := (&lambdatypes.ResourceNotFoundException{}); errors.Is(err, tasks.ErrGone) || errors.As(err, &missing) {
		return Already, "it isn't there any more", nil
	}
	if err != nil {
		return "", "", err
	}
	if known.Done() && (known.How == plan.ByInjection || known.Mode == plan.Final) {
		return Already, "", nil
	}
	return r.change(ctx, s, known)
}

// stillSwitched tells whether the service uses its secrets as the journal has it.
func (r *run) stillSwitched(ctx context.Context, s plan.Service, known journal.Service) error {
	if s.Kind != plan.LambdaFunction {
		at, err := r.runsTask(ctx, s)
		if err != nil {
			return err
		}
		if known.Follows {
			newest, err := r.tasks.Definition(ctx, at)
			if err != nil {
				return err
			}
			at = newest.ARN
		}
		if slices.Contains(known.Versions, at) {
			return nil
		}
		return r.newerSwitched(ctx, at, known)
	}
	read, err := r.functions.Read(ctx, s.ARN, "")
	if err != nil {
		return err
	}
	var missing []string
	for _, v := range known.Variables {
		name, reference := plan.Variable{Name: v.Name, Secret: v.Secret, Field: v.Field}.Reference()
		if read.Environment.Text(name) != reference {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("it doesn't have %s any more, so somebody took it off its secrets: roll it back, or plan and apply again", strings.Join(missing, ", "))
	}
	return nil
}

// newerSwitched tells whether a revision that somebody deployed since uses the
// secrets too, as one does that an ordinary deployment made of the last.
func (r *run) newerSwitched(ctx context.Context, arn string, known journal.Service) error {
	d, err := r.tasks.Definition(ctx, arn)
	if err != nil {
		return err
	}
	for _, v := range known.Variables {
		from, _ := d.Injected(v.Container, v.Name)
		reference, _ := d.Value(v.Container, v.Name+spec.ReferenceSuffix)
		if from != v.Reference && reference.RevealString() != v.Reference {
			return fmt.Errorf("it starts %s, which doesn't take %s from its secret: roll it back, or plan and apply again", arn, v.Name)
		}
		if _, there := d.Value(v.Container, v.Name); there && v.Parameter == "" {
			return fmt.Errorf("it starts %s, which somebody deployed since and which holds %s: deploy one without it", arn, v.Name)
		}
	}
	return nil
}
