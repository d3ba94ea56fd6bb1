package ssm

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

type parameterOutput struct {
	ARN              string
	DataType         string
	LastModifiedDate *api.Time
	Name             string
	Selector         string `json:",omitempty"`
	SourceResult     string `json:",omitempty"`
	Type             string
	Value            string
	Version          int64
}

// show gives a version's value; that of a SecureString is ciphertext unless it
// is to be decrypted.
func (s *Service) show(ctx context.Context, r *api.Request, p *parameter, v *version, selector string, decrypt bool) (*parameterOutput, error) {
	out := &parameterOutput{
		ARN: p.arn, DataType: p.dataType, LastModifiedDate: api.NewTime(v.modified), Name: p.name,
		Selector: selector, Type: p.kind, Value: string(v.value), Version: v.number,
	}
	switch {
	case p.kind == secure && decrypt:
		plain, err := s.keys.Decrypt(ctx, via(r.Caller, r.Region), r.Region, v.value, p.context())
		if err != nil {
			return nil, err
		}
		out.Value = string(plain)
	case p.kind == secure:
		out.Value = base64.StdEncoding.EncodeToString(v.value)
	}
	return out, nil
}

// get reads one name with its selector (":3" or ":label"). s.mu is held.
func (s *Service) get(ctx context.Context, r *api.Request, action, name string, decrypt bool) (*parameterOutput, error) {
	if strings.HasPrefix(name, reference) {
		return s.getReference(ctx, r, action, name, decrypt)
	}
	name = plainName(name)
	base, selector, selected := strings.Cut(name, ":")
	p, err := s.open(ctx, r, action, base)
	if err != nil {
		return nil, err
	}
	v := p.newest()
	if selected {
		if number, err := strconv.ParseInt(selector, 10, 64); err == nil {
			v = p.find(number)
		} else {
			v = p.labelled(selector)
		}
		if v == nil {
			return nil, api.Errorf("ParameterVersionNotFound", "Systems Manager could not find version %s of %s.", selector, base)
		}
		selector = ":" + selector
	}
	return s.show(ctx, r, p, v, selector, decrypt)
}

// getReference reads a secret through its parameter name:
// https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html.
func (s *Service) getReference(ctx context.Context, r *api.Request, action, name string, decrypt bool) (*parameterOutput, error) {
	if err := s.authorize(ctx, r, action, name); err != nil {
		return nil, err
	}
	if !decrypt {
		return nil, api.Errorf("ValidationException", "WithDecryption flag must be True for retrieving a Secret Manager secret.")
	}
	value, created, err := s.secrets.ReadString(ctx, via(r.Caller, r.Region), r.Region, strings.TrimPrefix(name, reference))
	var apiErr *api.Error
	if errors.As(err, &apiErr) && apiErr.Code == "ResourceNotFoundException" {
		return nil, api.Errorf("ParameterNotFound", "An error occurred (ParameterNotFound) when referencing Secrets Manager: Secret %s not found.", name)
	}
	if err != nil {
		return nil, err
	}
	return &parameterOutput{
		ARN: arn(r, name), DataType: "text", LastModifiedDate: api.NewTime(created), Name: name, Type: secure, Value: value,
	}, nil
}

type getParameterInput struct {
	Name           string
	WithDecryption bool
}

type getParameterOutput struct{ Parameter *parameterOutput }

func (s *Service) getParameter(ctx context.Context, r *api.Request, in *getParameterInput) (*getParameterOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, err := s.get(ctx, r, "GetParameter", in.Name, in.WithDecryption)
	if err != nil {
		return nil, err
	}
	return &getParameterOutput{out}, nil
}

type getParametersInput struct {
	Names          []string
	WithDecryption bool
}

type getParametersOutput struct {
	Parameters        []*parameterOutput
	InvalidParameters []string
}

func (s *Service) getParameters(ctx context.Context, r *api.Request, in *getParametersInput) (*getParametersOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkCount(in.Names); err != nil {
		r.AllowAll()
		return nil, err
	}
	out := &getParametersOutput{Parameters: []*parameterOutput{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		p, err := s.get(ctx, r, "GetParameters", name, in.WithDecryption)
		var apiErr *api.Error
		switch {
		case errors.As(err, &apiErr) && strings.HasPrefix(apiErr.Code, "Parameter"):
			out.InvalidParameters = append(out.InvalidParameters, name)
		case err != nil:
			return nil, err
		default:
			out.Parameters = append(out.Parameters, p)
		}
	}
	return out, nil
}

type filter struct {
	Key    string
	Option string
	Values []string
}

// matches reports whether a parameter passes a filter:
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterStringFilter.html.
func (f filter) matches(p *parameter) (bool, error) {
	var have []string
	switch key, isTag := strings.CutPrefix(f.Key, "tag:"); {
	case isTag:
		value, ok := p.tags[key]
		if !ok || len(f.Values) == 0 {
			return ok, nil
		}
		have = []string{value}
	case f.Key == "Name":
		have = []string{p.name}
	case f.Key == "Type":
		have = []string{p.kind}
	case f.Key == "KeyId":
		have = []string{p.keyID}
	case f.Key == "Tier":
		have = []string{p.tier}
	case f.Key == "Label":
		have = p.newest().labels
	case f.Key == "Path":
		return slices.ContainsFunc(f.Values, func(path string) bool { return below(p.name, path, f.Option == "Recursive") }), nil
	default:
		return false, api.Errorf("InvalidFilterKey", "The emulator has no filter key %s.", f.Key)
	}
	for _, h := range have {
		for _, want := range f.Values {
			switch f.Option {
			case "", "Equals":
				if h == want || f.Key == "Name" && strings.TrimPrefix(h, "/") == strings.TrimPrefix(want, "/") {
					return true, nil
				}
			case "BeginsWith":
				if strings.HasPrefix(h, want) {
					return true, nil
				}
			case "Contains":
				if strings.Contains(h, want) {
					return true, nil
				}
			default:
				return false, api.Errorf("InvalidFilterOption", "The filter option %s is not valid for %s.", f.Option, f.Key)
			}
		}
	}
	return false, nil
}

// below reports whether a name lies under a path, directly or at any depth.
func below(name, path string, recursive bool) bool {
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(path, "/")+"/")
	return ok && rest != "" && (recursive || !strings.Contains(rest, "/"))
}

