package handlers

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestPoliciesAreComparedByMeaning(t *testing.T) {
	same := [][2]string{
		{`{"a":1,"b":2}`, "{ \"b\": 2,\n \"a\": 1 }"},
		{`{"Action":"s3:Get"}`, `{"Action":["s3:Get"]}`},
		{`{"Action":["a","b"]}`, `{"Action":["b","a"]}`},
		{`not json`, `not json`},
	}
	for _, pair := range same {
		assert.True(t, sameJSON(pair[0], pair[1]), "%s and %s", pair[0], pair[1])
	}
	different := [][2]string{
		{`{"Action":["a","b"]}`, `{"Action":["a"]}`},
		{`{"Effect":"Allow"}`, `{"Effect":"Deny"}`},
		{`{"a":{"b":1}}`, `{"a":{"b":2}}`},
		{`not json`, `neither`},
		{`{}`, ``},
	}
	for _, pair := range different {
		assert.False(t, sameJSON(pair[0], pair[1]), "%s and %s", pair[0], pair[1])
	}
}

// FuzzSameJSON holds the comparison to what makes it one: a text is the same as
// itself, and order doesn't matter.
func FuzzSameJSON(f *testing.F) {
	f.Add(`{"a":["b","c"]}`, `{"a":["c","b"]}`)
	f.Add(`[[]]`, `[]`)
	f.Add(``, `{`)
	f.Fuzz(func(t *testing.T, a, b string) {
		if !sameJSON(a, a) {
			t.Fatalf("%q differs from itself", a)
		}
		if sameJSON(a, b) != sameJSON(b, a) {
			t.Fatalf("%q and %q: the order matters", a, b)
		}
	})
}

// anyInputs generates inputs that fit a resource type, or an object in one, some
// of them secret.
func anyInputs(t *rapid.T, of reflect.Type) resource.PropertyMap {
	inputs := resource.PropertyMap{}
	types := fieldTypes(of)
	for i, p := range propertiesOf(of) {
		if !p.input || p.asset || !p.required && rapid.Bool().Draw(t, p.name+" is left out") {
			continue
		}
		value := anyValue(t, p, types[i])
		if rapid.Bool().Draw(t, p.name+" is secret") {
			value = resource.MakeSecret(value)
		}
		inputs[resource.PropertyKey(p.name)] = value
	}
	return inputs
}

// fieldTypes are the types of the properties, in the order of propertiesOf.
func fieldTypes(of reflect.Type) []reflect.Type {
	var types []reflect.Type
	for field := range of.Fields() {
		if field.Anonymous {
			types = append(types, fieldTypes(field.Type)...)
			continue
		}
		types = append(types, field.Type)
	}
	return types
}

func anyValue(t *rapid.T, p property, of reflect.Type) resource.PropertyValue {
	text := rapid.StringMatching(`[a-z]{1,8}`)
	switch of.Kind() {
	case reflect.Pointer:
		return anyValue(t, p, of.Elem())
	case reflect.Struct:
		return resource.NewProperty(anyInputs(t, of))
	case reflect.Bool:
		return resource.NewProperty(rapid.Bool().Draw(t, p.name))
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Float64:
		return resource.NewProperty(float64(rapid.IntRange(1, 1000).Draw(t, p.name)))
	case reflect.Map:
		object := resource.PropertyMap{}
		for key, value := range rapid.MapOfN(text, text, 1, 3).Draw(t, p.name) {
			object[resource.PropertyKey(key)] = resource.NewProperty(value)
		}
		return resource.NewProperty(object)
	case reflect.Slice:
		return anyArray(t, p, of.Elem())
	default:
		if p.json {
			return resource.NewProperty(fmt.Sprintf(`{"Statement":[%q]}`, text.Draw(t, p.name)))
		}
		return resource.NewProperty(text.Draw(t, p.name))
	}
}

func anyArray(t *rapid.T, p property, of reflect.Type) resource.PropertyValue {
	elements := []resource.PropertyValue{}
	seen := map[string]bool{} // AWS refuses two elements of one key
	for range rapid.IntRange(1, 3).Draw(t, p.name) {
		element := anyValue(t, property{name: p.name}, of)
		value, _ := plain(element)
		if id := p.identity(value); p.fields == nil || !seen[id] {
			seen[id] = true
			elements = append(elements, element)
		}
	}
	return resource.NewProperty(elements)
}

