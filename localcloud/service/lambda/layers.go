package lambda

import (
	"cmp"
	"context"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// layer is all versions of a layer under one name.
type layer struct {
	functionKey
	versions []*layerVersion // ascending, without deleted ones
	count    int             // of versions ever published
}

// layerVersion doesn't change but for its policy.
type layerVersion struct {
	layer         *layer
	number        int
	code          codePackage
	description   string
	license       string
	architectures []string
	runtimes      []string
	created       time.Time
	policy        *policy
}

func (l *layer) layerARN() string {
	return api.ARN("lambda", l.region, l.account, "layer:"+l.name)
}

func (v *layerVersion) arn() string { return v.layer.layerARN() + ":" + strconv.Itoa(v.number) }

var (
	layerForm        = regexp.MustCompile(`^(?:arn:aws[a-zA-Z-]*:lambda:([a-z0-9-]+):(\d{12}):layer:)?([a-zA-Z0-9-_]{1,140})$`)
	layerVersionForm = regexp.MustCompile(`^arn:aws[a-zA-Z-]*:lambda:([a-z0-9-]+):(\d{12}):layer:([a-zA-Z0-9-_]{1,140}):(\d+)$`)
)

// layerName reads a layer's name or ARN.
func layerName(text string, r *api.Request) (functionKey, error) {
	m := layerForm.FindStringSubmatch(text)
	if m == nil {
		return functionKey{}, constraint(text, "layerName", "Member must satisfy regular expression pattern: [a-zA-Z0-9-_]+")
	}
	return functionKey{cmp.Or(m[2], r.Account), cmp.Or(m[1], r.Region), m[3]}, nil
}

// resolveLayers finds the layer versions that a function names; its caller must
// be allowed to read them.
func (s *Service) resolveLayers(ctx context.Context, r *api.Request, arns []string) ([]*layerVersion, error) {
	var list []*layerVersion
	seen := map[*layer]bool{}
	for _, arn := range arns {
		m := layerVersionForm.FindStringSubmatch(arn)
		if m == nil {
			return nil, constraint(arn, "layers", "Member must be the ARN of a layer version")
		}
		if m[1] != r.Region {
			return nil, invalid("Layers are not in the same region as the function. Layers are expected to be in region %s.", r.Region)
		}
		v := s.layerVersion(functionKey{m[2], m[1], m[3]}, m[4])
		if err := r.Authorize(ctx, s.layerCheck("GetLayerVersion", arn, v)); err != nil {
			return nil, err
		}
		if v == nil {
			return nil, invalid("Layer version %s does not exist.", arn)
		}
		if seen[v.layer] {
			return nil, invalid("Two different versions of the same layer are not allowed to be referenced in the same function. %s", v.layer.layerARN())
		}
		seen[v.layer] = true
		list = append(list, v)
	}
	return list, nil
}

// layerVersion returns nil when there is none.
func (s *Service) layerVersion(k functionKey, number string) *layerVersion {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.layers[k].version(number)
}

func (l *layer) version(number string) *layerVersion {
	if l == nil {
		return nil
	}
	for _, v := range l.versions {
		if strconv.Itoa(v.number) == number {
			return v
		}
	}
	return nil
}

func (s *Service) layerCheck(action, arn string, v *layerVersion) api.Check {
	c := api.Check{Action: "lambda:" + action, Resource: arn}
	if v != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.ResourcePolicy = v.policy.json()
	}
	return c
}

type publishLayerInput struct {
	CompatibleArchitectures []string
	CompatibleRuntimes      []string
	Content                 struct {
		ZipFile                          []byte
		S3Bucket, S3Key, S3ObjectVersion string
	}
	Description string
	LicenseInfo string
}

type layerVersionOutput struct {
	CompatibleArchitectures []string            `json:",omitempty"`
	CompatibleRuntimes      []string            `json:",omitempty"`
	Content                 *layerContentOutput `json:",omitempty"`
	CreatedDate             string
	Description             string
	LayerArn                string `json:",omitempty"`
	LayerVersionArn         string
	LicenseInfo             string `json:",omitempty"`
	Version                 int
}

type layerContentOutput struct {
	CodeSha256 string
	CodeSize   int64
}

