package settings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/settings"
)

const stackText = `config:
  aws:region: us-east-1
  aistudio-secrets:settings:
    organization: acme
    environment: dev
    owner: team-platform
    replicaRegion: eu-west-1
    administrators: [root]
  aistudio-secrets:services:
    orders:
      assumedBy: [lambda.amazonaws.com]
    billing:
      role: role/apps/billing
  aistudio-secrets:databases:
    main: {engine: postgres, host: db.internal, master: acme/dev/platform/admin}
  aistudio-secrets:catalogue:
    orders/key: {kind: api-key, owner: team-orders, dataClassification: c, readers: [orders], value: awaited}
    orders/database: {kind: database, owner: o, dataClassification: c, rotation: {disabled: x}}
    orders/client: {kind: oauth, owner: o, dataClassification: c}
    orders/still: {kind: custom, owner: o, dataClassification: c, rotation: {disabled: x}}
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestDefaults(t *testing.T) {
	s, err := settings.Read("dev", write(t, "Pulumi.dev.yaml", stackText), filepath.Join(t.TempDir(), "none.yaml"))
	require.NoError(t, err)
	assert.Equal(t, settings.Settings{
		Stack: "dev", Organization: "acme", Environment: "dev", Owner: "team-platform", Region: "us-east-1", ReplicaRegion: "eu-west-1", KMSKey: "alias/acme/dev/secrets",
		Databases: map[string]settings.Database{"main": {Engine: "postgres", Host: "db.internal"}},
		Readers:   map[string]string{"orders": "", "billing": "role/apps/billing"},
		Declared: map[string]settings.Declared{
			"orders/key":      {Kind: "api-key", Owner: "team-orders", Value: settings.Awaited, Readers: []string{"orders"}},
			"orders/database": {Kind: "database", Owner: "o", Value: settings.Seeded, RotationDisabled: "x"},
			"orders/client":   {Kind: "oauth", Owner: "o", Value: settings.Awaited},
			"orders/still":    {Kind: "custom", Owner: "o", Value: settings.Awaited, RotationDisabled: "x"},
		},
		Mode: "dual-read", DataClassification: "confidential", OwnerTags: []string{"Owner", "Team"}, ServiceTags: []string{"Service"}, PolicyLimit: 10240,
	}, s)
	again, err := settings.Read("dev", write(t, "Pulumi.dev.yaml", stackText), "")
	require.NoError(t, err)
	assert.Equal(t, s, again)
}

// The stacks of the project itself can be migrated.
func TestTheProjectsOwnStacks(t *testing.T) {
	for _, stack := range []string{"dev", "staging", "prod"} {
		s, err := settings.Read(stack, "../../Pulumi."+stack+".yaml", "")
		require.NoError(t, err)
		assert.Equal(t, "alias/aistudio/"+stack+"/secrets", s.KMSKey)
		assert.NotEmpty(t, s.Declared)
	}
}

// The reference in the package's documentation is read as it stands.
func TestTheDocumentedFile(t *testing.T) {
	source, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	var text strings.Builder
	for line := range strings.Lines(string(source)) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			text.WriteString(code)
		}
	}
	s, err := settings.Read("dev", write(t, "Pulumi.dev.yaml", stackText), write(t, "migration.dev.yaml", text.String()))
	require.NoError(t, err)
	assert.Equal(t, []string{"*_SIGNING_SALT"}, s.Classify.Secrets)
	assert.Equal(t, []string{"PUBLIC_*"}, s.Classify.NotSecrets)
	name, ok := s.Services.Of("lambda/orders-api")
	assert.True(t, ok)
	assert.Equal(t, "orders", name)
	name, _ = s.Services.Of("parameter:/shop/db/password")
	assert.Equal(t, "shop", name)
	reason, ok := s.SkipService("lambda/legacy-x")
	assert.True(t, ok)
	assert.Equal(t, "switched off in June", reason)
	_, ok = s.SkipService("ecs/main/web")
	assert.False(t, ok, "only one of its variables is skipped")
	reason, _ = s.SkipVariable("ecs/main/web", "TRACE_ID")
	assert.Equal(t, "not used", reason)
	reason, _ = s.SkipParameter("/old/a/b")
	assert.Equal(t, "nobody reads it", reason)
	assert.True(t, s.IsSeparate("db_password"))
	assert.Equal(t, []int{1, 5, 20}, s.Waves)
	assert.Equal(t, map[string][]string{"lambda/orders-api": {"live"}}, s.Aliases)
	how, _ := s.How.Of("ecs/main/web")
	assert.Equal(t, settings.Reference, how)
}

func TestAllMistakesAtOnce(t *testing.T) {
	stack := write(t, "Pulumi.dev.yaml", "config:\n  aws:region: mars\n  aistudio-secrets:settings:\n    organization: AI Studio\n    replicaRegion: moon\n")
	migration := write(t, "migration.dev.yaml", `mode: both
