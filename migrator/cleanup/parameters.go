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
	digest string              // of the value that was migrated; "": the plan doesn't tell
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
		why, subject := "", "parameter "+c.name
		if c.there != nil {
			subject = c.there.ARN
		}
		switch {
		case c.there == nil:
			why = r.unlistedParameters()
		case lookupErr != nil:
			why = "who reads it isn't known: " + lookupErr.Error()
		default:
			if why = r.inUse(c, read); why == "" {
				why = r.owned(ctx, c.name)
			}
		}
		if why == "" {
			goes = append(goes, c)
			continue
		}
		err := r.steps.Do(ctx, steps.Step{Action: "parameter", Subject: c.name}, func() (steps.Outcome, string, error) { return "", "", errors.New(why) })
		if err != nil {
			return err
		}
		r.remains = append(r.remains, Remain{subject, nil, why, "Settle that, and clean up again."})
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
				digests[v.Parameter] = r.digestOf(v)
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

// digestOf is that of the parameter's value as it was migrated, where a secret
// holds that alone; else "".
func (r *run) digestOf(v journal.Variable) string {
	if v.Field != "" {
		return ""
	}
	return r.known.Secrets[v.Secret].Digest
}

// unlistedParameters tells why a parameter that wasn't found may be there all the
// same, or "".
func (r *run) unlistedParameters() string {
	for _, u := range r.estate.Unread {
		if u.ARN == "" && u.Place == spec.ScanSSM {
			return "whether it is there isn't known: " + u.Reason
		}
	}
	return ""
}

// inUse tells why the parameter has to stay, or "".
func (r *run) inUse(c candidate, read map[string]string) string {
	if why := r.unlisted(); why != "" {
		return why
	}
	known := r.known.Parameters[c.name]
	exported := known.Version == c.there.Version && (known.Status == journal.Exported || known.Status == journal.Deleting) // and compared before that
	switch {
	case exported:
	case c.digest == "":
		return "the plan doesn't tell the value that was migrated from it, which it may no longer hold: plan again if a secret is to take its place, or delete it by hand"
	case r.Key.Of(c.there.Value) != c.digest:
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

// owned tells which tool owns the parameter, and would make it again or fail
// without it, or "".
func (r *run) owned(ctx context.Context, name string) string {
	list, err := r.tags(ctx, name)
	if err != nil {
		return "who owns it isn't known: " + err.Error()
	}
	tags := map[string]string{}
	for _, tag := range list {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	if tool := (discover.Service{Tags: tags}).ManagedBy(); tool != "" {
		return tool + " owns it: take it out there"
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
	names := func(text string) bool { return mentions(text, p.Name) || mentions(text, p.ARN) }
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
			if i := slices.IndexFunc(c.Arguments, setting); i >= 0 {
				return c.Arguments[i].Name + " of " + d.ARN + ", which " + users[d.ARN] + " starts,"
			}
		}
	}
	for _, s := range r.estate.ScheduledTasks {
		for _, c := range s.Overrides {
			if i := slices.IndexFunc(c.Settings, setting); i >= 0 {
				return "variable " + c.Settings[i].Name + " in the input of " + s.ARN
			}
		}
	}
	return ""
}

// mentions tells whether a text names the parameter, of which that is the name or
// the ARN: alone, with a version or a label (name:3), or, if it has a slash, in
// the midst of other text, such as {{resolve:ssm:/name:3}} or a JSON object.
func mentions(text, name string) bool {
	if text == name || strings.HasPrefix(text, name+":") {
		return true
	}
	if !strings.Contains(name, "/") {
		return false // a word like any other
	}
	for at := 0; ; at++ {
		i := strings.Index(text[at:], name)
		if i < 0 {
			return false
		}
		at += i
		before, after := text[:at], text[at+len(name):]
		// ssm:///name has slashes more than the name.
		if !endsInName(strings.TrimSuffix(before, "//")) && (after == "" || !inName(after[0])) {
			return true
		}
	}
}

func endsInName(text string) bool { return text != "" && inName(text[len(text)-1]) }

// inName tells whether a parameter's name can have the character (Systems Manager
// API reference, PutParameter).
func inName(c byte) bool {
	return c == '/' || c == '.' || c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
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

// describe returns what is known of a parameter besides its value. SSM fills pages
// as well as it can, so one may be empty though another follows (Systems Manager
// API reference, DescribeParameters).
func (r *run) describe(ctx context.Context, name string) (ssmtypes.ParameterMetadata, []ssmtypes.Tag, error) {
	pages := ssm.NewDescribeParametersPaginator(r.parameters, &ssm.DescribeParametersInput{
		ParameterFilters: []ssmtypes.ParameterStringFilter{{Key: aws.String("Name"), Option: aws.String("Equals"), Values: []string{name}}},
	})
	var found []ssmtypes.ParameterMetadata
	for pages.HasMorePages() && len(found) == 0 {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return ssmtypes.ParameterMetadata{}, nil, fmt.Errorf("describe parameter %s: %w", name, refusal.Of(err))
		}
		found = page.Parameters
	}
	if len(found) != 1 {
		return ssmtypes.ParameterMetadata{}, nil, fmt.Errorf("parameter %s isn't there any more", name)
	}
	tags, err := r.tags(ctx, name)
	return found[0], tags, err
}

func (r *run) tags(ctx context.Context, name string) ([]ssmtypes.Tag, error) {
	out, err := r.parameters.ListTagsForResource(ctx, &ssm.ListTagsForResourceInput{ResourceType: ssmtypes.ResourceTypeForTaggingParameter, ResourceId: &name})
	if err != nil {
		return nil, fmt.Errorf("list the tags of parameter %s: %w", name, refusal.Of(err))
	}
	return out.TagList, nil
}
