package handlers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// defaultsKey is the input under which Pulumi's bridged providers, and so this
// one, list the properties that Check filled in.
const defaultsKey resource.PropertyKey = "__defaults"

// Provider deploys the resources of one configuration: one region, one caller.
// It holds no state between calls and is safe for concurrent use.
type Provider struct {
	clients *clients
	types   map[string]resourceType
}

// New returns the provider of a configuration. It fails on one that names no
// region or no endpoint, or whose endpoint is AWS's; it makes no call.
func New(config Config) (*Provider, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	types := map[string]resourceType{}
	for _, t := range kinds() {
		types[t.name()] = t
	}
	return &Provider{clients: newClients(config), types: types}, nil
}

// Region is the region of the provider's resources.
func (p *Provider) Region() string { return p.clients.config.Region }

// Types lists the tokens of the resource types that have a handler, sorted.
func (p *Provider) Types() []string {
	return slices.Sorted(maps.Keys(p.types))
}

// Properties lists what a program may set of a resource type, with the fields of
// nested objects as "replicas.region", and all that its state can hold. It fails
// on a type without a handler.
func (p *Provider) Properties(token string) (inputs, all []string, err error) {
	t, err := p.lookUp(token)
	if err != nil {
		return nil, nil, err
	}
	for _, property := range t.properties() {
		if property.input {
			inputs = append(inputs, property.name)
			for _, field := range property.fields {
				inputs = append(inputs, property.name+"."+field.name)
			}
		}
		all = append(all, property.name)
	}
	return inputs, all, nil
}

// UnsupportedError says that a resource type or function has no handler.
type UnsupportedError struct {
	// Token is Pulumi's name of the type or function.
	Token string
}

// Error names the token and says what can be done.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s has no handler in the local cloud: add one to localcloud/pulumi/handlers, or deploy without it", e.Token)
}

func (p *Provider) lookUp(token string) (resourceType, error) {
	t, ok := p.types[token]
	if !ok {
		return nil, &UnsupportedError{Token: token}
	}
	return t, nil
}

// Failure is one reason why a resource's inputs are refused.
type Failure struct {
	// Property is the name of the property, or empty if it isn't about one.
	Property string
	// Reason says what is wrong and what would be right; it holds no value.
	Reason string
}

// String is the failure as a sentence.
func (f Failure) String() string {
	if f.Property == "" {
		return f.Reason
	}
	return f.Property + ": " + f.Reason
}

// Check validates the inputs that the program gives the resource called name
// and completes them: with the schema's defaults, with a name made from seed
// where the program sets none (or the one in old, the inputs of the last
// deployment), and with the provider's default tags.
func (p *Provider) Check(token, name string, old, inputs resource.PropertyMap, seed []byte) (resource.PropertyMap, []Failure, error) {
	t, err := p.lookUp(token)
	if err != nil {
		return nil, nil, err
	}
	properties := t.properties()
	var failures []Failure
	checked := resource.PropertyMap{}
	for key, value := range inputs {
		property, known := find(properties, string(key))
		switch {
		case key == defaultsKey || value.IsNull():
			continue
		case !known:
			failures = append(failures, Failure{string(key), fmt.Sprintf("%s has no handler for this property in the local cloud", token)})
		case !property.input:
			failures = append(failures, Failure{string(key), "this property is an output and can't be set"})
		}
		checked[key] = value
	}
	for _, property := range properties {
		if property.required && !checked.HasValue(resource.PropertyKey(property.name)) {
			failures = append(failures, Failure{property.name, "this property is required"})
		}
	}
	if checked.HasValue("name") && checked.HasValue("namePrefix") {
		failures = append(failures, Failure{"namePrefix", "name and namePrefix exclude each other"})
	}
	if err := addDefaults(properties, name, old, checked, seed); err != nil {
		failures = append(failures, Failure{"", err.Error()})
	}
	p.addDefaultTags(properties, checked)
	if len(failures) == 0 {
		if err := t.checkInputs(checked); err != nil {
			failures = append(failures, Failure{"", err.Error()})
		}
	}
	slices.SortFunc(failures, func(a, b Failure) int { return strings.Compare(a.String(), b.String()) })
	return checked, failures, nil
}