// list returns the parameters that pass all filters, a page of them in the
// order of their names. The token is the last name shown. s.mu is held.
func (s *Service) list(p place, filters []filter, limit, most int, token string) (page []*parameter, next string, err error) {
	if limit < 1 || limit > most {
		return nil, "", api.Errorf("ValidationException", "MaxResults must be between 1 and %d.", most)
	}
	for _, name := range slices.Sorted(maps.Keys(s.parameters[p])) {
		if name <= token {
			continue
		}
		parameter, ok := s.parameters[p][name], true
		for _, f := range filters {
			if ok, err = f.matches(parameter); err != nil {
				return nil, "", err
			}
			if !ok {
				break
			}
		}
		if !ok {
			continue
		}
		if len(page) == limit {
			return page, page[limit-1].name, nil
		}
		page = append(page, parameter)
	}
	return page, "", nil
}

func number(n *int, missing int) int {
	if n == nil {
		return missing
	}
	return *n
}

type byPathInput struct {
	Path             string
	Recursive        bool
	ParameterFilters []filter
	WithDecryption   bool
	MaxResults       *int
	NextToken        string
}

type byPathOutput struct {
	Parameters []*parameterOutput
	NextToken  string `json:",omitempty"`
}

func (s *Service) getParametersByPath(ctx context.Context, r *api.Request, in *byPathInput) (*byPathOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.authorize(ctx, r, "GetParametersByPath", strings.TrimSuffix(in.Path, "/")); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(in.Path, "/") {
		return nil, api.Errorf("ValidationException", "The parameter path must begin with a slash.")
	}
	option := "OneLevel"
	if in.Recursive {
		option = "Recursive"
	}
	filters := append([]filter{{Key: "Path", Option: option, Values: []string{in.Path}}}, in.ParameterFilters...)
	page, next, err := s.list(at(r), filters, number(in.MaxResults, 10), 10, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &byPathOutput{Parameters: []*parameterOutput{}, NextToken: next}
	for _, p := range page {
		shown, err := s.show(ctx, r, p, p.newest(), "", in.WithDecryption)
		if err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, shown)
	}
	return out, nil
}

type metadata struct {
	ARN              string
	AllowedPattern   string `json:",omitempty"`
	DataType         string
	Description      string `json:",omitempty"`
	KeyID            string `json:"KeyId,omitempty"`
	LastModifiedDate *api.Time
	LastModifiedUser string
	Name             string
	Tier             string
	Type             string
	Version          int64
	Labels           []string `json:",omitempty"`
	Value            *string  `json:",omitempty"`
	Policies         []struct{}
}

func (p *parameter) metadata(v *version) metadata {
	return metadata{
		ARN: p.arn, AllowedPattern: p.allowed, DataType: p.dataType, Description: p.description, KeyID: p.keyID,
		LastModifiedDate: api.NewTime(v.modified), LastModifiedUser: v.user, Name: p.name, Tier: p.tier, Type: p.kind,
		Version: v.number, Policies: []struct{}{},
	}
}

type describeInput struct {
	ParameterFilters []filter
	MaxResults       *int
	NextToken        string
}

type describeOutput struct {
	Parameters []metadata
	NextToken  string `json:",omitempty"`
}

func (s *Service) describeParameters(ctx context.Context, r *api.Request, in *describeInput) (*describeOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := r.Authorize(ctx, api.Check{Action: "ssm:DescribeParameters", Resource: "*"}); err != nil {
		return nil, err
	}
	page, next, err := s.list(at(r), in.ParameterFilters, number(in.MaxResults, 50), 50, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &describeOutput{Parameters: []metadata{}, NextToken: next}
	for _, p := range page {
		out.Parameters = append(out.Parameters, p.metadata(p.newest()))
	}
	return out, nil
}

type historyInput struct {
	Name           string
	WithDecryption bool
	MaxResults     *int
	NextToken      string
}

func (s *Service) getParameterHistory(ctx context.Context, r *api.Request, in *historyInput) (*describeOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.open(ctx, r, "GetParameterHistory", in.Name)
	if err != nil {
		return nil, err
	}
	after, _ := strconv.ParseInt(in.NextToken, 10, 64) // no token: from the first
	out := &describeOutput{Parameters: []metadata{}}
	for _, v := range p.versions {
		if v.number <= after {
			continue
		}
		if len(out.Parameters) == number(in.MaxResults, 50) {
			out.NextToken = strconv.FormatInt(out.Parameters[len(out.Parameters)-1].Version, 10)
			break
		}
		shown, err := s.show(ctx, r, p, v, "", in.WithDecryption)
		if err != nil {
			return nil, err
		}
		m := p.metadata(v)
		m.Value, m.Labels = &shown.Value, v.labels
		out.Parameters = append(out.Parameters, m)
	}
	return out, nil
}