// show is the version as replies show it; lists leave out the content and the
// layer's ARN.
func (v *layerVersion) show(full bool) layerVersionOutput {
	out := layerVersionOutput{
		CompatibleArchitectures: v.architectures, CompatibleRuntimes: v.runtimes,
		CreatedDate: v.created.Format(timeForm), Description: v.description,
		LayerVersionArn: v.arn(), LicenseInfo: v.license, Version: v.number,
	}
	if full {
		out.LayerArn = v.layer.layerARN()
		out.Content = &layerContentOutput{v.code.sum(), v.code.size}
	}
	return out
}

func (s *Service) publishLayerVersion(ctx context.Context, r *api.Request, in *publishLayerInput) (*api.Reply, error) {
	k, err := layerName(r.Path["LayerName"], r)
	if err != nil {
		return nil, err
	}
	fresh := &layer{functionKey: k}
	r.TrailResources = []string{fresh.layerARN()}
	if err := r.Authorize(ctx, api.Check{Action: "lambda:PublishLayerVersion", Resource: fresh.layerARN()}); err != nil {
		return nil, err
	}
	switch {
	case in.Content.S3Bucket != "" || in.Content.S3Key != "" || in.Content.S3ObjectVersion != "":
		return nil, unsupported("layer content from S3; send it as ZipFile")
	case len(in.Content.ZipFile) == 0:
		return nil, invalid("Please provide the content of the layer.")
	case len(in.CompatibleRuntimes) > 15:
		return nil, constraint(in.CompatibleRuntimes, "compatibleRuntimes", "Member must have length less than or equal to 15")
	}
	for _, a := range in.CompatibleArchitectures {
		if _, err := architectureOf([]string{a}, ""); err != nil {
			return nil, err
		}
	}
	code, err := s.packages.add(in.Content.ZipFile)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.layers[k]
	if l == nil {
		l = fresh
		s.layers[k] = l
	}
	l.count++
	v := &layerVersion{
		layer: l, number: l.count, code: code, description: in.Description, license: in.LicenseInfo,
		architectures: in.CompatibleArchitectures, runtimes: in.CompatibleRuntimes, created: s.env.Clock.Now(),
	}
	l.versions = append(l.versions, v)
	return created(v.show(true)), nil
}

// layerTarget finds the layer version in a request's path and asks IAM. The
// version is nil when there is none.
func (s *Service) layerTarget(ctx context.Context, r *api.Request, action string) (*layerVersion, error) {
	k, err := layerName(r.Path["LayerName"], r)
	if err != nil {
		return nil, err
	}
	number := r.Path["VersionNumber"]
	if n, err := strconv.Atoi(number); err != nil || n < 1 {
		return nil, constraint(number, "versionNumber", "Member must be a positive number")
	}
	arn := (&layer{functionKey: k}).layerARN() + ":" + number
	r.TrailResources = []string{arn}
	v := s.layerVersion(k, number)
	return v, r.Authorize(ctx, s.layerCheck(action, arn, v))
}

func layerNotFound() *api.Error { return notFound("The resource you requested does not exist.") }

func (s *Service) getLayerVersion(ctx context.Context, r *api.Request, _ *empty) (*layerVersionOutput, error) {
	v, err := s.layerTarget(ctx, r, "GetLayerVersion")
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, layerNotFound()
	}
	out := v.show(true)
	return &out, nil
}

func (s *Service) getLayerVersionByARN(ctx context.Context, r *api.Request, _ *empty) (*layerVersionOutput, error) {
	arn := r.HTTP.URL.Query().Get("Arn")
	m := layerVersionForm.FindStringSubmatch(arn)
	if m == nil {
		return nil, constraint(arn, "arn", "Member must be the ARN of a layer version")
	}
	v := s.layerVersion(functionKey{m[2], m[1], m[3]}, m[4])
	if err := r.Authorize(ctx, s.layerCheck("GetLayerVersion", arn, v)); err != nil {
		return nil, err
	}
	if v == nil {
		return nil, layerNotFound()
	}
	out := v.show(true)
	return &out, nil
}

// deleteLayerVersion succeeds when there is nothing to delete. Functions that
// have the version keep it.
func (s *Service) deleteLayerVersion(ctx context.Context, r *api.Request, _ *empty) (*api.Reply, error) {
	v, err := s.layerTarget(ctx, r, "DeleteLayerVersion")
	if err != nil {
		return nil, err
	}
	if v != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		v.layer.versions = slices.DeleteFunc(v.layer.versions, func(x *layerVersion) bool { return x == v })
	}
	return noContent(), nil
}

