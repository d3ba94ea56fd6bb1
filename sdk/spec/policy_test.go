package spec_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/sdk/spec"
)

const day = 24 * time.Hour

func TestKinds(t *testing.T) {
	want := map[spec.Kind]time.Duration{ // ADR-006, "Automatic Rotation"
		spec.KindDatabase: 30 * day, spec.KindAPIKey: 90 * day, spec.KindOAuth: 7 * day, spec.KindCustom: 0,
	}
	require.Len(t, spec.Kinds(), len(want))
	for _, kind := range spec.Kinds() {
		parsed, err := spec.ParseKind(kind.String())
		require.NoError(t, err)
		assert.Equal(t, kind, parsed)
		assert.Equal(t, want[kind], kind.RotationInterval(), kind)
		assert.Greater(t, kind.MaxAge(), kind.RotationInterval(), kind)
		if kind == spec.KindCustom {
			require.ErrorContains(t, kind.Policy().Validate(), "no rotation interval")
		} else {
			require.NoError(t, kind.Policy().Validate())
		}
	}
	for _, unknown := range []string{"", "Database", "db", "api_key"} {
		_, err := spec.ParseKind(unknown)
		require.ErrorContains(t, err, "database, api-key, oauth, custom")
		assert.Zero(t, spec.Kind(unknown).RotationInterval())
		assert.Zero(t, spec.Kind(unknown).MaxAge())
	}
}

func TestPolicyValidate(t *testing.T) {
	for _, c := range []struct {
		policy spec.Policy
		want   string // "": valid
	}{
		{spec.Policy{RotationInterval: 4 * time.Hour, MaxAge: 4 * time.Hour}, ""},
		{spec.Policy{RotationInterval: 1000 * day, MaxAge: 1000 * day}, ""},
		{spec.Policy{RotationInterval: 4*time.Hour - 1, MaxAge: day}, "too short"},
		{spec.Policy{RotationInterval: -day, MaxAge: day}, "too short"},
		{spec.Policy{RotationInterval: 1000*day + 1, MaxAge: 2000 * day}, "too long"},
		{spec.Policy{RotationInterval: 30 * day, MaxAge: 29 * day}, "less than the rotation interval"},
		{spec.Policy{RotationInterval: 30 * day}, "less than the rotation interval"},
		{spec.Policy{}, "no rotation interval"},
		{spec.Policy{}, "maximum age 0s is not positive"},
	} {
		err := c.policy.Validate()
		if c.want == "" {
			assert.NoError(t, err, "%+v", c.policy)
		} else {
			assert.ErrorContains(t, err, c.want, "%+v", c.policy)
		}
	}
}

func TestTags(t *testing.T) {
	name, err := spec.ParseName("acme/dev/shop/db")
	require.NoError(t, err)
	good := func() map[string]string {
		return map[string]string{
			"Environment": "dev", "Service": "shop", "Owner": "team-shop@acme.example", "SecretType": "database",
			"DataClassification": "internal", "ManagedBy": "pulumi", "Größe": "a b+-=._:/@ é9",
		}
	}
	require.NoError(t, spec.ValidateTags(name, good()))
	assert.Empty(t, spec.MissingTags(good()))
	assert.Equal(t, spec.RequiredTags(), spec.MissingTags(nil))
	assert.Equal(t, []string{"Owner"}, spec.MissingTags(map[string]string{
		"Environment": "dev", "Service": "shop", "Owner": " ", "SecretType": "x", "DataClassification": "x", "ManagedBy": "x",
	}))
	for label, c := range map[string]struct{ key, value, want string }{
		"missing":         {"Owner", "", "tag Owner is missing"},
		"environment":     {"Environment", "prod", `tag Environment is "prod" but the name says "dev"`},
		"service":         {"Service", "cart", `tag Service is "cart" but the name says "shop"`},
		"kind":            {"SecretType", "db", "tag SecretType: unknown kind"},
		"aws":             {"AWS:x", "y", "starts with aws:"},
		"character":       {"Note", "a*b", `tag "Note" holds a character`},
		"key character":   {"No;te", "ab", `tag "No;te" holds a character`},
		"not UTF-8":       {"Note", "a\xffb", `tag "Note" holds a character`},
		"line break":      {"Note", "a\nb", `tag "Note" holds a character`},
		"long value":      {"Note", strings.Repeat("é", 257), "has 257 characters"},
		"long key":        {strings.Repeat("k", 129), "v", "has 129 characters"},
		"empty key":       {"", "v", "has 0 characters"},
		"whole tag names": {"Note", "aws:x", ""},
	} {
		t.Run(label, func(t *testing.T) {
			tags := good()
			tags[c.key] = c.value
			err := spec.ValidateTags(name, tags)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "acme/dev/shop/db")
		})
	}
	many := good()
	for i := range 50 {
		many["k"+strings.Repeat("x", i)] = "v"
	}
	require.ErrorContains(t, spec.ValidateTags(name, many), "57 tags are too many")
}