// TestWhatTheCloudConfirmsIsNoChange: if the cloud has just what the program
// asked for, then what a refresh reports as inputs differs in nothing from what
// the program gives, for every resource type.
func TestWhatTheCloudConfirmsIsNoChange(t *testing.T) {
	p := newTestProvider(t)
	for _, token := range p.Types() {
		t.Run(token, rapid.MakeCheck(func(t *rapid.T) {
			k := p.types[token]
			inputs := anyInputs(t, structOfKind(k))
			if len(inputs) == 0 {
				return // which inputsOf takes for an import
			}
			state, err := echo(k, inputs)
			require.NoError(t, err)

			refreshed := inputsOf(k.properties(), state, inputs)
			diff, err := p.Diff(token, refreshed, inputs)
			require.NoError(t, err)
			assert.Empty(t, diff.Changes)
			diff, err = p.Diff(token, inputs, refreshed)
			require.NoError(t, err)
			assert.Empty(t, diff.Changes)
		}))
	}
}

// echo is the state of a resource that the cloud made as the program asked.
func echo(k resourceType, inputs resource.PropertyMap) (resource.PropertyMap, error) {
	return k.(interface {
		echo(inputs resource.PropertyMap) (resource.PropertyMap, error)
	}).echo(inputs)
}

func structOfKind(k resourceType) reflect.Type {
	return k.(interface{ structType() reflect.Type }).structType()
}

func (k kind[S]) structType() reflect.Type { return reflect.TypeFor[S]() }

func (k kind[S]) echo(inputs resource.PropertyMap) (resource.PropertyMap, error) {
	s, err := k.decode(inputs)
	if err != nil {
		return nil, err
	}
	return encode(k.properties(), s, inputs)
}

// TestSecretsStaySecret: what the program marks as secret is marked in the state,
// and in the inputs that a refresh reports.
func TestSecretsStaySecret(t *testing.T) {
	p := newTestProvider(t)
	for _, token := range p.Types() {
		t.Run(token, rapid.MakeCheck(func(t *rapid.T) {
			k := p.types[token]
			inputs := anyInputs(t, structOfKind(k))
			state, err := echo(k, inputs)
			require.NoError(t, err)
			refreshed := inputsOf(k.properties(), state, inputs)
			for key, value := range inputs {
				if !value.ContainsSecrets() {
					continue
				}
				if actual, has := state[key]; has {
					assert.True(t, actual.IsSecret(), "%s in the state", key)
				}
				if input, has := refreshed[key]; has {
					assert.True(t, input.ContainsSecrets(), "%s in the inputs", key)
				}
			}
		}))
	}
}

func TestAValueOfTheWrongTypeIsNotRepeated(t *testing.T) {
	p := newTestProvider(t)
	_, failures, err := p.Check("aws:secretsmanager/secret:Secret", "s", nil, resource.PropertyMap{
		"recoveryWindowInDays": resource.NewProperty("hunter2"),
	}, nil)
	require.NoError(t, err)
	require.Len(t, failures, 1)
	assert.Equal(t, "property recoveryWindowInDays must be of type int", failures[0].Reason)
}

func TestDefaultsAreInTheState(t *testing.T) {
	s, err := secretKind().(kind[secret]).decode(resource.PropertyMap{})
	require.NoError(t, err)
	assert.Equal(t, 30, s.RecoveryWindowInDays)

	s, err = secretKind().(kind[secret]).decode(resource.PropertyMap{"recoveryWindowInDays": resource.NewProperty(0.0)})
	require.NoError(t, err)
	assert.Zero(t, s.RecoveryWindowInDays, "0 is a value, not the lack of one")
}

func TestEveryPropertyOfAStructHasAName(t *testing.T) {
	for _, k := range kinds() {
		seen := map[string]bool{}
		for _, p := range k.properties() {
			assert.NotEmpty(t, p.name, k.name())
			assert.True(t, p.input || p.output, "%s.%s is neither input nor output", k.name(), p.name)
			assert.False(t, seen[p.name], "%s.%s is there twice", k.name(), p.name)
			seen[p.name] = true
			_, err := json.Marshal(p.defaultValue)
			assert.NoError(t, err)
		}
	}
}
