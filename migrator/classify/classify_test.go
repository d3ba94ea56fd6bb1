package classify_test

import (
	"fmt"
	"math/rand/v2"
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
		"OBJECT": `{"mail":{"api_key":"` + canary + `"}}`, "KEYS": `{"` + canary + `":"` + canary + `"}`, "PAIRED": canary + "=" + canary, "PEM": "-----BEGIN PRIVATE KEY-----\n" + canary,
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

// Where the name says nothing, the value must: most that are random are found, of
// whichever characters. Letters of one case with a few digits are the hardest.
func TestRandomValuesUnderNamesThatSayNothing(t *testing.T) {
	c := newClassifier(t, classify.Config{})
	random := rand.New(rand.NewPCG(6, 20))
	for alphabet, want := range map[string]float64{"alnum": 0.97, "url": 0.95, "base64": 0.95, "hex": 0.95, "lower": 0.7} {
		for _, length := range []int{20, 32, 43, 64} {
			found := 0
			for range 500 {
				value := make([]byte, length)
				for i := range value {
					value[i] = alphabets[alphabet][random.IntN(len(alphabets[alphabet]))]
				}
				if c.Classify(setting("SETTING", string(value))).Secret {
					found++
				}
			}
			assert.GreaterOrEqual(t, float64(found)/500, want, "%d of %s", length, alphabet)
		}
	}
	for _, value := range []string{
		"orders-Dest-1K8LWQ0S5J7D2", "acme-assetsbucket-1k2j3h4g5f6d7", "orders-7d4b9c6f5d-x2x7z", "registry.example.com/orders:20240607.3-a1b2c3d",
		"anthropic.claude-3-5-sonnet-20241022-v2:0", "eu-central-1a,eu-central-1b", "d111111abcdef8.cloudfront.net", "OrdersApiGatewayStage2024Prod",
		"gpt-4o-mini-2024-07-18", "postgres16-pgvector0.7-r3", "UA-12345678-1", "G-1A2B3C4D5E", "E2QWRUHAPOMQZL", "app.orders.v2.OrderCreated",
		"%d{ISO8601} [%t] %-5level %logger{36} - %msg%n", "A128CBC-HS256", "TLSv1.2,TLSv1.3", "en-US,en;q=0.9,de;q=0.8", "#1A2B3C,#4D5E6F",
		"AC0123456789abcdef0123456789abcdef", "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
	} {
		assert.False(t, c.Classify(setting("SETTING", value)).Secret, value)
	}
}

// Words at the end that tell one of several don't hide what the name is of.
func TestNamesOfOneOfSeveral(t *testing.T) {
	c := newClassifier(t, classify.Config{})
	for _, name := range []string{"DB_PASSWORD_OLD", "DB_PASSWORD_PROD", "DB_PASSWORD_2", "DB_PASSWORD_NEW_2", "dbPasswordPrevious"} {
		assert.True(t, c.Classify(setting(name, "winter")).Secret, name)
	}
	for _, name := range []string{"REGION_OLD", "PASSWORD_MIN_LENGTH_PROD", "TEST"} {
		assert.False(t, c.Classify(setting(name, "winter")).Secret, name)
	}
}

// Neither the name nor the value alone tells.
func TestNameAndValueTogether(t *testing.T) {
	c := newClassifier(t, classify.Config{})
	const uuid = "6f1e2d3c-4b5a-4789-a0b1-c2d3e4f5a6b7"
	for _, x := range []struct {
		name, value string
		secret      bool
	}{
		{"APPROLE_SECRET_ID", uuid, true},
		{"APPROLE_ROLE_ID", uuid, false},
		{"DB_PASSWORD_SECRET_ID", "acme/dev/orders/database#password", false},
		{"BUNDLE_GEMS__EXAMPLE__COM", "build:hunter2", true},
		{"BUNDLE_BUILD__MYSQL", "--with-opt=/usr", false},
		{"BUNDLE_MIRROR__HTTPS://RUBYGEMS__ORG", "https://gems.example.com", false},
		{"ORDERS_WEBHOOK_URL", "https://hooks.example.com/catch/Zq7Rk2m9Xw3Jt8f5Kv1Bd6Hp", true},
		{"ORDERS_WEBHOOK_URL", "https://hooks.example.com/orders/shipping-notifications", false},
		{"ASSETS_URL", "https://cdn.example.com/Zq7Rk2m9Xw3Jt8f5Kv1Bd6Hp", false},
		{"CERT", "SHA256 Fingerprint=01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67", false},
		{"IDP_CERT_FINGERPRINT", "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67", false},
	} {
		assert.Equal(t, x.secret, c.Classify(setting(x.name, x.value)).Secret, "%s=%s", x.name, x.value)
	}
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