claasify: {}
classify: {secrets: ["[a"], notSecrets: [""]}
services: {"lambda/[": x, "lambda/*": "two words"}
owners: {"lambda/*": " "}
how: {"lambda/x": injection, "ecs/x": magic}
skip:
  - {reason: none}
  - {parameter: /x, variable: X}
  - {service: "[", reason: x}
separate: ["["]
waves: [1, 0]
aliases: {"ecs/x": [live], "lambda/x": []}
policyLimit: 0
serviceTags: 3
`)
	_, err := settings.Read("dev", stack, migration)
	var mistakes settings.MistakesError
	require.ErrorAs(t, err, &mistakes)
	for _, want := range []string{
		`aws:region: "mars" is no region`, `aistudio-secrets:settings.organization: "AI Studio"`, `aistudio-secrets:settings.environment: ""`,
		"aistudio-secrets:settings.owner: is missing", `aistudio-secrets:settings.replicaRegion: "moon"`,
		`line 2: there is no key "claasify"`, "line 15: cannot unmarshal", `mode: "both" is unknown`, `classify.secrets[0]: "[a" is no pattern`, `classify.notSecrets[0]: "" is no pattern`,
		`services.lambda/[: "lambda/[" is no pattern`, `services.lambda/*: "two words" is no name`, "owners.lambda/*: is empty",
		"how.lambda/x: Lambda injects no secrets", `how.ecs/x: "magic" is unknown`, "skip[0]: skips nothing", "skip[1]: parameter stands alone", "skip[1].reason: is missing",
		`skip[2].service: "[" is no pattern`, `separate[0]: "["`, "waves[1]: 0", "aliases.ecs/x: only functions", "aliases.lambda/x: names no alias", "policyLimit: 0",
	} {
		assert.Contains(t, err.Error(), want)
	}
	assert.Len(t, mistakes, 24)
	for _, mistake := range mistakes {
		assert.True(t, strings.HasPrefix(mistake, stack) || strings.HasPrefix(mistake, migration), mistake)
	}

	_, err = settings.Read("dev", write(t, "Pulumi.dev.yaml", strings.Replace(stackText, "organization: acme", "organization: aws", 1)), "")
	require.ErrorContains(t, err, "is reserved: KMS keeps the aliases below alias/aws/")

	_, err = settings.Read("dev", filepath.Join(t.TempDir(), "none"), "")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = settings.Read("dev", stack, t.TempDir())
	require.ErrorContains(t, err, "read the migration's file")
	_, err = settings.Read("dev", stack, write(t, "x.yaml", "a: ["))
	require.ErrorContains(t, err, "yaml")
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"*_TOKEN", "api_token", true}, {"*_TOKEN", "API_TOKENS", false},
		{"lambda/*", "lambda/orders", true}, {"ecs/*", "ecs/main/web", false}, {"ecs/**", "ecs/main/web", true}, {"ecs/*/**", "ecs/main/web", true},
		{"/shop/**", "/shop", false}, {"/shop/**", "/shop/a", true}, {"/shop/**", "/shops/a", false}, {"/sh*/**", "/shop/a/b", true},
	} {
		assert.Equal(t, c.want, settings.Match(c.pattern, c.text), "%s %s", c.pattern, c.text)
	}
	names := settings.Names{"lambda/*": "a", "lambda/orders-*": "b", "lambda/orders-?pi": "c"}
	got, ok := names.Of("lambda/orders-api")
	assert.True(t, ok)
	assert.Equal(t, "c", got, "of the longest")
	_, ok = names.Of("ecs/x/y")
	assert.False(t, ok)
}
