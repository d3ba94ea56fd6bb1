package plan_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/settings"
	"github.com/aistudio/secrets/sdk/spec"
)

func written(t require.TestingT, p plan.Plan) string {
	var out bytes.Buffer
	require.NoError(t, plan.Write(&out, p))
	return out.String()
}

// drawnPlan draws a plan without a mistake.
func drawnPlan(t *rapid.T) plan.Plan {
	text := rapid.OneOf(rapid.StringMatching(`[a-zA-Z0-9:#'"\-\n\t {}\[\],&*!|>%@ä]{0,30}`), rapid.String())
	word := rapid.StringMatching(`[a-z][a-z0-9]{0,9}`)
	p := plan.Plan{
		Version: plan.Version, Stack: "s" + text.Draw(t, "stack"), Organization: "acme", Environment: "dev", Account: account, Region: region, KMSKey: "alias/x",
		Mode: rapid.SampledFrom([]plan.Mode{plan.DualRead, plan.Final}).Draw(t, "mode"),
	}
	names := rapid.SliceOfNDistinct(word, 1, 5, rapid.ID).Draw(t, "names")
	for _, name := range names {
		kind := rapid.SampledFrom(spec.Kinds()).Draw(t, "kind")
		s := plan.Secret{
			Name: "acme/dev/x/" + name, Kind: kind, Description: text.Draw(t, "description"), Rotation: text.Draw(t, "rotation"), Skip: "",
			Tags: map[string]string{"Environment": "dev", "Service": "x", "Owner": word.Draw(t, "owner"), "SecretType": string(kind), "DataClassification": "c", "ManagedBy": plan.ManagedBy},
			Values: []plan.Value{{Digest: word.Draw(t, "digest"), Places: []plan.Place{
				{In: spec.ScanSSM, ID: "i" + text.Draw(t, "id")}, {In: spec.ScanECS, ID: "a", Container: text.Draw(t, "container"), Variable: "v" + text.Draw(t, "variable")},
			}}},
		}
		p.Secrets = append(p.Secrets, s)
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "services") {
		p.Services = append(p.Services, plan.Service{
			ID: fmt.Sprint("ecs/", i, "/", word.Draw(t, "id")), Kind: plan.ECSService, Name: text.Draw(t, "name"), ARN: "a" + text.Draw(t, "arn"), Role: text.Draw(t, "role"), Owner: text.Draw(t, "owner"),
			Wave: rapid.IntRange(1, 9).Draw(t, "wave"), How: rapid.SampledFrom([]plan.How{plan.ByInjection, plan.ByReference}).Draw(t, "how"), Digest: "d", Skip: text.Draw(t, "skip"),
			Variables: []plan.Variable{{Container: "c" + text.Draw(t, "container"), Name: "n" + text.Draw(t, "variable"), Secret: "acme/dev/x/" + rapid.SampledFrom(names).Draw(t, "secret"), Parameter: text.Draw(t, "parameter")}},
		})
	}
	for range rapid.IntRange(0, 3).Draw(t, "blocks") {
		p.Blocked = append(p.Blocked, plan.Block{Code: text.Draw(t, "code"), Subject: text.Draw(t, "subject"), Problem: text.Draw(t, "problem"), Remedy: text.Draw(t, "remedy"), Patch: text.Draw(t, "patch")})
		p.Skipped = append(p.Skipped, plan.Skipped{Place: plan.Place{In: spec.ScanSSM, ID: text.Draw(t, "place")}, Reason: text.Draw(t, "reason")})
	}
	return p
}

func TestLoadGivesWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawnPlan(t)
		require.NoError(t, p.Validate())
		text := written(t, p)
		loaded, err := plan.Parse([]byte(text))
		require.NoError(t, err)
		require.Equal(t, withoutNil(p), withoutNil(loaded))
		require.Equal(t, text, written(t, loaded))
	})
}

// withoutNil is the plan as JSON, in which an empty list is an empty list.
func withoutNil(p plan.Plan) string {
	var out bytes.Buffer
	if err := plan.WriteJSON(&out, p); err != nil {
		panic(err)
	}
	return out.String()
}

