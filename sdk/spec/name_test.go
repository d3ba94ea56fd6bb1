package spec_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/sdk/spec"
)

func TestParseName(t *testing.T) {
	for text, want := range map[string]string{ // "" is accepted
		"acme/dev/shop/db":                      "",
		"Acme_1+=.@-/dev/s/n":                   "",
		"a/b/c/d-12345":                         "",
		"a/b/c/d-1234567":                       "",
		"a/b/c-ddddd/e":                         "",
		"a/b/c/" + strings.Repeat("d", 512-6):   "",
		"":                                      "has 1 segments",
		"acme/dev/shop":                         "has 3 segments",
		"acme/dev/shop/db/more":                 "has 5 segments",
		"/acme/dev/shop":                        "the organization is empty",
		"acme//shop/db":                         "the environment is empty",
		"acme/dev//db":                          "the service is empty",
		"acme/dev/shop/":                        "the secret is empty",
		"acme/dev/shop/d b":                     `the secret "d b" holds ' '`,
		"acme/dev/shöp/db":                      "holds 'ö'",
		"acme/dev/shop/db\x00":                  "holds",
		"acme/dev/shop/\xff":                    "holds",
		"acme/d*v/shop/db":                      `the environment "d*v" holds '*'`,
		"acme/dev/shop/db-123456":               "mistakes for the end of an ARN",
		"acme/dev/shop/db-------":               "mistakes for the end of an ARN",
		"acme/dev/s-op/dbx":                     "mistakes for the end of an ARN", // six characters, the slash among them
		"a/b/c/" + strings.Repeat("d", 512-5):   "513 bytes is too long",
		strings.Repeat("/", 600):                "600 bytes is too long",
		"arn:aws:secretsmanager:r:1:secret:a/b": "has 2 segments",
	} {
		name, err := spec.ParseName(text)
		if want != "" {
			require.ErrorContains(t, err, want, text)
			assert.Zero(t, name)
			continue
		}
		require.NoError(t, err, text)
		assert.Equal(t, text, name.String())
	}
}

func TestNameValidateTellsAllAtOnce(t *testing.T) {
	err := spec.Name{Organization: "", Environment: "d v", Service: "a/b", Secret: "x-123456"}.Validate()
	for _, want := range []string{"organization is empty", "holds ' '", "holds '/'", "end of an ARN"} {
		require.ErrorContains(t, err, want)
	}
	require.ErrorContains(t, spec.Name{Organization: strings.Repeat("a", 600), Environment: "b", Service: "c", Secret: "d"}.Validate(), "at most 512")
}

var segments = rapid.StringMatching(`[A-Za-z0-9_+=.@-]{1,60}`)

func TestValidNamesSurviveARoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := spec.Name{
			Organization: segments.Draw(t, "organization"), Environment: segments.Draw(t, "environment"),
			Service: segments.Draw(t, "service"), Secret: segments.Draw(t, "secret"),
		}
		parsed, err := spec.ParseName(name.String())
		if name.Validate() != nil {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, name, parsed)
	})
}

func FuzzParseName(f *testing.F) {
	for _, seed := range []string{"acme/dev/shop/db", "a/b/c/d-123456", "a//c/d", "a/b/c/é", strings.Repeat("a/", 300)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := spec.ParseName(text)
		if err != nil {
			return
		}
		require.Equal(t, text, name.String())
		require.LessOrEqual(t, len(text), spec.MaxNameLength)
		require.Equal(t, 3, strings.Count(text, "/"))
		require.NotEqual(t, byte('-'), text[max(0, len(text)-7)])
		for _, c := range []byte(text) {
			require.Contains(t, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_+=.@-", string(c))
		}
	})
}