type listLayerVersionsOutput struct {
	LayerVersions []layerVersionOutput
	NextMarker    string `json:",omitempty"`
}

func (s *Service) listLayerVersions(ctx context.Context, r *api.Request, _ *empty) (*listLayerVersionsOutput, error) {
	k, err := layerName(r.Path["LayerName"], r)
	if err != nil {
		return nil, err
	}
	arn := (&layer{functionKey: k}).layerARN()
	if err := r.Authorize(ctx, api.Check{Action: "lambda:ListLayerVersions", Resource: arn}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []layerVersionOutput
	if l := s.layers[k]; l != nil {
		for _, v := range slices.Backward(l.versions) {
			if v.suits(r) {
				list = append(list, v.show(false))
			}
		}
	}
	page, next, err := paged(r, list)
	if err != nil {
		return nil, err
	}
	return &listLayerVersionsOutput{page, next}, nil
}

// suits applies the filters of the list operations.
func (v *layerVersion) suits(r *api.Request) bool {
	q := r.HTTP.URL.Query()
	architecture, runtime := q.Get("CompatibleArchitecture"), q.Get("CompatibleRuntime")
	return (architecture == "" || slices.Contains(v.architectures, architecture)) &&
		(runtime == "" || slices.Contains(v.runtimes, runtime))
}

type layersListItem struct {
	LatestMatchingVersion layerVersionOutput
	LayerArn              string
	LayerName             string
}

type listLayersOutput struct {
	Layers     []layersListItem
	NextMarker string `json:",omitempty"`
}

func (s *Service) listLayers(ctx context.Context, r *api.Request, _ *empty) (*listLayersOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "lambda:ListLayers", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []layersListItem
	for k, l := range s.layers {
		if k.account != r.Account || k.region != r.Region {
			continue
		}
		for _, v := range slices.Backward(l.versions) {
			if v.suits(r) {
				list = append(list, layersListItem{v.show(false), l.layerARN(), l.name})
				break
			}
		}
	}
	slices.SortFunc(list, func(a, b layersListItem) int { return cmp.Compare(a.LayerName, b.LayerName) })
	page, next, err := paged(r, list)
	if err != nil {
		return nil, err
	}
	return &listLayersOutput{page, next}, nil
}

type addLayerPermissionInput struct {
	Action         string
	OrganizationId string
	Principal      string
	StatementId    string
}

type addLayerPermissionOutput struct{ RevisionId, Statement string }

func (s *Service) addLayerVersionPermission(ctx context.Context, r *api.Request, in *addLayerPermissionInput) (*api.Reply, error) {
	v, err := s.layerTarget(ctx, r, "AddLayerVersionPermission")
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, layerNotFound()
	}
	if in.Action != "lambda:GetLayerVersion" {
		return nil, constraint(in.Action, "action", "Member must satisfy regular expression pattern: lambda:GetLayerVersion")
	}
	st, err := addPermissionInput{
		Action: in.Action, Principal: in.Principal, PrincipalOrgID: in.OrganizationId, StatementId: in.StatementId,
	}.statement(v.arn())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next, err := v.policy.add(st, r.HTTP.URL.Query().Get("RevisionId"))
	if err != nil {
		return nil, err
	}
	v.policy = next
	text, err := st.text()
	if err != nil {
		return nil, err
	}
	return &api.Reply{Status: http.StatusCreated, Body: addLayerPermissionOutput{next.revisionID, text}}, nil
}

func (s *Service) getLayerVersionPolicy(ctx context.Context, r *api.Request, _ *empty) (*policyOutput, error) {
	v, err := s.layerTarget(ctx, r, "GetLayerVersionPolicy")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v == nil || v.policy == nil {
		return nil, notFound("No policy is associated with the given resource.")
	}
	return &policyOutput{v.policy.json(), v.policy.revisionID}, nil
}

func (s *Service) removeLayerVersionPermission(ctx context.Context, r *api.Request, _ *empty) (*api.Reply, error) {
	v, err := s.layerTarget(ctx, r, "RemoveLayerVersionPermission")
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, layerNotFound()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next, err := v.policy.remove(r.Path["StatementId"], r.HTTP.URL.Query().Get("RevisionId"))
	if err != nil {
		return nil, err
	}
	v.policy = next
	return noContent(), nil
}
