package cleanup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/aistudio/secrets/migrator/apply/refusal"
	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/sdk/spec"
)

type parametersAPI interface {
	GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error)
	DescribeParameters(context.Context, *ssm.DescribeParametersInput, ...func(*ssm.Options)) (*ssm.DescribeParametersOutput, error)
	ListTagsForResource(context.Context, *ssm.ListTagsForResourceInput, ...func(*ssm.Options)) (*ssm.ListTagsForResourceOutput, error)
	DeleteParameter(context.Context, *ssm.DeleteParameterInput, ...func(*ssm.Options)) (*ssm.DeleteParameterOutput, error)
	PutParameter(context.Context, *ssm.PutParameterInput, ...func(*ssm.Options)) (*ssm.PutParameterOutput, error)
}

// candidate is a parameter that was migrated.
type candidate struct {
	name   string
	digest string              // of the value that was migrated; "": the plan no longer tells
	there  *discover.Parameter // nil: it is gone
}

// removeParameters deletes the parameters that were migrated and that nobody
// reads any more.
func (r *run) removeParameters(ctx context.Context) error {
	candidates := r.candidates()
	if len(candidates) == 0 {
		return nil
	}
	read, lookupErr := r.readers(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var goes []candidate
	for _, c := range candidates {
		why := ""
		switch {
		case c.there == nil:
		case lookupErr != nil:
			why = "who reads it isn't known: " + lookupErr.Error()
		default:
			why = r.inUse(c, read)
		}
		if why == "" {
			goes = append(goes, c)
			continue
		}
		err := r.steps.Do(ctx, steps.Step{Action: "parameter", Subject: c.name}, func() (steps.Outcome, string, error) { return "", "", errors.New(why) })
		if err != nil {
			return err
		}
		r.remains = append(r.remains, Remain{c.there.ARN, nil, why, "Settle that, and clean up again."})
	}
	exported, err := r.exportAll(ctx, goes)
	if err != nil {
		return err
	}
	for _, c := range goes {
		err := r.steps.Do(ctx, steps.Step{Action: "parameter", Subject: c.name}, func() (steps.Outcome, string, error) {
			return r.remove(ctx, c, exported[c.name])
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// candidates are the parameters that the journal or the plan tells of, by name.
func (r *run) candidates() []candidate {
	digests := map[string]string{}
	for _, s := range r.known.Services {
		for _, v := range s.Variables {
			if s.Live() && v.Parameter != "" {
				digests[v.Parameter] = ""
			}
		}
	}
	for _, s := range r.Plan.Secrets {
		if status := r.known.Secrets[s.Name].Status; status != journal.Written && status != journal.Adopted {
			continue
		}
		for _, v := range s.Values {
			for _, p := range v.Places {
				if p.In == spec.ScanSSM {
					digests[p.ID] = v.Digest
				}
			}
		}
	}
	for name, p := range r.known.Parameters {
		if _, ok := digests[name]; !ok && p.Status != journal.Restored {
			digests[name] = ""
		}
	}
	var list []candidate
	for _, name := range slices.Sorted(maps.Keys(digests)) {
		c := candidate{name: name, digest: digests[name]}
		for i := range r.estate.Parameters {
			if r.estate.Parameters[i].Name == name {
				c.there = &r.estate.Parameters[i]
			}
		}
		list = append(list, c)
	}
	return list
}

// inUse tells why the parameter has to stay, or "".
func (r *run) inUse(c candidate, read map[string]string) string {
	if why := r.unlisted(); why != "" {
		return why
	}
	if c.digest != "" && r.Key.Of(c.there.Value) != c.digest {
		return "its value isn't the one that was migrated"
	}
	for id, s := range r.known.Services {
		named := slices.ContainsFunc(s.Variables, func(v journal.Variable) bool { return v.Parameter == c.name })
		if named && s.Live() && r.steps.Failed[id] != "" {
			return id + " could not be cleaned up, and may need it"
		}
	}
	if who := r.namedBy(c.there); who != "" {
		return who + " names it"
	}
	if who := read[c.name]; who != "" {
		return "CloudTrail knows that it was read since the migration, last by " + who
	}
	return ""
}

// unlisted tells what of the estate couldn't be listed, or "": what names a
// parameter may be there.
func (r *run) unlisted() string {
	for _, u := range r.estate.Unread {
		if u.ARN == "" && u.Place != spec.ScanSSM {
			return "what names it isn't known: " + string(u.Place) + " can't be listed: " + u.Reason
		}
	}
	return ""
}

// namedBy tells what of the estate that runs names the parameter, or "". In a dry
// run, the variables that would go count for nothing.
func (r *run) namedBy(p *discover.Parameter) string {
	names := func(text string) bool { return text == p.Name || text == p.ARN || strings.HasPrefix(text, p.ARN+":") }
	setting := func(s classify.Setting) bool { return names(s.Value.RevealString()) }
	goes := r.going()
	for _, f := range r.estate.Functions {
		for _, s := range f.Settings {
			if setting(s) && !goes[f.ARN+" "+s.Name] {
				return "variable " + s.Name + " of " + f.ARN
			}
		}
		for _, v := range f.Versions {
			if slices.ContainsFunc(f.Aliases, func(a discover.Alias) bool { return a.Version == v.Number || a.Second == v.Number }) && !goes[f.ARN] {
				if i := slices.IndexFunc(v.Settings, setting); i >= 0 {
					return "variable " + v.Settings[i].Name + " of " + f.ARN + ":" + v.Number
				}
			}
		}
	}
	users := r.users()
	for _, d := range r.estate.TaskDefinitions {
		if users[d.ARN] == "" || goes[d.ARN] {
			continue
		}
		for _, c := range d.Containers {
			if i := slices.IndexFunc(c.Settings, setting); i >= 0 {
				return "variable " + c.Settings[i].Name + " of " + d.ARN + ", which " + users[d.ARN] + " starts,"
			}
			if i := slices.IndexFunc(c.Injected, func(x discover.Injected) bool { return names(x.ValueFrom) }); i >= 0 {
				return "secret " + c.Injected[i].Name + " of " + d.ARN + ", which " + users[d.ARN] + " starts,"
			}
		}
	}
	return ""
}

// going is what a dry run doesn't take out and a real one would: variables of
// functions, functions with aliases, and revisions.
func (r *run) going() map[string]bool {
	goes := map[string]bool{}
	if !r.DryRun {
		return goes
	}
	for _, s := range r.services() {
		if r.steps.Failed[s.ID] != "" {
			continue
		}
		goes[s.ARN], goes[s.New] = true, true
		for _, v := range s.Variables {
			goes[s.ARN+" "+v.Name] = true
		}
	}
	return goes
}

// remove deletes a parameter that is in the export.
func (r *run) remove(ctx context.Context, c candidate, exported journal.Parameter) (steps.Outcome, string, error) {
	known := r.known.Parameters[c.name]
	switch {
	case c.there == nil && known.Status == journal.Deleted:
		return steps.Already, "", nil
	case r.DryRun:
		return steps.Would, "exported and deleted", nil
	case c.there == nil && known.Status == journal.Deleting: // by a run that was killed before it heard of it
		known.Status = journal.Deleted
		return steps.Done, "deleted", r.record(journal.Entry{Parameter: &known})
	case c.there == nil: // by somebody else
		gone := journal.Parameter{Name: c.name, Status: journal.Deleted}
		return steps.Already, "somebody else deleted it", r.record(journal.Entry{Parameter: &gone})
	case exported.Export == "":
		return "", "", errors.New("it isn't in an export")
	}
	if err := r.begin(r.of(func(s journal.Service) bool {
		return slices.ContainsFunc(s.Variables, func(v journal.Variable) bool { return v.Parameter == c.name })
	})); err != nil {
		return "", "", err
	}
	exported.Status = journal.Deleting
	if err := r.record(journal.Entry{Parameter: &exported}); err != nil {
		return "", "", err
	}
	if err := r.delete(ctx, exported); err != nil {
		return "", "", err
	}
	exported.Status = journal.Deleted
	return steps.Done, "deleted; it is in " + exported.Export + " until " + exported.Until.Format("2006-01-02"), r.record(journal.Entry{Parameter: &exported})
}

// delete deletes the parameter if its version is still the one in the export. SSM
// can't be told to compare, so it is read right before.
func (r *run) delete(ctx context.Context, p journal.Parameter) error {
	out, err := r.parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: &p.Name})
	missing := &ssmtypes.ParameterNotFound{}
	switch {
	case errors.As(err, &missing):
		return nil
	case err != nil:
		return fmt.Errorf("read its version: %w", refusal.Of(err))
	case out.Parameter.Version != p.Version:
		return errors.New("somebody else has changed it meanwhile: it stays; find out who, and clean up again")
	}
	_, err = r.parameters.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &p.Name})
	if err != nil && !errors.As(err, &missing) {
		return fmt.Errorf("delete it: %w", refusal.Of(err))
	}
	return nil
}

// describe returns what is known of a parameter besides its value.
func (r *run) describe(ctx context.Context, name string) (ssmtypes.ParameterMetadata, []ssmtypes.Tag, error) {
	out, err := r.parameters.DescribeParameters(ctx, &ssm.DescribeParametersInput{
		ParameterFilters: []ssmtypes.ParameterStringFilter{{Key: aws.String("Name"), Option: aws.String("Equals"), Values: []string{name}}},
	})
	if err != nil {
		return ssmtypes.ParameterMetadata{}, nil, fmt.Errorf("describe parameter %s: %w", name, refusal.Of(err))
	}
	if len(out.Parameters) != 1 {
		return ssmtypes.ParameterMetadata{}, nil, fmt.Errorf("parameter %s isn't there any more", name)
	}
	tags, err := r.parameters.ListTagsForResource(ctx, &ssm.ListTagsForResourceInput{ResourceType: ssmtypes.ResourceTypeForTaggingParameter, ResourceId: &name})
	if err != nil {
		return ssmtypes.ParameterMetadata{}, nil, fmt.Errorf("list the tags of parameter %s: %w", name, refusal.Of(err))
	}
	return out.Parameters[0], tags.TagList, nil
}
