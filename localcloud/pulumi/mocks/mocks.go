// Package mocks lets a Pulumi program deploy into a local cloud without Pulumi's
// engine.
//
// It is a monitor for pulumi.WithMocks that creates each resource for real, by
// the handlers of package handlers:
//
//	cloud, err := mocks.New(ctx, handlers.Config{Region: "us-east-1", Endpoint: url})
//	err = pulumi.RunErr(program, pulumi.WithMocks("project", "stack", cloud))
//
// There is no state: nothing is compared, updated or replaced, and running a
// program twice creates everything twice. What an engine would refuse is refused
// here too: a resource type or function without a handler, an input that a type
// doesn't have, and two resources of one name.
package mocks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/localcloud/pulumi/handlers"
)

// providerToken is the type of an explicit provider of package aws.
const providerToken = "pulumi:providers:aws"

// Resource is one resource that a program has created.
type Resource struct {
	// URN is Pulumi's name of it. Project and stack in it are empty, since
	// Pulumi doesn't tell them to a monitor.
	URN resource.URN
	// Token is its type, "aws:kms/key:Key"; Name the program's name of it.
	Token, Name string
	// ID is AWS's name of it.
	ID string
	// Region is where it is.
	Region string
	// State holds its properties as they were just after its creation.
	State resource.PropertyMap

	provider *handlers.Provider
	protect  bool
	retain   bool
}

// Monitor is a pulumi.MockResourceMonitor. It is safe for concurrent use; it
// creates one resource at a time, in the order in which Pulumi asks, which is
// one that respects dependencies.
type Monitor struct {
	// ctx bounds every call to the local cloud. It is kept here because
	// Pulumi's interface hands none on.
	ctx    context.Context
	config handlers.Config

	mu        sync.Mutex
	main      *handlers.Provider
	providers map[string]*handlers.Provider // by the ID that New gave them
	seen      map[resource.URN]bool
	created   []Resource
}

var _ pulumi.MockResourceMonitor = (*Monitor)(nil)

// New returns a monitor. The configuration is that of the default provider;
// explicit providers of a program override what they set. The context is for all
// calls to the local cloud.
func New(ctx context.Context, config handlers.Config) (*Monitor, error) {
	main, err := handlers.New(config)
	if err != nil {
		return nil, err
	}
	return &Monitor{
		ctx:       ctx,
		config:    config,
		main:      main,
		providers: map[string]*handlers.Provider{},
		seen:      map[resource.URN]bool{},
	}, nil
}

// NewResource creates a resource, or finds one that the program only reads.
func (m *Monitor) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	urn := urnOf(args)
	if m.seen[urn] {
		return "", nil, fmt.Errorf("two resources of type %s are named %q: give one another name or parent", args.TypeToken, args.Name)
	}
	m.seen[urn] = true
	switch {
	case args.ReadRPC != nil:
		return m.read(args)
	case !args.Custom:
		// A component lives in Pulumi only.
		return "", args.Inputs, nil
	case args.TypeToken == providerToken:
		return m.newProvider(args)
	default:
		return m.create(urn, args)
	}
}

// urnOf is a resource's URN, computed as Pulumi does: the types of a resource's
// parents are part of it, their names aren't.
func urnOf(args pulumi.MockResourceArgs) resource.URN {
	parent := ""
	switch {
	case args.RegisterRPC != nil:
		parent = args.RegisterRPC.GetParent()
	case args.ReadRPC != nil:
		parent = args.ReadRPC.GetParent()
	}
	parentType := tokens.Type("")
	if urn := resource.URN(parent); urn != "" && urn.QualifiedType() != resource.RootStackType {
		parentType = urn.QualifiedType()
	}
	return resource.NewURN("", "", parentType, tokens.Type(args.TypeToken), args.Name)
}

func (m *Monitor) newProvider(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	config, err := handlers.ParseConfig(args.Inputs, m.config)
	if err != nil {
		return "", nil, fmt.Errorf("provider %q: %w", args.Name, err)
	}
	provider, err := handlers.New(config)
	if err != nil {
		return "", nil, fmt.Errorf("provider %q: %w", args.Name, err)
	}
	id := fmt.Sprintf("%s-%d", args.Name, len(m.providers))
	m.providers[id] = provider
	return id, args.Inputs, nil
}

// providerFor finds a provider by Pulumi's reference to it, "<urn>::<id>".
func (m *Monitor) providerFor(reference string) (*handlers.Provider, error) {
	if reference == "" {
		return m.main, nil
	}
	id := reference[strings.LastIndex(reference, "::")+len("::"):]
	provider, ok := m.providers[id]
	if !ok {
		return nil, fmt.Errorf("no provider %q of package aws", reference)
	}
	return provider, nil
}

func (m *Monitor) create(urn resource.URN, args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	provider, err := m.providerFor(args.Provider)
	if err != nil {
		return "", nil, err
	}
	if args.ID != "" {
		return "", nil, fmt.Errorf("%s %q: importing needs Pulumi's engine", args.TypeToken, args.Name)
	}
	inputs, failures, err := provider.Check(args.TypeToken, args.Name, nil, args.Inputs, nil)
	if err != nil {
		return "", nil, err
	}
	if len(failures) > 0 {
		reasons := make([]error, len(failures))
		for i, failure := range failures {
			reasons[i] = errors.New(failure.String())
		}
		return "", nil, fmt.Errorf("%s %q: %w", args.TypeToken, args.Name, errors.Join(reasons...))
	}
	id, state, err := provider.Create(m.ctx, args.TypeToken, inputs)
	if id != "" {
		m.created = append(m.created, Resource{
			URN:      urn,
			Token:    args.TypeToken,
			Name:     args.Name,
			ID:       id,
			Region:   provider.Region(),
			State:    state,
			provider: provider,
			protect:  args.RegisterRPC.GetProtect(),
			retain:   args.RegisterRPC.GetRetainOnDelete(),
		})
	}
	if err != nil {
		return "", nil, fmt.Errorf("%q: %w", args.Name, err)
	}
	return id, state, nil
}

func (m *Monitor) read(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	provider, err := m.providerFor(args.Provider)
	if err != nil {
		return "", nil, err
	}
	state, _, found, err := provider.Read(m.ctx, args.TypeToken, args.ID, args.Inputs, nil)
	if err != nil {
		return "", nil, err
	}
	if !found {
		return "", nil, fmt.Errorf("no %s %q in %s", args.TypeToken, args.ID, provider.Region())
	}
	return args.ID, state, nil
}

// Call answers one of Pulumi's functions.
func (m *Monitor) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	m.mu.Lock()
	provider, err := m.providerFor(args.Provider)
	m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return provider.Invoke(m.ctx, args.Token, args.Args)
}

// Resources lists what has been created, in the order of its creation.
func (m *Monitor) Resources() []Resource {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.created)
}

// Destroy deletes what has been created, the last first. Like Pulumi's engine it
// deletes nothing if a resource is protected, and leaves alone what is to be
// retained. It goes on after a failure and returns all of them; what it couldn't
// delete stays on the list, for another Destroy.
func (m *Monitor) Destroy(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.created {
		if r.protect {
			return fmt.Errorf("%s %q is protected: nothing was deleted", r.Token, r.Name)
		}
	}
	var failed error
	var left []Resource
	for _, r := range slices.Backward(m.created) {
		if r.retain {
			continue
		}
		if err := r.provider.Delete(ctx, r.Token, r.ID, r.State); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%q: %w", r.Name, err))
			left = append(left, r)
		}
	}
	slices.Reverse(left)
	m.created = left
	return failed
}