// manyThings is an estate with something of everything.
func manyThings() discover.Estate {
	web := definition("web", 7,
		discover.Container{Name: "proxy", Settings: pairs("API_TOKEN", apiKey+"p")},
		discover.Container{
			Name: "app", Settings: pairs("PG_HOST", "db.internal", "PG_USER", "app", "PG_PASSWORD", password, "PG_PORT", "5432", "LOG_LEVEL", "info"),
			Injected: []discover.Injected{{Name: "MAIL_TOKEN", ValueFrom: "arn:aws:ssm:us-east-1:123456789012:parameter/shop/mail-token"}},
		})
	nightly := definition("nightly", 3, discover.Container{Name: "app", Settings: pairs("API_TOKEN", apiKey+"n")})
	owned := function("billing", "STRIPE_API_KEY", apiKey+"s")
	owned.Tags = map[string]string{"aws:cloudformation:stack-name": "billing", "Owner": "team-billing"}
	e := discover.Estate{
		Functions: []discover.Function{
			function("orders", "PG_HOST", "db.internal", "PG_USER", "app", "PG_PASSWORD", password, "PG_PORT", "5432", "STRIPE_API_KEY", apiKey+"s"),
			owned, function("reports", "TOKEN_PARAMETER", "/shop/report-token", "CLIENT_SECRET", apiKey+"c", "SESSION_KEY", "changeme"),
			function("legacy", "LEGACY_TOKEN", apiKey+"l"),
		},
		Services:        []discover.Service{service("web", web)},
		TaskDefinitions: []discover.TaskDefinition{nightly, web},
		ScheduledTasks:  []discover.ScheduledTask{{ARN: "arn:aws:events:us-east-1:123456789012:rule/night", Name: "night", Target: "t1", Cluster: "arn:aws:ecs:us-east-1:123456789012:cluster/main", TaskDefinition: nightly.ARN}},
		Parameters: []discover.Parameter{
			parameter("/shop/mail-token", apiKey+"m", discover.SecureString), parameter("/shop/nobody", apiKey+"x", discover.SecureString), parameter("/shop/report-token", apiKey+"r", discover.String),
		},
		Unread: []discover.Unread{{Place: spec.ScanLambda, ARN: "arn:aws:lambda:us-east-1:123456789012:function:closed", Reason: "AccessDeniedException"}},
	}
	return e
}

func manySettings() settings.Settings {
	s := stack()
	s.Skip = []settings.Skip{{Service: "lambda/legacy", Reason: "switched off in June"}}
	return s
}

func manyFacts() plan.Facts {
	f := known()
	f.Roles = map[string]plan.Role{roles + "web-execution": {ManagedBy: "Terraform"}}
	return f
}

// The golden files show what people get to read. Digests differ with the key.
func TestGolden(t *testing.T) {
	p := newPlanner(t)
	p.settings, p.facts = manySettings(), manyFacts()
	made := p.make(manyThings())
	text := written(t, made)
	for _, digest := range digestsOf(made) {
		text = strings.ReplaceAll(text, digest, "<digest>")
	}
	golden(t, "plan.yaml", text)
	var summary bytes.Buffer
	require.NoError(t, plan.Summary(&summary, made))
	golden(t, "summary.txt", summary.String())
	var entries bytes.Buffer
	require.NoError(t, plan.Catalogue(&entries, made, p.settings, manyThings(), p.classifier(), func(name string) bool { return strings.HasSuffix(name, "api-token") }))
	golden(t, "catalogue.yaml", entries.String())
	for _, output := range []string{text, summary.String(), entries.String(), withoutNil(made), fmt.Sprintf("%+v", made)} {
		for _, value := range []string{apiKey, password, "changeme"} {
			assert.NotContains(t, output, value, "no value in any output")
		}
	}
}

