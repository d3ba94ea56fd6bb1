package lambda

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
	executor "github.com/aistudio/secrets/localcloud/lambda"
)

// function is a function with all that belongs to it. The service's lock guards
// it; its versions don't change.
type function struct {
	functionKey
	latest   *version // as it is configured
	active   *version // what invocations of $LATEST run; nil at first
	versions []*version
	count    int // of versions ever published
	aliases  map[string]*alias
	policies map[string]*policy // by qualifier, "" for the function's own
	tags     map[string]string
	reserved *int // concurrency
	running  int  // invocations at once
}

// version is $LATEST at one time, or a published version.
type version struct {
	function *function
	settings
	number       string
	architecture string
	code         codePackage
	layerCode    []*layerVersion // in the order of settings.layers
	layerDir     string
	revisionID   string
	modified     time.Time
	pool         *executor.Pool
}

// pending tells whether creation or an update is not over.
func (f *function) pending() bool { return f.active != f.latest }

func (f *function) version(number string) *version {
	if number == latest {
		return f.latest
	}
	for _, v := range f.versions {
		if v.number == number {
			return v
		}
	}
	return nil
}

type createFunctionInput struct {
	settingsInput
	Architectures []string
	Code          struct {
		ZipFile         []byte
		S3Bucket        string
		S3Key           string
		S3ObjectVersion string
		ImageUri        string
	}
	CodeSigningConfigArn string
	FunctionName         string
	PackageType          string
	Publish              bool
	Tags                 map[string]string
}

func (s *Service) createFunction(ctx context.Context, r *api.Request, in *createFunctionInput) (*api.Reply, error) {
	ref, err := parseReference(in.FunctionName, "", r.Region, r.Account)
	if err != nil {
		return nil, err
	}
	r.TrailResources = []string{ref.functionKey.arn()}
	check := api.Check{Action: "lambda:CreateFunction", Resource: ref.functionKey.arn(), Context: map[string][]string{}}
	for k, v := range in.Tags {
		check.Context["aws:RequestTag/"+k] = []string{v}
		check.Context["aws:TagKeys"] = append(check.Context["aws:TagKeys"], k)
	}
	if err := r.Authorize(ctx, check); err != nil {
		return nil, err
	}
	switch {
	case ref.qualifier != "" || ref.account != r.Account:
		return nil, invalid("The name of a new function has no qualifier and no other account: %s", in.FunctionName)
	case in.Code.S3Bucket != "" || in.Code.S3Key != "" || in.Code.S3ObjectVersion != "":
		return nil, unsupported("code from S3; send it as ZipFile")
	case in.Code.ImageUri != "" || in.PackageType == "Image":
		return nil, unsupported("container images")
	case in.CodeSigningConfigArn != "":
		return nil, unsupported("code signing")
	case len(in.Code.ZipFile) == 0:
		return nil, invalid("Please provide a source for function code.")
	}
	set, err := defaultSettings(ref.name).with(in.settingsInput)
	if err != nil {
		return nil, err
	}
	if err := validateTags(in.Tags); err != nil {
		return nil, err
	}
	architecture, err := architectureOf(in.Architectures, "x86_64")
	if err != nil {
		return nil, err
	}
	if err := s.passRole(ctx, r, set.role); err != nil {
		return nil, err
	}
	if err := s.mayKeep(ctx, ref.region, set); err != nil {
		return nil, err
	}
	code, err := s.packages.add(in.Code.ZipFile)
	if err != nil {
		return nil, err
	}

	f := &function{
		functionKey: ref.functionKey,
		aliases:     map[string]*alias{}, policies: map[string]*policy{}, tags: maps.Clone(in.Tags),
	}
	next := version{function: f, settings: set, architecture: architecture, code: code}
	if next.layerCode, err = s.resolveLayers(ctx, r, set.layers); err != nil {
		return nil, err
	}
	v, err := s.newVersion(next)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.functions[f.functionKey] != nil {
		return nil, conflict("Function already exist: %s", f.name)
	}
	f.latest = v
	s.functions[f.functionKey] = f
	s.settle(f, v)
	out := v.show(f.arn())
	if in.Publish {
		out = s.publish(f, "").show(qualified(f.functionKey, "1"))
	}
	return created(out), nil
}

func architectureOf(list []string, otherwise string) (string, error) {
	switch {
	case len(list) == 0:
		return otherwise, nil
	case len(list) > 1 || (list[0] != "x86_64" && list[0] != "arm64"):
		return "", constraint(list, "architectures", "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64]]")
	}
	return list[0], nil
}

// passRole asks whether the caller may give the role to a function and whether
// Lambda may use it.
func (s *Service) passRole(ctx context.Context, r *api.Request, role string) error {
	err := r.Authorize(ctx, api.Check{
		Action: "iam:PassRole", Resource: role,
		Context: map[string][]string{"iam:PassedToService": {principal}},
	})
	var denied *api.Error
	if errors.As(err, &denied) {
		// The service that is called answers, not IAM.
		return userError(http.StatusForbidden, "AccessDeniedException", "%s", denied.Message)
	}
	if err != nil {
		return err
	}
	if _, err := s.roles.ServiceSession(ctx, role, "awslambda", principal); err != nil {
		return invalid("The role defined for the function cannot be assumed by Lambda.")
	}
	return nil
}

// newVersion completes what will be $LATEST: the folder of its layers, its
// revision, its pool.
func (s *Service) newVersion(v version) (*version, error) {
	size := v.code.unpacked
	var layers []codePackage
	for _, l := range v.layerCode {
		size += l.code.unpacked
		layers = append(layers, l.code)
	}
	if size >= executor.MaxUnpacked {
		return nil, invalid("Function code combined with layers exceeds the maximum allowed size of %d bytes. The actual size is %d bytes.", executor.MaxUnpacked, size)
	}
	var err error
	if v.layerDir, err = s.packages.merge(layers); err != nil {
		return nil, err
	}
	v.number, v.revisionID, v.modified = latest, uuid.NewString(), s.env.Clock.Now()
	v.pool = s.newPool(v)
	return &v, nil
}

