package settings

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The page for people has every key of the migration's file, and no other.
func TestThePageHasEveryKey(t *testing.T) {
	page, err := os.ReadFile("../../docs/migration-settings.md")
	require.NoError(t, err)
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-zA-Z.]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, row[1])
	}
	assert.ElementsMatch(t, keysOf(reflect.TypeFor[migrationDocument](), ""), documented)
	_, example, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	mistakes, err := (&Settings{}).readMigration("the page's example", []byte(example))
	require.NoError(t, err)
	assert.Empty(t, mistakes)
}

func keysOf(of reflect.Type, above string) []string {
	var keys []string
	for i := range of.NumField() {
		name := above + of.Field(i).Tag.Get("yaml")
		inner := of.Field(i).Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			keys = append(keys, keysOf(inner, name+".")...)
			continue
		}
		keys = append(keys, name)
	}
	return keys
}
