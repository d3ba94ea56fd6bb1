package handlers

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// property is what Pulumi knows about one property of a resource type. It is
// read off the tags of the type's struct, where the name comes from the "json"
// tag and the rest from the "prop" tag, a list of:
//
//	in           the program may set it
//	out          the cloud sets it (with "in": the cloud sets it if the program doesn't)
//	required     the program must set it
//	replace      a change replaces the resource
//	volatile     an update may change this output, so it is unknown in a preview of one
//	writeonly    AWS has no call that tells it, so a refresh leaves it as it is
//	json         a JSON document, compared by meaning
//	set          an array whose order means nothing
//	asset        an asset or archive, carried through as it is
//	key          in an element of a set: what identifies the element
//	default=V    the value if the program sets none, as JSON
//	auto=N       named after the resource, at most N bytes long, if the program sets no name
//	prefix=P     with auto: what such a name begins with
type property struct {
	name string

	input, output, required, replace, volatile bool
	writeOnly, json, set, asset, key           bool

	defaultValue any

	autoMax    int
	autoPrefix string

	// fields are the properties of a nested object, or of the objects in an
	// array; nil for anything else.
	fields []property
}

// propertiesOf reads the properties off the tags of struct type t. A mistake in
// a tag is one of the programmer's, found by the first test that runs, so it
// panics.
func propertiesOf(t reflect.Type) []property {
	var all []property
	for field := range t.Fields() {
		if field.Anonymous {
			all = append(all, propertiesOf(field.Type)...)
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		p := property{name: name}
		for flag := range strings.SplitSeq(field.Tag.Get("prop"), ",") {
			p.apply(t, flag)
		}
		if nested := structOf(field.Type); nested != nil && !p.asset {
			p.fields = propertiesOf(nested)
		}
		all = append(all, p)
	}
	return all
}

func (p *property) apply(owner reflect.Type, flag string) {
	flag, value, _ := strings.Cut(flag, "=")
	switch flag {
	case "in":
		p.input = true
	case "out":
		p.output = true
	case "required":
		p.required = true
	case "replace":
		p.replace = true
	case "volatile":
		p.volatile = true
	case "writeonly":
		p.writeOnly = true
	case "json":
		p.json = true
	case "set":
		p.set = true
	case "asset":
		p.asset = true
	case "key":
		p.key = true
	case "default":
		if err := json.Unmarshal([]byte(value), &p.defaultValue); err != nil {
			panic(fmt.Sprintf("handlers: default of %v.%s: %v", owner, p.name, err))
		}
	case "auto":
		n, err := strconv.Atoi(value)
		if err != nil {
			panic(fmt.Sprintf("handlers: length of %v.%s: %v", owner, p.name, err))
		}
		p.autoMax = n
	case "prefix":
		p.autoPrefix = value
	default:
		panic(fmt.Sprintf("handlers: %v.%s has the unknown flag %q", owner, p.name, flag))
	}
}

// structOf returns the struct type behind t, a struct, a pointer to one or a
// slice of them, else nil.
func structOf(t reflect.Type) reflect.Type {
	switch t.Kind() {
	case reflect.Struct:
		return t
	case reflect.Pointer, reflect.Slice:
		return structOf(t.Elem())
	default:
		return nil
	}
}

// find returns the property of that name.
func find(properties []property, name string) (property, bool) {
	for _, p := range properties {
		if p.name == name {
			return p, true
		}
	}
	return property{}, false
}