// addDefaults fills in what the program leaves out and AWS, or Pulumi, has a
// default for. Being inputs, those values are watched for drift too.
func addDefaults(properties []property, name string, old, inputs resource.PropertyMap, seed []byte) error {
	var added []resource.PropertyValue
	for _, property := range properties {
		key := resource.PropertyKey(property.name)
		if inputs.HasValue(key) {
			continue
		}
		previous, had := old[key]
		switch {
		case property.input && property.defaultValue != nil:
			inputs[key] = resource.NewPropertyValue(property.defaultValue)
		case property.autoMax == 0 || inputs.HasValue(key+"Prefix"):
			continue
		case had && wasDefault(old, key):
			inputs[key] = previous
		default:
			made, err := resource.NewUniqueName(seed, property.autoPrefix+name+"-", 7, property.autoMax, nil)
			if err != nil {
				return fmt.Errorf("name the resource: %w", err)
			}
			inputs[key] = resource.NewProperty(made)
		}
		added = append(added, resource.NewProperty(property.name))
	}
	if len(added) > 0 {
		inputs[defaultsKey] = resource.NewProperty(added)
	}
	return nil
}

// wasDefault tells whether Check, not the program, set a property of inputs.
func wasDefault(inputs resource.PropertyMap, key resource.PropertyKey) bool {
	list, ok := inputs[defaultsKey]
	return ok && list.IsArray() && slices.ContainsFunc(list.ArrayValue(), func(v resource.PropertyValue) bool {
		return v.IsString() && v.StringValue() == string(key)
	})
}

// addDefaultTags puts the provider's default tags under the resource's own.
func (p *Provider) addDefaultTags(properties []property, inputs resource.PropertyMap) {
	defaults := p.clients.config.DefaultTags
	if _, taggable := find(properties, "tags"); !taggable || len(defaults) == 0 {
		return
	}
	tags := resource.PropertyMap{}
	for key, value := range defaults {
		tags[resource.PropertyKey(key)] = resource.NewProperty(value)
	}
	own, set := inputs["tags"]
	secret := set && own.IsSecret()
	if secret {
		own = own.SecretValue().Element
	}
	switch {
	case set && own.IsObject():
		maps.Copy(tags, own.ObjectValue())
	case set:
		// Unknown as a whole: they are known, and merged, in the deployment.
		return
	}
	inputs["tags"] = resource.NewProperty(tags)
	if secret {
		inputs["tags"] = resource.MakeSecret(inputs["tags"])
	}
}

// Create makes a resource from inputs that Check passed, and returns its ID and
// its state. An error that comes with an ID means that the resource is there
// but not finished; the caller has to keep it, or delete it.
func (p *Provider) Create(ctx context.Context, token string, inputs resource.PropertyMap) (id string, state resource.PropertyMap, err error) {
	t, err := p.lookUp(token)
	if err != nil {
		return "", nil, err
	}
	if inputs.ContainsUnknowns() {
		return "", nil, fmt.Errorf("create %s: a property has no value yet", token)
	}
	id, state, err = t.doCreate(ctx, p.clients, inputs)
	if err != nil {
		return id, state, fmt.Errorf("create %s in %s: %w", token, p.Region(), err)
	}
	return id, state, nil
}

// Read asks the cloud for a resource. It returns its state, and its inputs as a
// program would have to give them to get that state: of the inputs passed in,
// those that AWS can tell have its values; with none passed in (an import) all
// that AWS tells. found is false if the cloud doesn't have the resource.
func (p *Provider) Read(ctx context.Context, token, id string, state, inputs resource.PropertyMap) (newState, newInputs resource.PropertyMap, found bool, err error) {
	t, err := p.lookUp(token)
	if err != nil {
		return nil, nil, false, err
	}
	newState, err = t.doRead(ctx, p.clients, id, state, inputs)
	if errors.Is(err, errNotFound) {
		return nil, nil, false, nil
	}
	if err != nil {
		return nil, nil, false, fmt.Errorf("read %s %s in %s: %w", token, id, p.Region(), err)
	}
	return newState, inputsOf(t.properties(), newState, inputs), true, nil
}

// Update changes a resource from its state old to inputs that Check passed,
// and returns the new state.
func (p *Provider) Update(ctx context.Context, token, id string, old, inputs resource.PropertyMap) (resource.PropertyMap, error) {
	t, err := p.lookUp(token)
	if err != nil {
		return nil, err
	}
	if inputs.ContainsUnknowns() {
		return nil, fmt.Errorf("update %s: a property has no value yet", token)
	}
	state, err := t.doUpdate(ctx, p.clients, id, old, inputs)
	if err != nil {
		return nil, fmt.Errorf("update %s %s in %s: %w", token, id, p.Region(), err)
	}
	return state, nil
}

// Delete removes a resource; one that is gone already is no error.
func (p *Provider) Delete(ctx context.Context, token, id string, state resource.PropertyMap) error {
	t, err := p.lookUp(token)
	if err != nil {
		return err
	}
	if err := t.doRemove(ctx, p.clients, id, state); err != nil {
		return fmt.Errorf("delete %s %s in %s: %w", token, id, p.Region(), err)
	}
	return nil
}
