// Package ssm is the local cloud's AWS Systems Manager Parameter Store:
// parameters of all three types with versions, labels, tags and hierarchies,
// and references to secrets. The other parts of Systems Manager are refused, as
// are parameter policies.
package ssm

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is the Parameter Store.
type Service struct {
	env     *api.Env
	keys    keys
	secrets secrets

	mu         sync.Mutex
	parameters map[place]map[string]*parameter // by name
}

// keys is what the Parameter Store needs of KMS for SecureString.
type keys interface {
	Encrypt(ctx context.Context, caller api.Caller, region, keyID string, plaintext []byte, encryptionContext map[string]string) (ciphertext []byte, keyARN string, err error)
	Decrypt(ctx context.Context, caller api.Caller, region string, ciphertext []byte, encryptionContext map[string]string) ([]byte, error)
}

// secrets is what it needs of Secrets Manager for /aws/reference/secretsmanager.
type secrets interface {
	// ReadString reads the current version of a secret in the caller's name.
	ReadString(ctx context.Context, caller api.Caller, region, id string) (value string, created time.Time, err error)
}

type place struct{ account, region string }

type parameter struct {
	name, arn   string
	kind        string
	tier        string
	description string
	keyID       string
	dataType    string
	allowed     string
	tags        map[string]string
	versions    []*version // oldest first
}

type version struct {
	number   int64
	value    []byte // ciphertext for SecureString
	modified time.Time
	user     string
	labels   []string
}

const (
	secure       = "SecureString"
	maxVersions  = 100
	maxLabels    = 10
	reference    = "/aws/reference/secretsmanager/"
	defaultKey   = "alias/aws/ssm"
	standardSize = 4 << 10
	advancedSize = 8 << 10
)

// New makes a Parameter Store without parameters.
func New(env *api.Env, k keys, s secrets) *Service {
	return &Service{env: env, keys: k, secrets: s, parameters: map[place]map[string]*parameter{}}
}

// Name implements api.Service.
func (s *Service) Name() string { return "ssm" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.JSONRPC{Version: "1.1"} }

// SensitiveMembers implements api.Sensitive.
func (s *Service) SensitiveMembers() []string { return []string{"Value"} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{
		"PutParameter":            api.JSON(s.putParameter),
		"GetParameter":            api.JSON(s.getParameter),
		"GetParameters":           api.JSON(s.getParameters),
		"GetParametersByPath":     api.JSON(s.getParametersByPath),
		"GetParameterHistory":     api.JSON(s.getParameterHistory),
		"DescribeParameters":      api.JSON(s.describeParameters),
		"DeleteParameter":         api.JSON(s.deleteParameter),
		"DeleteParameters":        api.JSON(s.deleteParameters),
		"LabelParameterVersion":   api.JSON(s.labelParameterVersion),
		"UnlabelParameterVersion": api.JSON(s.unlabelParameterVersion),
		"AddTagsToResource":       api.JSON(s.addTags),
		"RemoveTagsFromResource":  api.JSON(s.removeTags),
		"ListTagsForResource":     api.JSON(s.listTags),
	}[operation]
}

func at(r *api.Request) place { return place{r.Account, r.Region} }

func via(c api.Caller, region string) api.Caller {
	c.Via = "ssm." + region + ".amazonaws.com"
	return c
}

// arn of a parameter: names with a slash bring their own.
func arn(r *api.Request, name string) string {
	return r.ARN("ssm", "parameter/"+strings.TrimPrefix(name, "/"))
}

// plainName takes the name out of a parameter's ARN.
func plainName(name string) string {
	if !strings.HasPrefix(name, "arn:") {
		return name
	}
	_, rest, _ := strings.Cut(name, ":parameter/")
	if strings.Contains(rest, "/") {
		return "/" + rest
	}
	return rest
}