func digestsOf(p plan.Plan) []string {
	var all []string
	for _, s := range p.Secrets {
		for _, v := range s.Values {
			if v.Digest != "" {
				all = append(all, v.Digest)
			}
		}
	}
	for _, s := range p.Services {
		all = append(all, s.Digest)
	}
	return all
}

// golden compares with a file; with GOLDEN=write it writes it.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("GOLDEN") == "write" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	wanted, got := strings.Split(string(want), "\n"), strings.Split(text, "\n")
	for i := range min(len(wanted), len(got)) {
		require.Equal(t, wanted[i], got[i], "line %d of %s; write it anew with GOLDEN=write", i+1, path)
	}
	require.Len(t, got, len(wanted), path)
}

func shuffled[T any](list []T, seed uint64) []T {
	list = slices.Clone(list)
	r := rand.New(rand.NewPCG(seed, seed))
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func TestTheSameEstateGivesTheSameBytes(t *testing.T) {
	p := newPlanner(t)
	p.settings, p.facts = manySettings(), manyFacts()
	p.settings.Services = settings.Names{"parameter:/shop/**": "shop"}
	rapid.Check(t, func(t *rapid.T) {
		e := manyThings()
		for i := range rapid.IntRange(0, 6).Draw(t, "more") {
			name := rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "name")
			f := function(fmt.Sprint(name, i), "API_TOKEN", apiKey+rapid.SampledFrom([]string{"1", "2"}).Draw(t, "token"), "PG_HOST", "db.internal", "PG_USER", "app", "PG_PASSWORD", password, "PG_PORT", "5432")
			f.Tags = map[string]string{"Service": rapid.SampledFrom([]string{"a", "b"}).Draw(t, "service"), "Owner": rapid.SampledFrom([]string{"x", "y", ""}).Draw(t, "owner")}
			e.Functions = append(e.Functions, f)
			e.Parameters = append(e.Parameters, parameter(fmt.Sprint("/shop/", name, i, "/token"), apiKey+name, discover.SecureString))
		}
		want := written(t, p.make(e))
		seed := rapid.Uint64().Draw(t, "seed")
		e.Functions, e.Services, e.TaskDefinitions = shuffled(e.Functions, seed), shuffled(e.Services, seed), shuffled(e.TaskDefinitions, seed)
		e.ScheduledTasks, e.Parameters, e.Unread = shuffled(e.ScheduledTasks, seed), shuffled(e.Parameters, seed), shuffled(e.Unread, seed)
		for i := range e.Functions {
			e.Functions[i].Settings = shuffled(e.Functions[i].Settings, seed)
		}
		require.Equal(t, want, written(t, p.make(e)))
	})
}

