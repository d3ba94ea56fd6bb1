package password_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/rotators/password"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	lower = "abcdefghijklmnopqrstuvwxyz"
	upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digit = "0123456789"
	punct = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)

func TestGenerateKeepsItsOptions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		options := password.Options{
			Length:             rapid.IntRange(8, 200).Draw(t, "length"),
			ExcludeCharacters:  rapid.StringOfN(rapid.RuneFrom([]rune(lower+upper+digit+punct+" é")), 0, 40, -1).Draw(t, "excluded"),
			ExcludeLowercase:   rapid.Bool().Draw(t, "no lowercase"),
			ExcludeUppercase:   rapid.Bool().Draw(t, "no uppercase"),
			ExcludeNumbers:     rapid.Bool().Draw(t, "no numbers"),
			ExcludePunctuation: rapid.Bool().Draw(t, "no punctuation"),
			IncludeSpace:       rapid.Bool().Draw(t, "space"),
			AllowMissingTypes:  rapid.Bool().Draw(t, "types may be missing"),
		}
		value, err := password.Generate(options)
		if err != nil {
			assert.ErrorContains(t, err, "exclude every character")
			return
		}
		text := value.RevealString()
		assert.Equal(t, options.Length, len(text))
		assert.False(t, strings.ContainsAny(text, options.ExcludeCharacters), "an excluded character")
		for _, group := range []struct {
			characters string
			excluded   bool
		}{
			{lower, options.ExcludeLowercase}, {upper, options.ExcludeUppercase}, {digit, options.ExcludeNumbers},
			{punct, options.ExcludePunctuation}, {" ", !options.IncludeSpace},
		} {
			possible := strings.Trim(group.characters, options.ExcludeCharacters) != ""
			switch {
			case group.excluded:
				assert.False(t, strings.ContainsAny(text, group.characters), "a type that is excluded")
			case possible && !options.AllowMissingTypes:
				assert.True(t, strings.ContainsAny(text, group.characters), "a type is missing")
			}
		}
	})
}

func TestGenerateUsesEveryCharacter(t *testing.T) {
	value, err := password.Generate(password.Options{Length: password.MaxLength, IncludeSpace: true})
	require.NoError(t, err)
	for _, r := range lower + upper + digit + punct + " " {
		assert.True(t, strings.ContainsRune(value.RevealString(), r), "%q never appears", r)
	}
}

func TestDefaults(t *testing.T) {
	first, err := password.Generate(password.Options{})
	require.NoError(t, err)
	second, err := password.Generate(password.Options{})
	require.NoError(t, err)
	assert.Equal(t, password.DefaultLength, first.Len())
	assert.False(t, first.Equal(second), "twice the same password")
}

func TestForEngine(t *testing.T) {
	for engine, excluded := range map[string]string{
		spec.EnginePostgres: `/@"'\:`, spec.EngineAuroraPostgres: `/@"'\:`, spec.EngineMySQL: `/@"'\`, spec.EngineMariaDB: `/@"'\`,
	} {
		options := password.ForEngine(engine)
		assert.Equal(t, excluded, options.ExcludeCharacters)
		options.Length = password.MaxLength
		value, err := password.Generate(options)
		require.NoError(t, err)
		assert.False(t, strings.ContainsAny(value.RevealString(), excluded))
	}
}

func TestGenerateRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		options password.Options
		err     string
	}{
		"a negative length":      {password.Options{Length: -1}, "length -1"},
		"too long":               {password.Options{Length: 4097}, "1 to 4096"},
		"too short for all":      {password.Options{Length: 3}, "too short"},
		"an alphabet of nothing": {password.Options{ExcludeCharacters: lower + upper + digit + punct}, "exclude less"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := password.Generate(test.options)
			require.ErrorContains(t, err, test.err)
		})
	}
}