// authorize asks IAM about a parameter, which may not be there. s.mu is held.
func (s *Service) authorize(ctx context.Context, r *api.Request, action, name string) error {
	check := api.Check{Action: "ssm:" + action, Resource: arn(r, name), Context: map[string][]string{}}
	if p := s.parameters[at(r)][name]; p != nil {
		for k, v := range p.tags {
			check.Context["aws:ResourceTag/"+k] = []string{v}
			check.Context["ssm:resourceTag/"+k] = []string{v}
		}
	}
	r.TrailResources = append(r.TrailResources, check.Resource)
	return r.Authorize(ctx, check)
}

// open finds a parameter that the caller may do action to. s.mu is held.
func (s *Service) open(ctx context.Context, r *api.Request, action, name string) (*parameter, error) {
	name = plainName(name)
	if err := s.authorize(ctx, r, action, name); err != nil {
		return nil, err
	}
	p := s.parameters[at(r)][name]
	if p == nil {
		return nil, api.Errorf("ParameterNotFound", "Parameter %s not found.", name)
	}
	return p, nil
}

func (p *parameter) newest() *version { return p.versions[len(p.versions)-1] }

func (p *parameter) find(number int64) *version {
	for _, v := range p.versions {
		if v.number == number {
			return v
		}
	}
	return nil
}

func (p *parameter) labelled(label string) *version {
	for _, v := range p.versions {
		if slices.Contains(v.labels, label) {
			return v
		}
	}
	return nil
}

var (
	nameSyntax     = regexp.MustCompile(`^[a-zA-Z0-9_.\-/]+$`)
	reservedSyntax = regexp.MustCompile(`(?i)^/?(aws|ssm)`)
)

func checkName(name string) error {
	switch {
	case len(name) > 1011 || !nameSyntax.MatchString(name) || strings.Contains(name, "//") || strings.HasSuffix(name, "/"):
		return api.Errorf("ValidationException", "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_")
	case reservedSyntax.MatchString(name):
		return api.Errorf("ValidationException", "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive).")
	case strings.Contains(name, "/") && !strings.HasPrefix(name, "/"):
		return api.Errorf("ValidationException", "Parameter name must be a fully qualified name.")
	case strings.Count(name, "/") > 15:
		return api.Errorf("HierarchyLevelLimitExceededException", "A hierarchy can have a maximum of 15 levels.")
	}
	return nil
}

type tag struct{ Key, Value string }

func tagList(tags map[string]string) []tag {
	list := []tag{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, tag{k, tags[k]})
	}
	return list
}

type tagsInput struct {
	ResourceType string
	ResourceID   string `json:"ResourceId"`
	Tags         []tag
	TagKeys      []string
}

func (s *Service) openTagged(ctx context.Context, r *api.Request, in *tagsInput, action string) (*parameter, error) {
	if in.ResourceType != "Parameter" {
		r.AllowAll()
		return nil, api.Errorf("InvalidResourceType", "The emulator tags parameters only.")
	}
	p, err := s.open(ctx, r, action, in.ResourceID)
	if e, ok := err.(*api.Error); ok && e.Code == "ParameterNotFound" { //nolint:errorlint // open never wraps
		return nil, api.Errorf("InvalidResourceId", "The resource ID %s is not valid.", in.ResourceID)
	}
	return p, err
}

func (s *Service) addTags(ctx context.Context, r *api.Request, in *tagsInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.openTagged(ctx, r, in, "AddTagsToResource")
	if err != nil {
		return nil, err
	}
	for _, t := range in.Tags {
		p.tags[t.Key] = t.Value
	}
	return nil, nil
}

func (s *Service) removeTags(ctx context.Context, r *api.Request, in *tagsInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.openTagged(ctx, r, in, "RemoveTagsFromResource")
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(p.tags, k)
	}
	return nil, nil
}

type listTagsOutput struct{ TagList []tag }

func (s *Service) listTags(ctx context.Context, r *api.Request, in *tagsInput) (*listTagsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.openTagged(ctx, r, in, "ListTagsForResource")
	if err != nil {
		return nil, err
	}
	return &listTagsOutput{tagList(p.tags)}, nil
}