func TestMistakesInAPlan(t *testing.T) {
	p := newPlanner(t)
	p.settings = manySettings()
	text := written(t, p.make(manyThings()))
	tests := map[string]struct {
		edit func(string) string
		want []string
	}{
		"none":        {func(s string) string { return s }, nil},
		"empty":       {func(string) string { return "" }, []string{"it is empty"}},
		"no YAML":     {func(string) string { return "a: [" }, []string{"yaml: line 1"}},
		"unknown key": {func(s string) string { return strings.Replace(s, "kmsKey:", "kmskey:", 1) }, []string{`line 22: there is no key "kmskey"`}},
		"wrong type":  {func(s string) string { return strings.Replace(s, "version: 1", "version: one", 1) }, []string{"line 16: cannot unmarshal"}},
		"several": {func(s string) string {
			return strings.NewReplacer("mode: dual-read", "mode: twice", "kind: oauth", "kind: x", "    wave: 1\n", "    wave: 0\n", "version: 1", "version: 2").Replace(s)
		}, []string{"version: 2: this program reads version 1", `mode: "twice" is unknown`, ".wave: 0: the first wave is 1"}},
		"a secret is renamed in one place": {func(s string) string {
			return strings.Replace(s, "name: acme/dev/web/api-token", "name: acme/dev/web/token", 1)
		}, []string{`API_TOKEN: secret "acme/dev/web/api-token" isn't among the secrets: if it was renamed`, `grants[`}},
		"a secret is renamed everywhere": {func(s string) string { return strings.ReplaceAll(s, "acme/dev/web/api-token", "acme/dev/web/token") }, nil},
		"two of one name": {func(s string) string {
			return strings.ReplaceAll(s, "acme/dev/web/api-token", "acme/dev/web/mail-token")
		}, []string{"acme/dev/web/mail-token: another secret has this name"}},
		"another environment": {func(s string) string {
			return strings.ReplaceAll(s, "acme/dev/web/api-token", "acme/prod/web/api-token")
		}, []string{"its name begins with acme/prod, and the plan is for acme/dev", `tag Environment is "dev" but the name says "prod"`}},
		"a kind without its tag": {func(s string) string {
			return strings.Replace(s, "kind: database", "kind: custom", 1)
		}, []string{`SecretType is "database" and the kind is "custom"`}},
		// Report 21 of the field.
		"containers-roadmap2224: a key that the secret hasn't": {func(s string) string {
			return strings.Replace(s, "        field: password\n", "        field: passwd\n", 1)
		}, []string{`has no field "passwd"`}},
		"a skipped secret that is used": {func(s string) string {
			return strings.Replace(s, "  - name: acme/dev/web/api-token\n", "  - name: acme/dev/web/api-token\n    skip: not now\n", 1)
		}, []string{"secret acme/dev/web/api-token is skipped: remove the variable, or skip the service too"}},
		"Lambda injects nothing": {func(s string) string {
			return strings.Replace(s, "how: reference", "how: injection", 1)
		}, []string{"Lambda injects no secrets"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := plan.Parse([]byte(test.edit(text)))
			if test.want == nil {
				require.NoError(t, err)
				return
			}
			var mistakes plan.MistakesError
			require.ErrorAs(t, err, &mistakes)
			for _, want := range test.want {
				assert.Contains(t, err.Error(), want)
			}
		})
	}
	_, err := plan.Load(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
	path := filepath.Join(t.TempDir(), "plan.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	loaded, err := plan.Load(path)
	require.NoError(t, err)
	assert.Equal(t, text, written(t, loaded))
}

// The published schema has the fields of the types, and lets through what Make
// makes.
func TestSchema(t *testing.T) {
	var document struct {
		Properties map[string]json.RawMessage `json:"properties"`
		Required   []string                   `json:"required"`
		Defs       map[string]struct {
			Properties map[string]json.RawMessage `json:"properties"`
			Required   []string                   `json:"required"`
		} `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal([]byte(plan.Schema()), &document))
	compare := func(of reflect.Type, properties map[string]json.RawMessage, required []string) {
		var names, needed []string
		for i := range of.NumField() {
			assert.Equal(t, of.Field(i).Tag.Get("yaml"), of.Field(i).Tag.Get("json"), "%s.%s", of, of.Field(i).Name)
			name, options, _ := strings.Cut(of.Field(i).Tag.Get("yaml"), ",")
			names = append(names, name)
			if options != "omitempty" {
				needed = append(needed, name)
			}
		}
		assert.ElementsMatch(t, names, slices.Collect(maps.Keys(properties)), of)
		assert.ElementsMatch(t, needed, required, of)
	}
	compare(reflect.TypeFor[plan.Plan](), document.Properties, document.Required)
	for name, of := range map[string]reflect.Type{
		"secret": reflect.TypeFor[plan.Secret](), "value": reflect.TypeFor[plan.Value](), "place": reflect.TypeFor[plan.Place](),
		"service": reflect.TypeFor[plan.Service](), "variable": reflect.TypeFor[plan.Variable](), "grant": reflect.TypeFor[plan.Grant](),
		"skipped": reflect.TypeFor[plan.Skipped](), "block": reflect.TypeFor[plan.Block](),
	} {
		compare(of, document.Defs[name].Properties, document.Defs[name].Required)
	}

	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(plan.Schema()))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("plan.json", parsed))
	schema, err := compiler.Compile("plan.json")
	require.NoError(t, err)
	p := newPlanner(t)
	p.settings, p.facts = manySettings(), manyFacts()
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(withoutNil(p.make(manyThings()))))
	require.NoError(t, err)
	require.NoError(t, schema.Validate(instance))
	instance.(map[string]any)["extra"] = true
	require.Error(t, schema.Validate(instance))
}

// The scale of PEERS.md in memory: the time is printed, not judged.
func BenchmarkMake(b *testing.B) {
	var e discover.Estate
	for i := range 1000 {
		e.Functions = append(e.Functions, function(fmt.Sprint("f", i), "API_TOKEN", fmt.Sprint(apiKey, i), "PG_HOST", "db", "PG_USER", fmt.Sprint("u", i/10), "PG_PASSWORD", fmt.Sprint(password, i/10), "PG_PORT", "5432",
			"LOG_LEVEL", "info", "STAGE", "dev", "QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/123456789012/q", "TABLE", "orders", "TOKEN_PARAMETER", fmt.Sprint("/p/", i)))
	}
	for i := range 200 {
		d := definition(fmt.Sprint("s", i), 3, discover.Container{Name: "app", Settings: pairs("API_TOKEN", fmt.Sprint(apiKey, "s", i), "LOG_LEVEL", "info")})
		e.Services, e.TaskDefinitions = append(e.Services, service(fmt.Sprint("s", i), d)), append(e.TaskDefinitions, d)
	}
	for i := range 5000 {
		e.Parameters = append(e.Parameters, parameter(fmt.Sprint("/p/", i), fmt.Sprint(apiKey, "p", i), discover.SecureString))
	}
	p := newPlanner(b)
	for b.Loop() {
		made := p.make(e)
		require.Len(b, made.Services, 1200)
	}
}

// What the stack has already isn't added again: its services, by their roles, and
// its servers, by their hosts.
func TestCatalogueUsesWhatTheStackHas(t *testing.T) {
	p := newPlanner(t)
	p.settings.Readers = map[string]string{"shop": "role/apps/orders", "studio": ""}
	p.settings.Databases = map[string]settings.Database{"main": {Engine: "postgres", Host: "db.internal"}}
	p.settings.Declared = map[string]settings.Declared{"studio/api-token": {Kind: "api-key", Value: settings.Awaited, Readers: []string{"other"}}}
	login := function("orders", "PG_HOST", "db.internal", "PG_USER", "app", "PG_PASSWORD", password, "PG_PORT", "5432")
	login.Role = roles + "apps/orders"
	made := function("studio", "API_TOKEN", apiKey)
	made.Role = roles + "acme-dev-studio-reader"
	hidden := function("vault", "HOST", "h", "CREDENTIALS", `{"engine":"postgres","host":"h","username":"u","password":"`+password+`"}`)
	e := functions(login, made, hidden)
	assert.Equal(t, []string{"acme/dev/orders/pg-database", "acme/dev/vault/credentials"}, plan.Undeclared(p.make(e), p.settings))
	var out bytes.Buffer
	require.NoError(t, plan.Catalogue(&out, p.make(e), p.settings, e, p.classifier(), func(string) bool { return true }))
	assert.Equal(t, `# What the migration adds to Pulumi.dev.yaml: merge it into what is below config there,
# and deploy the stack before the apply, which puts the values into the stack's secrets.
# vault/credentials: its engine isn't known, or is a secret itself. Write its entry by hand: kind: database, database.server and database.username.
config:
  aistudio-secrets:services:
    vault:
      role: role/vault
  aistudio-secrets:catalogue:
    orders/pg-database:
      kind: database
      owner: team-platform
      description: Database login of orders, was PG_…
      dataClassification: confidential
      readers: [shop]
      value: present
      database:
        server: main
        username: app
      rotation:
        # Rotation: after the cleanup: every 30 days, once its server is among the stack's databases
        disabled: it was migrated, and its owner hasn't chosen yet how it is rotated
    studio/api-token:
      value: present
      readers: [other, studio]
`, out.String())
}
