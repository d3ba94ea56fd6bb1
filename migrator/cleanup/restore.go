package cleanup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/aistudio/secrets/migrator/apply/refusal"
	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/journal"
)

// RestoreOptions say which parameters are put back. Folder and Export are needed.
type RestoreOptions struct {
	Folder   string   // of the migration
	Export   string   // name of the file in it
	Only     []string // names of parameters; empty: all
	DryRun   bool
	Progress steps.Progress
	Now      func() time.Time // for the journal; nil: time.Now
}

// Restore puts parameters that a cleanup deleted back from its export. A parameter
// that is there stays as it is: one of another value is a failed step. Versions
// before the last and labels don't come back.
func Restore(ctx context.Context, config aws.Config, o RestoreOptions) (_ Result, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	file, err := readExport(filepath.Join(o.Folder, o.Export))
	if err != nil {
		return Result{}, err
	}
	if config.Region != file.Region {
		return Result{}, fmt.Errorf("the export is of %s and not of %s", file.Region, config.Region)
	}
	for _, name := range o.Only {
		if !slices.Contains(file.Names, name) {
			err = errors.Join(err, fmt.Errorf("the export has no parameter %s", name))
		}
	}
	if err != nil {
		return Result{}, err
	}
	r := &run{Options: Options{Folder: o.Folder, DryRun: o.DryRun, Now: o.Now}, parameters: ssm.NewFromConfig(config), keys: kms.NewFromConfig(config), steps: steps.New(len(file.Names), o.Progress)}
	if !o.DryRun {
		if r.journal, err = journal.Open(o.Folder, journal.Cleanup, o.Now); err != nil {
			return Result{}, err
		}
		defer func() { err = errors.Join(err, r.journal.Close()) }()
	}
	err = decrypted(ctx, r.keys, file, func(list []exportedParameter) error {
		for _, p := range list {
			if len(o.Only) > 0 && !slices.Contains(o.Only, p.Name) {
				continue
			}
			err := r.steps.Do(ctx, steps.Step{Action: "parameter", Subject: p.Name}, func() (steps.Outcome, string, error) { return r.putBack(ctx, p, o.Export, file.Until) })
			if err != nil {
				return err
			}
		}
		return nil
	})
	return Result{Stack: file.Stack, DryRun: o.DryRun, Steps: r.steps.List, Remains: []Remain{}, Export: o.Export, Complete: r.steps.Complete}, err
}

func (r *run) putBack(ctx context.Context, p exportedParameter, export string, until time.Time) (steps.Outcome, string, error) {
	out, err := r.parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: &p.Name, WithDecryption: aws.Bool(true)})
	missing := &ssmtypes.ParameterNotFound{}
	switch {
	case err == nil && aws.ToString(out.Parameter.Value) == string(p.Value):
		return steps.Already, "", nil
	case err == nil:
		return "", "", errors.New("it is there and has another value, which stays")
	case !errors.As(err, &missing):
		return "", "", fmt.Errorf("look whether it is there: %w", refusal.Of(err))
	case r.DryRun:
		return steps.Would, "put back", nil
	}
	in := &ssm.PutParameterInput{Name: &p.Name, Type: p.Type, Value: aws.String(string(p.Value)), Tier: p.Tier}
	in.KeyId, in.Description, in.AllowedPattern, in.DataType = optional(p.KeyID), optional(p.Description), optional(p.AllowedPattern), optional(p.DataType)
	if len(p.Policies) > 0 {
		in.Policies = aws.String("[" + strings.Join(p.Policies, ",") + "]")
	}
	for _, key := range slices.Sorted(maps.Keys(p.Tags)) {
		in.Tags = append(in.Tags, ssmtypes.Tag{Key: &key, Value: aws.String(p.Tags[key])})
	}
	put, err := r.parameters.PutParameter(ctx, in)
	if err != nil {
		return "", "", fmt.Errorf("put it back: %w", refusal.Of(err))
	}
	back := journal.Parameter{Name: p.Name, Status: journal.Restored, Version: put.Version, Export: export, Until: until}
	return steps.Done, "put back", r.record(journal.Entry{Parameter: &back})
}

// optional is nil for "".
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
