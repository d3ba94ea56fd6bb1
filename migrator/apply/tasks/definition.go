package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/aistudio/secrets/migrator/apply/refusal"
	"github.com/aistudio/secrets/sdk/spec"
)

// Definition is a revision of a task definition, or one that isn't registered
// yet. It is immutable, and prints without what is in it.
type Definition struct {
	ARN      string // "": it isn't registered
	Family   string
	Revision int

	typed types.TaskDefinition
	tags  []types.Tag
	raw   document // all that ECS answered, also what this program's SDK doesn't know
}

// document is a task definition's JSON.
type document map[string]any

// String tells which revision it is.
func (d Definition) String() string {
	return fmt.Sprintf("task definition %s:%d", d.Family, d.Revision)
}

// GoString is String.
func (d Definition) GoString() string { return d.String() }

// Definition reads a revision, by its ARN, or the newest active one of a family
// by the ARN without a revision.
func (t *Tasks) Definition(ctx context.Context, id string) (Definition, error) {
	if family, revision := split(id); revision == 0 {
		id = family // ECS's API reference knows no ARN without a revision
	}
	var body []byte
	out, err := t.ecs.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &id, Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags}}, captured(&body))
	if err != nil {
		return Definition{}, fmt.Errorf("read task definition %s: %w", id, refusal.Of(err))
	}
	return definition(out.TaskDefinition, out.Tags, body)
}

func definition(d *types.TaskDefinition, tags []types.Tag, body []byte) (Definition, error) {
	var reply struct{ TaskDefinition document }
	defer clear(body)
	if json.Unmarshal(body, &reply) != nil { // whose error would quote it
		return Definition{}, fmt.Errorf("task definition %s isn't JSON", aws.ToString(d.TaskDefinitionArn))
	}
	return Definition{
		ARN: aws.ToString(d.TaskDefinitionArn), Family: aws.ToString(d.Family), Revision: int(d.Revision),
		typed: *d, tags: tags, raw: reply.TaskDefinition,
	}, nil
}

// Active tells whether new tasks can be started from the revision.
func (d Definition) Active() bool { return d.typed.Status == types.TaskDefinitionStatusActive }

func (d Definition) container(name string) *types.ContainerDefinition {
	for i := range d.typed.ContainerDefinitions {
		if aws.ToString(d.typed.ContainerDefinitions[i].Name) == name {
			return &d.typed.ContainerDefinitions[i]
		}
	}
	return nil
}

// Value returns a variable of a container's environment, and whether it is
// there.
func (d Definition) Value(container, variable string) (spec.Value, bool) {
	if c := d.container(container); c != nil {
		for _, pair := range c.Environment {
			if aws.ToString(pair.Name) == variable {
				return spec.ValueString(aws.ToString(pair.Value)), true
			}
		}
	}
	return spec.Value{}, false
}

// Injected returns what ECS injects a variable of a container from, and whether
// it does.
func (d Definition) Injected(container, variable string) (string, bool) {
	if c := d.container(container); c != nil {
		for _, s := range c.Secrets {
			if aws.ToString(s.Name) == variable {
				return aws.ToString(s.ValueFrom), true
			}
		}
	}
	return "", false
}

// With returns the definition with a variable in a container's environment.
// Where there was one of the name, it takes its place.
func (d Definition) With(container, variable, text string) Definition {
	return d.edit(container, func(c *types.ContainerDefinition) {
		i := slices.IndexFunc(c.Environment, named(variable))
		pair := types.KeyValuePair{Name: &variable, Value: &text}
		if i >= 0 {
			c.Environment[i] = pair
			return
		}
		c.Environment = append(c.Environment, pair)
	})
}

// Without returns the definition without a variable in a container's
// environment.
func (d Definition) Without(container, variable string) Definition {
	return d.edit(container, func(c *types.ContainerDefinition) { c.Environment = slices.DeleteFunc(c.Environment, named(variable)) })
}

// Injecting returns the definition with a variable that ECS injects. ECS refuses
// a name that is also in the environment, so it goes from there.
func (d Definition) Injecting(container, variable, from string) Definition {
	return d.Without(container, variable).edit(container, func(c *types.ContainerDefinition) {
		secret := types.Secret{Name: &variable, ValueFrom: &from}
		i := slices.IndexFunc(c.Secrets, func(s types.Secret) bool { return aws.ToString(s.Name) == variable })
		if i >= 0 {
			c.Secrets[i] = secret
			return
		}
		c.Secrets = append(c.Secrets, secret)
	})
}

func named(variable string) func(types.KeyValuePair) bool {
	return func(p types.KeyValuePair) bool { return aws.ToString(p.Name) == variable }
}

// edit changes the environment and the secrets of one container, in the typed
// definition and in the document that what is registered is compared with.
func (d Definition) edit(container string, change func(*types.ContainerDefinition)) Definition {
	next := d
	next.ARN, next.Revision = "", 0
	next.typed.ContainerDefinitions = slices.Clone(d.typed.ContainerDefinitions)
	c := next.container(container)
	if c == nil {
		return next
	}
	c.Environment, c.Secrets = slices.Clone(c.Environment), slices.Clone(c.Secrets)
	change(c)
	next.raw = maps.Clone(d.raw)
	list, _ := d.raw["containerDefinitions"].([]any)
	list = slices.Clone(list)
	for i := range list {
		old, _ := list[i].(map[string]any)
		if old["name"] == container {
			fresh := maps.Clone(old)
			fresh["environment"], fresh["secrets"] = pairs(c.Environment), references(c.Secrets)
			list[i] = fresh
		}
	}
	next.raw["containerDefinitions"] = list
	return next
}