func (s *Service) newPool(v version) *executor.Pool {
	return s.executor.NewPool(executor.Function{
		Name: v.function.name, Version: v.number, Account: v.function.account, Region: v.function.region,
		Role: v.role, Handler: v.handler, Memory: v.memory,
		Timeout:      time.Duration(v.timeout) * time.Second,
		Architecture: v.architecture, Variables: v.variables,
		Code: s.packages.codeDir(v.code), Layers: v.layerDir,
		LogGroup: v.logging.LogGroup,
	})
}

// settle makes v the active version in a while: Pending becomes Active,
// InProgress becomes Successful. The lock is held.
func (s *Service) settle(f *function, v *version) {
	s.env.Clock.AfterFunc(s.settleTime, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if f.latest != v {
			return
		}
		if f.active != nil {
			f.active.pool.Retire()
		}
		f.active = v
	})
}

type empty struct{}

type tagsError struct{ ErrorCode, Message string }

// functionOutput is GetFunction's reply.
type functionOutput struct {
	Code struct {
		RepositoryType string
		Location       string `json:",omitempty"`
	}
	Concurrency   *concurrencyOutput `json:",omitempty"`
	Configuration configuration
	Tags          map[string]string `json:",omitempty"`
	TagsError     *tagsError        `json:",omitempty"`
}

func (s *Service) getFunction(ctx context.Context, r *api.Request, _ *empty) (*functionOutput, error) {
	ref, err := s.target(ctx, r, "GetFunction")
	if err != nil {
		return nil, err
	}
	// Who may not list tags gets everything else:
	// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html
	unqualified := ref
	unqualified.qualifier = ""
	denied := r.Authorize(ctx, s.check(unqualified, "lambda:ListTags"))
	s.mu.Lock()
	defer s.mu.Unlock()
	f, v, err := s.find(ref)
	if err != nil {
		return nil, err
	}
	out := &functionOutput{Configuration: v.show(ref.arn())}
	out.Code.RepositoryType = "S3"
	if denied == nil {
		out.Tags = maps.Clone(f.tags)
	} else {
		out.TagsError = &tagsError{"AccessDeniedException", denied.Error()}
	}
	if f.reserved != nil {
		out.Concurrency = &concurrencyOutput{ReservedConcurrentExecutions: f.reserved}
	}
	return out, nil
}

func (s *Service) getFunctionConfiguration(ctx context.Context, r *api.Request, _ *empty) (*configuration, error) {
	ref, err := s.target(ctx, r, "GetFunctionConfiguration")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, v, err := s.find(ref)
	if err != nil {
		return nil, err
	}
	out := v.show(ref.arn())
	return &out, nil
}

type codeSigningOutput struct{ FunctionName string }

// getFunctionCodeSigningConfig is for clients that ask after every read; there
// never is one.
func (s *Service) getFunctionCodeSigningConfig(ctx context.Context, r *api.Request, _ *empty) (*codeSigningOutput, error) {
	ref, err := s.target(ctx, r, "GetFunctionCodeSigningConfig")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, _, err := s.find(ref); err != nil {
		return nil, err
	}
	return &codeSigningOutput{ref.name}, nil
}

type listFunctionsOutput struct {
	Functions  []configuration
	NextMarker string `json:",omitempty"`
}

func (s *Service) listFunctions(ctx context.Context, r *api.Request, _ *empty) (*listFunctionsOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "lambda:ListFunctions", Resource: "*"}); err != nil {
		return nil, err
	}
	q := r.HTTP.URL.Query()
	all := q.Get("FunctionVersion")
	if all != "" && all != "ALL" {
		return nil, constraint(all, "functionVersion", "Member must satisfy enum value set: [ALL]")
	}
	if q.Get("MasterRegion") != "" {
		return nil, unsupported("MasterRegion in ListFunctions")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []configuration
	for _, f := range sortedFunctions(s.functions, r.Account, r.Region) {
		arn := f.arn()
		if all == "ALL" {
			arn = qualified(f.functionKey, latest)
		}
		list = append(list, f.latest.show(arn))
		if all == "ALL" {
			for _, v := range f.versions {
				list = append(list, v.show(qualified(f.functionKey, v.number)))
			}
		}
	}
	page, next, err := paged(r, list)
	if err != nil {
		return nil, err
	}
	return &listFunctionsOutput{page, next}, nil
}

func sortedFunctions(m map[functionKey]*function, account, region string) []*function {
	var list []*function
	for k, f := range m {
		if k.account == account && k.region == region {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b *function) int { return cmp.Compare(a.name, b.name) })
	return list
}

func (s *Service) deleteFunction(ctx context.Context, r *api.Request, _ *empty) (*api.Reply, error) {
	ref, err := s.target(ctx, r, "DeleteFunction")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.functions[ref.functionKey]
	if f == nil {
		return nil, functionNotFound(ref.arn())
	}
	if ref.qualifier == latest {
		return nil, invalid("$LATEST version cannot be deleted without deleting the function.")
	}
	if ref.qualifier != "" {
		return noContent(), f.deleteVersion(ref.qualifier)
	}
	delete(s.functions, ref.functionKey)
	pools := []*executor.Pool{f.latest.pool}
	if f.active != nil && f.active != f.latest {
		pools = append(pools, f.active.pool)
	}
	for _, v := range f.versions {
		pools = append(pools, v.pool)
	}
	for _, p := range pools {
		p.Retire()
	}
	return noContent(), nil
}
