package handlers

import (
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Change is what happens to one property.
type Change struct {
	// Property is its name.
	Property string
	// Added and Removed tell that only the new, or only the old, inputs set it.
	Added, Removed bool
	// Replace tells that AWS can't change it: the resource has to be replaced.
	Replace bool
}

// Diff is what has to be done to get from one set of inputs to another.
type Diff struct {
	// Changes lists the properties that differ; empty: nothing has to be done.
	Changes []Change
	// DeleteFirst tells that a replacement can't live beside the resource that
	// it replaces, since both have the same name.
	DeleteFirst bool
}

// Replace tells whether the resource has to be replaced.
func (d Diff) Replace() bool {
	for _, change := range d.Changes {
		if change.Replace {
			return true
		}
	}
	return false
}

// Diff compares the inputs of the last deployment with new ones that Check
// passed. A new value that isn't known yet counts as a change. A property that
// the program no longer sets counts as one only if AWS can't keep what it has
// (see property: "in,out").
func (p *Provider) Diff(token string, old, inputs resource.PropertyMap) (Diff, error) {
	t, err := p.lookUp(token)
	if err != nil {
		return Diff{}, err
	}
	var diff Diff
	for _, property := range t.properties() {
		if !property.input {
			continue
		}
		change, differs := compare(property, old, inputs)
		if !differs {
			continue
		}
		change.Replace = property.replace || t.replacesOn(property.name, old, inputs)
		diff.Changes = append(diff.Changes, change)
	}
	diff.DeleteFirst = diff.Replace() && keepsName(t.properties(), old, inputs)
	return diff, nil
}

func compare(p property, old, inputs resource.PropertyMap) (Change, bool) {
	key := resource.PropertyKey(p.name)
	before, hadBefore := old[key]
	after, hasAfter := inputs[key]
	if hasAfter && after.ContainsUnknowns() {
		return Change{Property: p.name, Added: !hadBefore}, true
	}
	was, _ := plain(before)
	is, _ := plain(after)
	if p.unchanged(was, is) {
		return Change{}, false
	}
	return Change{Property: p.name, Added: !hadBefore, Removed: !hasAfter}, true
}

// keepsName tells whether the program chose the resource's name and keeps it.
func keepsName(properties []property, old, inputs resource.PropertyMap) bool {
	for _, p := range properties {
		key := resource.PropertyKey(p.name)
		if p.autoMax == 0 || wasDefault(inputs, key) {
			continue
		}
		before, _ := plain(old[key])
		after, _ := plain(inputs[key])
		if before != nil && before == after {
			return true
		}
	}
	return false
}

// Preview is the state that Create (old is nil) or Update would return, with
// unknown values for what only AWS can tell.
func (p *Provider) Preview(token string, old, inputs resource.PropertyMap) (resource.PropertyMap, error) {
	t, err := p.lookUp(token)
	if err != nil {
		return nil, err
	}
	unknown := resource.MakeComputed(resource.NewProperty(""))
	state := resource.PropertyMap{}
	for _, property := range t.properties() {
		key := resource.PropertyKey(property.name)
		value, set := inputs[key]
		previous, known := old[key]
		switch {
		case property.input && set:
			state[key] = value
		case property.name == "tagsAll" && inputs.HasValue("tags"):
			state[key] = inputs["tags"]
		case old == nil && property.output, property.volatile:
			state[key] = unknown
		case property.output && known:
			state[key] = previous
		case property.defaultValue != nil:
			state[key] = resource.NewPropertyValue(property.defaultValue)
		}
	}
	return state, nil
}

// inputsOf picks from a state that was just read what the inputs would have to
// be for it. See Provider.Read.
func inputsOf(properties []property, state, inputs resource.PropertyMap) resource.PropertyMap {
	importing := len(inputs) == 0
	picked := resource.PropertyMap{}
	for _, p := range properties {
		key := resource.PropertyKey(p.name)
		actual, has := state[key]
		given, wasGiven := inputs[key]
		switch {
		case !p.input || (!wasGiven && !importing):
		case p.asset || p.writeOnly:
			if wasGiven {
				picked[key] = given
			}
		case importing:
			value, _ := plain(actual)
			// A switch without a default is off when nobody sets it.
			off := value == false && p.defaultValue == nil
			if has && !off && !isEmpty(value) && !p.same(value, p.defaultValue) {
				picked[key] = p.inputOf(actual, resource.PropertyValue{})
			}
		case !has:
			// The cloud has none: the next deployment sets it again.
		default:
			picked[key] = p.inputOf(actual, given)
		}
	}
	if list, ok := inputs[defaultsKey]; ok {
		picked[defaultsKey] = list
	}
	return picked
}

// inputOf reduces an actual value to what an input can hold: it drops what the
// program left to AWS in nested objects, and keeps the program's spelling and
// order where the value means the same.
func (p property) inputOf(actual, given resource.PropertyValue) resource.PropertyValue {
	secret := actual.IsSecret() || given.IsSecret()
	if actual.IsSecret() {
		actual = actual.SecretValue().Element
	}
	if given.IsSecret() {
		given = given.SecretValue().Element
	}
	reduced := actual
	switch {
	case p.fields != nil && actual.IsObject():
		reduced = p.inputObject(actual, given)
	case p.fields != nil && actual.IsArray():
		elements := make([]resource.PropertyValue, 0, len(actual.ArrayValue()))
		for _, element := range actual.ArrayValue() {
			elements = append(elements, p.inputObject(element, p.counterpart(element, given)))
		}
		reduced = resource.NewProperty(elements)
	}
	is, _ := plain(reduced)
	was, known := plain(given)
	if known && was != nil && p.same(is, was) {
		reduced = given
	}
	if secret {
		return resource.MakeSecret(reduced)
	}
	return reduced
}

// inputObject reduces one nested object.
func (p property) inputObject(actual, given resource.PropertyValue) resource.PropertyValue {
	var before resource.PropertyMap
	if given.IsObject() {
		before = given.ObjectValue()
	}
	object := resource.PropertyMap{}
	for _, field := range p.fields {
		key := resource.PropertyKey(field.name)
		value, has := actual.ObjectValue()[key]
		was, wasGiven := before[key]
		if !has || !field.input || (field.output && !wasGiven) {
			continue
		}
		object[key] = field.inputOf(value, was)
	}
	return resource.NewProperty(object)
}

// counterpart finds the element of the array given that stands for the same
// thing as element, by the field that is the key.
func (p property) counterpart(element, given resource.PropertyValue) resource.PropertyValue {
	if !given.IsArray() {
		return resource.PropertyValue{}
	}
	want, _ := plain(element)
	for _, candidate := range given.ArrayValue() {
		have, _ := plain(candidate)
		if p.identity(have) == p.identity(want) {
			return candidate
		}
	}
	return resource.PropertyValue{}
}
