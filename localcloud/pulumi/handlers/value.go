package handlers

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/archive"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"
)

// plain turns a property value into what encoding/json makes of JSON, so that
// values can be compared and decoded: secrets are unwrapped, and an object's
// members that are unknown or null are left out. known is false for a value that
// is itself unknown.
func plain(v resource.PropertyValue) (value any, known bool) {
	switch {
	case v.IsSecret():
		return plain(v.SecretValue().Element)
	case v.IsOutput():
		if !v.OutputValue().Known {
			return nil, false
		}
		return plain(v.OutputValue().Element)
	case v.IsComputed():
		return nil, false
	case v.IsResourceReference():
		return plain(v.ResourceReferenceValue().ID)
	case v.IsArray():
		elements := make([]any, 0, len(v.ArrayValue()))
		for _, element := range v.ArrayValue() {
			e, ok := plain(element)
			if !ok {
				return nil, false
			}
			elements = append(elements, e)
		}
		return elements, true
	case v.IsObject():
		return plainMap(v.ObjectValue()), true
	case v.IsArchive():
		return v.ArchiveValue(), true
	case v.IsAsset():
		return v.AssetValue(), true
	default:
		return v.V, true
	}
}

// plainMap is plain for the properties of a resource.
func plainMap(m resource.PropertyMap) map[string]any {
	members := make(map[string]any, len(m))
	for key, member := range m {
		if value, known := plain(member); known && value != nil {
			members[string(key)] = value
		}
	}
	return members
}

// decode reads inputs or a state into a resource type's struct, with the
// defaults of what isn't there. Unknown values count as not there. Its errors
// name a property and the kind of value that it needs, never the value.
func decode(properties []property, from resource.PropertyMap, into any) error {
	members := plainMap(from)
	setDefaults(properties, members)
	for _, p := range properties {
		if p.asset {
			// Assets are no JSON; a handler takes them as Pulumi's own type.
			delete(members, p.name)
		}
	}
	for name := range members {
		if _, ours := find(properties, name); !ours {
			// "id" and "__defaults" are Pulumi's.
			delete(members, name)
		}
	}
	text, err := json.Marshal(members)
	if err != nil {
		return fmt.Errorf("encode the properties: %w", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return fmt.Errorf("property %s must be of type %v", wrong.Field, wrong.Type)
		}
		return errors.New("the properties don't have the types of the resource's schema")
	}
	return nil
}

// setDefaults fills in what isn't there, in the objects inside too.
func setDefaults(properties []property, members map[string]any) {
	for _, p := range properties {
		if _, set := members[p.name]; !set && p.defaultValue != nil {
			members[p.name] = p.defaultValue
		}
		switch value := members[p.name].(type) {
		case map[string]any:
			setDefaults(p.fields, value)
		case []any:
			for _, element := range value {
				if object, ok := element.(map[string]any); ok {
					setDefaults(p.fields, object)
				}
			}
		}
	}
}

// encode is the state of a resource as Pulumi keeps it: the struct's fields, and
// from inputs the assets and the mark of what is secret.
func encode(properties []property, from any, inputs resource.PropertyMap) (resource.PropertyMap, error) {
	text, err := json.Marshal(from)
	if err != nil {
		return nil, fmt.Errorf("encode the state: %w", err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, fmt.Errorf("encode the state: %w", err)
	}
	for name, value := range members {
		if p, _ := find(properties, name); p.asset || value == nil {
			delete(members, name)
		}
	}
	state := resource.NewPropertyMapFromMap(members)
	for _, p := range properties {
		if value, set := inputs[resource.PropertyKey(p.name)]; set && p.asset {
			state[resource.PropertyKey(p.name)] = value
		}
	}
	markSecrets(state, inputs)
	return state, nil
}

// markSecrets makes a secret of each property of state that is one in inputs,
// or has one in it, so that Pulumi encrypts it.
func markSecrets(state, inputs resource.PropertyMap) {
	for key, input := range inputs {
		if value, ok := state[key]; ok && input.ContainsSecrets() && !value.IsSecret() {
			state[key] = resource.MakeSecret(value)
		}
	}
}

// unchanged reports whether, of a property, the plain value is asks for nothing
// that was doesn't have: the two mean the same, or the program leaves the
// property to AWS.
func (p property) unchanged(was, is any) bool {
	if is == nil && p.output {
		return true
	}
	if was == nil {
		was = p.defaultValue
	}
	if is == nil {
		is = p.defaultValue
	}
	return isEmpty(was) && isEmpty(is) || p.same(was, is)
}

// same reports whether two plain values of property p mean the same.
func (p property) same(was, is any) bool {
	if p.asset {
		return sameAsset(was, is)
	}
	switch was := was.(type) {
	case string:
		if is, ok := is.(string); ok && p.json {
			return sameJSON(was, is)
		}
	case map[string]any:
		if is, ok := is.(map[string]any); ok && p.fields != nil {
			return p.sameObject(was, is)
		}
	case []any:
		if is, ok := is.([]any); ok {
			return p.sameArray(was, is)
		}
	}
	return reflect.DeepEqual(was, is)
}

func (p property) sameObject(was, is map[string]any) bool {
	for _, field := range p.fields {
		if field.input && !field.unchanged(was[field.name], is[field.name]) {
			return false
		}
	}
	return true
}

func (p property) sameArray(was, is []any) bool {
	if p.set {
		was, is = p.sorted(was), p.sorted(is)
	}
	element := property{fields: p.fields}
	return slices.EqualFunc(was, is, element.same)
}

// sorted returns a copy of an array in a fixed order.
func (p property) sorted(elements []any) []any {
	return slices.SortedFunc(slices.Values(elements), func(x, y any) int {
		return strings.Compare(p.identity(x), p.identity(y))
	})
}

// identity is the text that tells an element of a set from the others.
func (p property) identity(element any) string {
	if object, ok := element.(map[string]any); ok {
		for _, field := range p.fields {
			if field.key {
				return fmt.Sprint(object[field.name])
			}
		}
	}
	return fmt.Sprint(element)
}

// isEmpty tells whether a plain value is the same to AWS as none.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	default:
		return false
	}
}

// sameAsset compares assets and archives by content, as far as it is there.
func sameAsset(a, b any) bool {
	switch a := a.(type) {
	case *archive.Archive:
		b, ok := b.(*archive.Archive)
		return ok && a.Equals(b)
	case *asset.Asset:
		b, ok := b.(*asset.Asset)
		return ok && a.Equals(b)
	default:
		return a == nil && b == nil
	}
}

// sameJSON compares two JSON documents as AWS does with policies: white space
// and the order of members don't count, nor whether a single value stands in an
// array. Texts that aren't JSON are compared as they are.
func sameJSON(a, b string) bool {
	if a == b {
		return true
	}
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		return false
	}
	return reflect.DeepEqual(unwrapSingles(x), unwrapSingles(y))
}

// unwrapSingles replaces each array of one element by its element, and sorts
// arrays of strings (a policy's actions, resources and principals are sets).
func unwrapSingles(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, member := range maps.All(v) {
			out[key] = unwrapSingles(member)
		}
		return out
	case []any:
		if len(v) == 1 {
			return unwrapSingles(v[0])
		}
		out := make([]any, len(v))
		texts := make([]string, 0, len(v))
		for i, element := range v {
			out[i] = unwrapSingles(element)
			if text, ok := element.(string); ok {
				texts = append(texts, text)
			}
		}
		if len(texts) == len(v) {
			slices.Sort(texts)
			for i, text := range texts {
				out[i] = text
			}
		}
		return out
	default:
		return v
	}
}