func pairs(list []types.KeyValuePair) []any {
	var all []any
	for _, p := range list {
		all = append(all, map[string]any{"name": aws.ToString(p.Name), "value": aws.ToString(p.Value)})
	}
	return all
}

func references(list []types.Secret) []any {
	var all []any
	for _, s := range list {
		all = append(all, map[string]any{"name": aws.ToString(s.Name), "valueFrom": aws.ToString(s.ValueFrom)})
	}
	return all
}

// Same tells whether both say the same, whatever their revisions.
func (d Definition) Same(other Definition) bool { return len(d.differences(other)) == 0 }

// given are what ECS fills in when a definition is registered (ECS API
// reference, TaskDefinition).
var given = []string{
	"taskDefinitionArn", "revision", "status", "registeredAt", "registeredBy", "deregisteredAt", "deleteRequestedAt",
	"requiresAttributes", "compatibilities",
}

// differences names the members in which the two differ.
func (d Definition) differences(other Definition) []string {
	a, b := plain(map[string]any(d.raw)).(map[string]any), plain(map[string]any(other.raw)).(map[string]any)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(merge(a, b))) {
		if !slices.Contains(given, name) && !reflect.DeepEqual(a[name], b[name]) {
			names = append(names, name)
		}
	}
	return names
}

func merge(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// plain brings a document into one form: without what is empty, and with lists
// of named things in the order of their names, since ECS doesn't promise one.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, member := range v {
			if member = plain(member); member != nil {
				out[name] = member
			}
		}
		return out
	case document:
		return plain(map[string]any(v))
	case []any:
		if len(v) == 0 {
			return nil
		}
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		slices.SortStableFunc(out, func(a, b any) int { return strings.Compare(nameIn(a), nameIn(b)) })
		return out
	default:
		return v
	}
}

func nameIn(v any) string {
	object, _ := v.(map[string]any)
	name, _ := object["name"].(string)
	return name
}

// Register returns a registered revision that says the same as the definition:
// the newest one after the given revision if there is one, as after a run that
// was killed, or a new one.
func (t *Tasks) Register(ctx context.Context, d Definition, after int) (Definition, error) {
	found, err := t.newer(ctx, d, after)
	if err != nil || found.ARN != "" {
		return found, err
	}
	var body []byte
	out, err := t.ecs.RegisterTaskDefinition(ctx, d.input(), captured(&body))
	if err != nil {
		return Definition{}, fmt.Errorf("register a revision of task definition %s: %w", d.Family, refusal.Of(err))
	}
	fresh, err := definition(out.TaskDefinition, out.Tags, body)
	if err != nil {
		return Definition{}, err
	}
	if names := fresh.differences(d); len(names) > 0 {
		return Definition{}, fmt.Errorf("the new revision %s isn't what was asked for, in %s, and isn't used: this program doesn't know all that is in the definition, update it; deregister the revision", fresh, strings.Join(names, ", "))
	}
	return fresh, nil
}

func (t *Tasks) newer(ctx context.Context, d Definition, after int) (Definition, error) {
	pages := ecs.NewListTaskDefinitionsPaginator(t.ecs, &ecs.ListTaskDefinitionsInput{FamilyPrefix: &d.Family, Sort: types.SortOrderDesc})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return Definition{}, fmt.Errorf("list the revisions of task definition %s: %w", d.Family, refusal.Of(err))
		}
		for _, arn := range page.TaskDefinitionArns {
			family, revision := split(arn)
			switch {
			case family != d.Family:
				continue
			case revision <= after:
				return Definition{}, nil
			}
			other, err := t.Definition(ctx, arn)
			if err != nil {
				return Definition{}, err
			}
			if other.Same(d) {
				return other, nil
			}
		}
	}
	return Definition{}, nil
}

// split takes a revision's ARN apart.
func split(arn string) (family string, revision int) {
	family, number, _ := strings.Cut(arn[strings.LastIndexByte(arn, '/')+1:], ":")
	_, _ = fmt.Sscan(number, &revision) // 0: it has none
	return family, revision
}

// FamilyOf is the ARN without a revision, which stands for the newest one.
func FamilyOf(arn string) string {
	if _, revision := split(arn); revision == 0 {
		return arn
	}
	return arn[:strings.LastIndexByte(arn, ':')]
}

// input is the definition as it is registered: all that can be, with its tags.
// Those of AWS itself can't be set. Inference accelerators can't either since AWS
// took that feature away; Register notices that they are missing.
func (d Definition) input() *ecs.RegisterTaskDefinitionInput {
	t := d.typed
	in := &ecs.RegisterTaskDefinitionInput{
		ContainerDefinitions: t.ContainerDefinitions, Family: t.Family, Cpu: t.Cpu, EnableFaultInjection: t.EnableFaultInjection,
		EphemeralStorage: t.EphemeralStorage, ExecutionRoleArn: t.ExecutionRoleArn,
		IpcMode: t.IpcMode, Memory: t.Memory, NetworkMode: t.NetworkMode, PidMode: t.PidMode, PlacementConstraints: t.PlacementConstraints,
		ProxyConfiguration: t.ProxyConfiguration, RequiresCompatibilities: t.RequiresCompatibilities, RuntimePlatform: t.RuntimePlatform,
		TaskRoleArn: t.TaskRoleArn, Volumes: t.Volumes,
	}
	for _, tag := range d.tags {
		if !strings.HasPrefix(aws.ToString(tag.Key), "aws:") {
			in.Tags = append(in.Tags, tag)
		}
	}
	return in
}

// Deregister makes a revision inactive: tasks that run go on, and no new ones
// start from it by themselves.
func (t *Tasks) Deregister(ctx context.Context, arn string) error {
	if _, err := t.ecs.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &arn}); err != nil {
		return fmt.Errorf("deregister %s: %w", arn, refusal.Of(err))
	}
	return nil
}
