package checks

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/sig"
)

// unknown tells whether a value is made up by AWS later, or masked because
// Pulumi keeps it secret.
func unknown(value any) bool {
	switch value := value.(type) {
	case string:
		switch value {
		case plugin.UnknownStringValue, plugin.UnknownBoolValue, plugin.UnknownNumberValue, plugin.UnknownArrayValue, plugin.UnknownObjectValue:
			return true
		}
	case map[string]any:
		switch value[sig.Key] {
		case sig.Secret, sig.OutputValue:
			return true
		}
	}
	return false
}

// set tells whether an input has a value, or will have one.
func (r Resource) set(input string) bool {
	value, ok := r.Inputs[input]
	return ok && value != nil && value != ""
}

// text returns a text that is known, else "".
func (r Resource) text(input string) string {
	text, _ := r.Inputs[input].(string)
	if unknown(text) {
		return ""
	}
	return text
}

// yes tells whether an input is true, or isn't known.
func (r Resource) yes(input string) bool {
	value := r.Inputs[input]
	return value == true || unknown(value)
}

// atLeast tells whether a number is at least n, or isn't known.
func (r Resource) atLeast(input string, n float64) bool {
	number, ok := r.Inputs[input].(float64)
	return (ok && number >= n) || unknown(r.Inputs[input])
}

// objects returns the objects in a list.
func (r Resource) objects(input string) []map[string]any {
	list, _ := r.Inputs[input].([]any)
	var objects []map[string]any
	for _, element := range list {
		if object, ok := element.(map[string]any); ok {
			objects = append(objects, object)
		}
	}
	return objects
}

// leaf is a text somewhere in a value.
type leaf struct {
	path string
	key  string // the last key on the path
	text string
}

// leaves returns all known texts in a value, those in JSON too, in the order of
// their paths.
func leaves(path, key string, value any) []leaf {
	if unknown(value) {
		return nil
	}
	var found []leaf
	switch value := value.(type) {
	case string:
		var inner any
		if strings.HasPrefix(strings.TrimSpace(value), "{") && json.Unmarshal([]byte(value), &inner) == nil {
			return leaves(path, key, inner)
		}
		found = append(found, leaf{path, key, value})
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			found = append(found, leaves(path+"."+name, name, value[name])...)
		}
	case []any:
		for i, element := range value {
			found = append(found, leaves(fmt.Sprintf("%s[%d]", path, i), key, element)...)
		}
	}
	return found
}
