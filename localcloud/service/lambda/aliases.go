package lambda

import (
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"maps"
	"regexp"
	"slices"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

// alias points to a version, and with a routing configuration to a second one
// for a part of the invocations.
type alias struct {
	name        string
	version     string
	description string
	weights     map[string]float64
	revisionID  string
}

type routingConfig struct {
	AdditionalVersionWeights map[string]float64 `json:",omitempty"`
}

type aliasInput struct {
	Description     *string
	FunctionVersion *string
	Name            string // CreateAlias only
	RevisionId      string // UpdateAlias only
	RoutingConfig   *routingConfig
}

type aliasOutput struct {
	AliasArn        string
	Description     string
	FunctionVersion string
	Name            string
	RevisionId      string
	RoutingConfig   *routingConfig `json:",omitempty"`
}

func (a *alias) show(f *function) aliasOutput {
	out := aliasOutput{
		AliasArn: qualified(f.functionKey, a.name), Description: a.description,
		FunctionVersion: a.version, Name: a.name, RevisionId: a.revisionID,
	}
	if len(a.weights) > 0 {
		out.RoutingConfig = &routingConfig{maps.Clone(a.weights)}
	}
	return out
}

// aliasForm is Lambda's: not only digits, which are versions.
var (
	aliasForm  = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,128}$`)
	digitsForm = regexp.MustCompile(`^\d+$`)
)

// aliasTarget is target for the operations on an alias, whose name is in the
// path or, when it is made, in the body.
func (s *Service) aliasTarget(ctx context.Context, r *api.Request, action, name string) (reference, error) {
	ref, err := parseReference(r.Path["FunctionName"], "", r.Region, r.Account)
	if err != nil {
		return ref, err
	}
	if !aliasForm.MatchString(name) || digitsForm.MatchString(name) {
		return ref, constraint(name, "name", `Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)`)
	}
	r.TrailResources = []string{ref.functionKey.arn()}
	return ref, r.Authorize(ctx, s.check(reference{functionKey: ref.functionKey}, "lambda:"+action))
}

func (s *Service) createAlias(ctx context.Context, r *api.Request, in *aliasInput) (*api.Reply, error) {
	ref, err := s.aliasTarget(ctx, r, "CreateAlias", in.Name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, _, err := s.find(reference{functionKey: ref.functionKey})
	if err != nil {
		return nil, err
	}
	if f.aliases[in.Name] != nil {
		return nil, conflict("Alias already exists: %s", qualified(f.functionKey, in.Name))
	}
	a, err := (&alias{name: in.Name}).with(f, *in)
	if err != nil {
		return nil, err
	}
	f.aliases[a.name] = a
	return created(a.show(f)), nil
}

// with returns the alias as in changes it.
func (a *alias) with(f *function, in aliasInput) (*alias, error) {
	next := *a
	set(&next.version, in.FunctionVersion)
	set(&next.description, in.Description)
	if in.RoutingConfig != nil {
		next.weights = maps.Clone(in.RoutingConfig.AdditionalVersionWeights)
	}
	if f.version(next.version) == nil {
		return nil, functionNotFound(qualified(f.functionKey, next.version))
	}
	if len(next.weights) > 1 {
		return nil, invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
	}
	for number, weight := range next.weights {
		switch {
		case f.version(number) == nil:
			return nil, functionNotFound(qualified(f.functionKey, number))
		case number == latest || next.version == latest:
			return nil, invalid("$LATEST is not supported for an alias pointing to more than 1 version")
		case number == next.version:
			return nil, invalid("Invalid function version %s. Function version %s is already included in routing configuration.", number, number)
		case weight < 0 || weight > 1:
			return nil, invalid("The weight of version %s must be between 0 and 1.", number)
		}
	}
	next.revisionID = uuid.NewString()
	return &next, nil
}

func (s *Service) updateAlias(ctx context.Context, r *api.Request, in *aliasInput) (*aliasOutput, error) {
	ref, err := s.aliasTarget(ctx, r, "UpdateAlias", r.Path["Name"])
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, a, err := s.findAlias(ref, r.Path["Name"])
	if err != nil {
		return nil, err
	}
	if in.RevisionId != "" && in.RevisionId != a.revisionID {
		return nil, preconditionFailed()
	}
	next, err := a.with(f, *in)
	if err != nil {
		return nil, err
	}
	f.aliases[a.name] = next
	out := next.show(f)
	return &out, nil
}

func (s *Service) findAlias(ref reference, name string) (*function, *alias, error) {
	f, _, err := s.find(reference{functionKey: ref.functionKey})
	if err != nil {
		return nil, nil, err
	}
	a := f.aliases[name]
	if a == nil {
		return nil, nil, notFound("Cannot find alias arn: %s", qualified(f.functionKey, name))
	}
	return f, a, nil
}

func (s *Service) getAlias(ctx context.Context, r *api.Request, _ *empty) (*aliasOutput, error) {
	ref, err := s.aliasTarget(ctx, r, "GetAlias", r.Path["Name"])
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, a, err := s.findAlias(ref, r.Path["Name"])
	if err != nil {
		return nil, err
	}
	out := a.show(f)
	return &out, nil
}

func (s *Service) deleteAlias(ctx context.Context, r *api.Request, _ *empty) (*api.Reply, error) {
	ref, err := s.aliasTarget(ctx, r, "DeleteAlias", r.Path["Name"])
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, _, err := s.find(reference{functionKey: ref.functionKey})
	if err != nil {
		return nil, err
	}
	delete(f.aliases, r.Path["Name"])
	delete(f.policies, r.Path["Name"])
	return noContent(), nil
}

type listAliasesOutput struct {
	Aliases    []aliasOutput
	NextMarker string `json:",omitempty"`
}

func (s *Service) listAliases(ctx context.Context, r *api.Request, _ *empty) (*listAliasesOutput, error) {
	ref, err := s.target(ctx, r, "ListAliases")
	if err != nil {
		return nil, err
	}
	only := r.HTTP.URL.Query().Get("FunctionVersion")
	s.mu.Lock()
	defer s.mu.Unlock()
	f, _, err := s.find(reference{functionKey: ref.functionKey})
	if err != nil {
		return nil, err
	}
	var list []aliasOutput
	for _, a := range slices.SortedFunc(maps.Values(f.aliases), func(a, b *alias) int { return cmp.Compare(a.name, b.name) }) {
		if only == "" || only == a.version {
			list = append(list, a.show(f))
		}
	}
	page, next, err := paged(r, list)
	if err != nil {
		return nil, err
	}
	return &listAliasesOutput{page, next}, nil
}

// pick chooses the version for one invocation by the weights.
func (a *alias) pick(random io.Reader) (string, error) {
	for number, weight := range a.weights { // at most one
		var b [4]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", err
		}
		if float64(binary.BigEndian.Uint32(b[:]))/(1<<32) < weight {
			return number, nil
		}
	}
	return a.version, nil
}
