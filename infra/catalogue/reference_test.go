package catalogue

import (
	"os"
	"reflect"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The page that describes the configuration has every key, and no other.
func TestReference(t *testing.T) {
	page, err := os.ReadFile("../../docs/stack.md")
	require.NoError(t, err)
	var described []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z]+\\.[^`]+)` \\|").FindAllSubmatch(page, -1) {
		described = append(described, string(row[1]))
	}
	names := map[string]string{"services": "<service>", "databases": "<server>", "rotators": "<name>", "catalogue": "<secret>"}
	assert.ElementsMatch(t, keysOf(reflect.TypeFor[document](), "", names), described)
}

// keysOf returns the paths of all keys below a struct; names stand for the keys
// of maps.
func keysOf(of reflect.Type, path string, names map[string]string) []string {
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice:
		if of.Elem().Kind() == reflect.Struct {
			return keysOf(of.Elem(), path, names)
		}
	case reflect.Map:
		if name, ok := names[path]; ok {
			return keysOf(of.Elem(), path+"."+name, names)
		}
	case reflect.Struct:
		var keys []string
		for i := range of.NumField() {
			key := of.Field(i).Tag.Get("mapstructure")
			if path != "" {
				key = path + "." + key
			}
			keys = append(keys, keysOf(of.Field(i).Type, key, names)...)
		}
		return keys
	}
	return []string{path}
}
