package ssm

import (
	"context"
	"regexp"
	"slices"

	"github.com/aistudio/secrets/localcloud/api"
)

type putParameterInput struct {
	Name, Value, Type, Description, AllowedPattern, Tier, DataType string
	KeyID                                                          string `json:"KeyId"`
	Overwrite                                                      bool
	Tags                                                           []tag
}

type putParameterOutput struct {
	Tier    string
	Version int64
}

func (s *Service) putParameter(ctx context.Context, r *api.Request, in *putParameterInput) (*putParameterOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.Name = plainName(in.Name)
	if err := s.authorize(ctx, r, "PutParameter", in.Name); err != nil {
		return nil, err
	}
	if err := checkName(in.Name); err != nil {
		return nil, err
	}
	p := s.parameters[at(r)][in.Name]
	if err := in.check(p); err != nil {
		return nil, err
	}
	if p == nil {
		p = &parameter{name: in.Name, arn: arn(r, in.Name), kind: in.Type, tier: "Standard", dataType: "text", tags: map[string]string{}}
	}
	next := *p
	if in.Type != "" {
		next.kind = in.Type
	}
	if in.Tier == "Advanced" {
		next.tier = in.Tier
	}
	if in.Description != "" {
		next.description = in.Description
	}
	if in.AllowedPattern != "" {
		next.allowed = in.AllowedPattern
	}
	v := &version{number: 1, value: []byte(in.Value), modified: r.Time, user: r.Caller.ARN}
	if len(p.versions) > 0 {
		v.number = p.newest().number + 1
	}
	if next.kind == secure {
		if in.KeyID != "" {
			next.keyID = in.KeyID
		}
		if next.keyID == "" {
			next.keyID = defaultKey
		}
		sealed, _, err := s.keys.Encrypt(ctx, via(r.Caller, r.Region), r.Region, next.keyID, v.value, p.context())
		if err != nil {
			return nil, err
		}
		v.value = sealed
	}
	next.versions = append(slices.Clone(p.versions), v)
	if len(next.versions) > maxVersions {
		if len(next.versions[0].labels) > 0 {
			return nil, api.Errorf("ParameterMaxVersionLimitExceeded", "The oldest of the %d versions of %s has a label and can't be dropped.", maxVersions, in.Name)
		}
		next.versions = next.versions[1:]
	}
	for _, t := range in.Tags {
		next.tags[t.Key] = t.Value
	}
	if s.parameters[at(r)] == nil {
		s.parameters[at(r)] = map[string]*parameter{}
	}
	s.parameters[at(r)][in.Name] = &next
	r.TrailResponse = map[string]any{"version": v.number, "tier": next.tier}
	return &putParameterOutput{next.tier, v.number}, nil
}

// context binds a SecureString's ciphertext to its parameter:
// https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html.
func (p *parameter) context() map[string]string {
	return map[string]string{"PARAMETER_ARN": p.arn}
}

