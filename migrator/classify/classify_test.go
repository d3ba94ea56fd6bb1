package classify_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/sdk/spec"
)

func newClassifier(t require.TestingT, config classify.Config) *classify.Classifier {
	c, err := classify.New(config)
	require.NoError(t, err)
	return c
}

func setting(name, value string) classify.Setting {
	return classify.Setting{Name: name, Value: spec.ValueString(value)}
}

func TestWhatPeopleDecidedStands(t *testing.T) {
	c := newClassifier(t, classify.Config{
		Secrets:    []string{"BADGE_*", "/shop/*/motto"},
		NotSecrets: []string{"badge_color", "DEMO_PASSWORD"},
	})
	assert.True(t, c.Classify(setting("BADGE_TEXT", "hello")).Secret)
	assert.True(t, c.Classify(setting("/shop/prod/motto", "hello")).Secret)
	assert.False(t, c.Classify(setting("BADGE_COLOR", "red")).Secret, "no secret comes first, and case doesn't count")
	assert.False(t, c.Classify(setting("DEMO_PASSWORD", "demo")).Secret)
}

func TestMalformedPatternsAreRefusedTogether(t *testing.T) {
	_, err := classify.New(classify.Config{Secrets: []string{"A[", "B*"}, NotSecrets: []string{"C["}})
	require.ErrorContains(t, err, `"A["`)
	require.ErrorContains(t, err, `"C["`)
}

// Reasons go into logs and reports, so none may hold a part of the value.
func TestVerdictsHoldNothingOfTheValue(t *testing.T) {
	c := newClassifier(t, classify.Config{})
	const canary = "Zq7Rk2m9Xw3Jt8f5Kv1Bd6Hp"
	for name, value := range map[string]string{
		"DB_PASSWORD": canary, "NOTHING": canary, "KEY": canary, "LIMIT": canary,
		"URL": "postgres://app:" + canary + "@db/shop", "HOOK": "https://hooks.slack.com/services/T/B/" + canary,
		"QUERY": "https://example.com/?token=" + canary, "HEADER": "Bearer " + canary,
		"OBJECT": `{"mail":{"api_key":"` + canary + `"}}`, "PEM": "-----BEGIN PRIVATE KEY-----\n" + canary,
	} {
		v := c.Classify(setting(name, value))
		assert.NotContains(t, fmt.Sprintf("%+v", v), canary[:8], name)
		assert.Equal(t, name != "LIMIT", v.Secret, name)
	}
}

// A member's own name may say nothing where the object's does.
func TestObjectsBySecretNames(t *testing.T) {
	c := newClassifier(t, classify.Config{})
	assert.True(t, c.Classify(setting("API_KEY", `{"k":"Zq7Rk2m9Xw3Jt8f5Kv1Bd6Hp"}`)).Secret)
	assert.False(t, c.Classify(setting("API_KEY", `{"region":"us-east-1"}`)).Secret)
	assert.False(t, c.Classify(setting("LIMITS", `{"k":"default"}`)).Secret)
}

// What a service decrypts itself may be anything.
func TestCiphertextsAreUnknown(t *testing.T) {
	c := newClassifier(t, classify.Config{})
	for _, name := range []string{"DB_PASSWORD", "GREETING"} {
		v := c.Classify(setting(name, "AQICAHh"+strings.Repeat("b3Jk", 40)+"Q=="))
		assert.True(t, v.Unknown, name)
		assert.False(t, v.Secret, name)
	}
	assert.False(t, c.Classify(setting("GREETING", "AQICAH")).Unknown)
}

func TestPairsAreJudgedOneByOne(t *testing.T) {
	c := newClassifier(t, classify.Config{})
	assert.True(t, c.Classify(setting("HEADERS", "team=shop,x-api-key=hunter2hunter2")).Secret)
	assert.False(t, c.Classify(setting("HEADERS", "team=shop,tier=gold")).Secret)
	assert.True(t, c.Classify(setting("DB_PASSWORD", "team=shop")).Secret, "a password may look like a pair")
}

// The name decides nothing by how it is written.
func TestNamesOfAllStyles(t *testing.T) {
	c := newClassifier(t, classify.Config{})
	for _, name := range []string{"DB_PASSWORD", "db-password", "dbPassword", "DbPassword", "DBPassword", "db.password", "/app/db/password", "DBPASSWORD", "Db__Password"} {
		v := c.Classify(setting(name, "plain"))
		assert.True(t, v.Secret, name)
		assert.Equal(t, spec.KindDatabase, v.Kind, name)
	}
}

func TestAnyPairHasAVerdict(t *testing.T) {
	c := newClassifier(t, classify.Config{})
	rapid.Check(t, func(t *rapid.T) {
		v := c.Classify(setting(rapid.String().Draw(t, "name"), rapid.String().Draw(t, "value")))
		assert.NotEmpty(t, v.Reasons)
		assert.True(t, v.Confidence > 0 && v.Confidence <= 1)
		assert.Equal(t, v.Secret, v.Kind != "")
	})
}

func FuzzClassify(f *testing.F) {
	f.Add("DB_PASSWORD", "postgres://a:b@c/d?e=f")
	f.Add("SETTINGS", `{"a":{"password":"b"}}`)
	c := newClassifier(f, classify.Config{})
	f.Fuzz(func(t *testing.T, name, value string) {
		c.Classify(setting(name, value))
		classify.Related([]classify.Setting{setting(name, value)})
	})
}