func (in *putParameterInput) check(p *parameter) error {
	switch {
	case p != nil && !in.Overwrite:
		return api.Errorf("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
	case p != nil && len(in.Tags) > 0:
		return api.Errorf("ValidationException", "Invalid request: tags and overwrite can't be used together.")
	case p == nil && in.Type == "":
		return api.Errorf("ValidationException", "A parameter type is required when you create a parameter.")
	case in.Type != "" && !slices.Contains([]string{"String", "StringList", secure}, in.Type):
		return api.Errorf("ValidationException", "Value at 'type' failed to satisfy constraint: Member must satisfy enum value set: [SecureString, StringList, String]")
	case in.DataType != "" && in.DataType != "text":
		return api.Errorf("ValidationException", "The emulator has the data type text only.")
	case in.KeyID != "" && in.Type != secure:
		return api.Errorf("ValidationException", "KeyId is for the type SecureString only.")
	case in.Value == "":
		return api.Errorf("ValidationException", "Value at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1")
	}
	limit := standardSize
	if in.Tier == "Advanced" || p != nil && p.tier == "Advanced" {
		limit = advancedSize
	}
	if len(in.Value) > limit {
		return api.Errorf("ValidationException", "Parameters of this tier can't hold more than %d characters.", limit)
	}
	if in.AllowedPattern != "" {
		pattern, err := regexp.Compile(in.AllowedPattern)
		if err != nil {
			return api.Errorf("InvalidAllowedPatternException", "The allowed pattern is not a valid regular expression.")
		}
		if !pattern.MatchString(in.Value) {
			return api.Errorf("ParameterPatternMismatchException", "Parameter value doesn't match the allowed pattern.")
		}
	}
	return nil
}

type nameInput struct{ Name string }

func (s *Service) deleteParameter(ctx context.Context, r *api.Request, in *nameInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.open(ctx, r, "DeleteParameter", in.Name)
	if err != nil {
		return nil, err
	}
	delete(s.parameters[at(r)], p.name)
	return nil, nil
}

type namesInput struct{ Names []string }

type deleteParametersOutput struct{ DeletedParameters, InvalidParameters []string }

func (s *Service) deleteParameters(ctx context.Context, r *api.Request, in *namesInput) (*deleteParametersOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkCount(in.Names); err != nil {
		r.AllowAll()
		return nil, err
	}
	out := &deleteParametersOutput{DeletedParameters: []string{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		if err := s.authorize(ctx, r, "DeleteParameters", plainName(name)); err != nil {
			return nil, err
		}
	}
	for _, name := range in.Names {
		if s.parameters[at(r)][plainName(name)] == nil {
			out.InvalidParameters = append(out.InvalidParameters, name)
			continue
		}
		delete(s.parameters[at(r)], plainName(name))
		out.DeletedParameters = append(out.DeletedParameters, name)
	}
	return out, nil
}

func checkCount(names []string) error {
	if len(names) < 1 || len(names) > 10 {
		return api.Errorf("ValidationException", "Value at 'names' failed to satisfy constraint: Member must have length between 1 and 10")
	}
	return nil
}

type labelInput struct {
	Name             string
	ParameterVersion *int64
	Labels           []string
}

type labelOutput struct {
	InvalidLabels    []string
	ParameterVersion int64
}

var labelSyntax = regexp.MustCompile(`^[a-zA-Z_.\-][a-zA-Z0-9_.\-]{0,99}$`)

func (s *Service) labelParameterVersion(ctx context.Context, r *api.Request, in *labelInput) (*labelOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.open(ctx, r, "LabelParameterVersion", in.Name)
	if err != nil {
		return nil, err
	}
	v := p.newest()
	if in.ParameterVersion != nil {
		if v = p.find(*in.ParameterVersion); v == nil {
			return nil, api.Errorf("ParameterVersionNotFound", "Systems Manager could not find version %d of %s.", *in.ParameterVersion, p.name)
		}
	}
	out := &labelOutput{InvalidLabels: []string{}, ParameterVersion: v.number}
	labels := slices.Clone(v.labels)
	for _, label := range in.Labels {
		if !labelSyntax.MatchString(label) || reservedSyntax.MatchString(label) {
			out.InvalidLabels = append(out.InvalidLabels, label)
		} else if !slices.Contains(labels, label) {
			labels = append(labels, label)
		}
	}
	if len(labels) > maxLabels {
		return nil, api.Errorf("ParameterVersionLabelLimitExceeded", "A parameter version can have maximum %d labels.", maxLabels)
	}
	for _, other := range p.versions {
		if other != v {
			other.labels = slices.DeleteFunc(other.labels, func(l string) bool { return slices.Contains(labels, l) })
		}
	}
	v.labels = labels
	return out, nil
}

type unlabelOutput struct{ RemovedLabels, InvalidLabels []string }

func (s *Service) unlabelParameterVersion(ctx context.Context, r *api.Request, in *labelInput) (*unlabelOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.open(ctx, r, "UnlabelParameterVersion", in.Name)
	if err != nil {
		return nil, err
	}
	if in.ParameterVersion == nil || p.find(*in.ParameterVersion) == nil {
		return nil, api.Errorf("ParameterVersionNotFound", "Systems Manager could not find that version of %s.", p.name)
	}
	v := p.find(*in.ParameterVersion)
	out := &unlabelOutput{RemovedLabels: []string{}, InvalidLabels: []string{}}
	for _, label := range in.Labels {
		if i := slices.Index(v.labels, label); i >= 0 {
			v.labels = slices.Delete(v.labels, i, i+1)
			out.RemovedLabels = append(out.RemovedLabels, label)
		} else {
			out.InvalidLabels = append(out.InvalidLabels, label)
		}
	}
	return out, nil
}
