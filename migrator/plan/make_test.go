package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/settings"
	"github.com/aistudio/secrets/sdk/spec"
)

const bodyOfRSA = "-----BEGIN RSA PRIVATE KEY-----\nMIICXAIBAAKBgQ\n-----END RSA PRIVATE KEY-----\n"

func TestSecretsAndVariables(t *testing.T) {
	login := []string{"DB_HOST", "db.internal", "DB_PORT", "5432", "DB_USER", "app", "DB_PASSWORD", password, "DB_NAME", "shop"}
	tests := map[string]struct {
		estate  discover.Estate
		change  func(*settings.Settings)
		secrets []string // names without acme/dev/, with the kind
		moves   []string
		skipped []string // parts of "<place>: <reason>"
	}{
		"a plain secret": {
			estate:  functions(function("orders", "STRIPE_API_KEY", apiKey, "LOG_LEVEL", "info")),
			secrets: []string{"orders/stripe-api-key api-key"},
			moves:   []string{"lambda/orders STRIPE_API_KEY -> orders/stripe-api-key"},
		},
		"a login becomes one secret, and only what a rotation changes moves": {
			estate:  functions(function("orders", login...)),
			secrets: []string{"orders/database database"},
			moves:   []string{"lambda/orders DB_PASSWORD -> orders/database#password", "lambda/orders DB_USER -> orders/database#username"},
		},
		"two services with one login share its secret": {
			estate:  functions(function("orders", login...), function("reports", login...)),
			secrets: []string{"shared/database database"},
			moves: []string{
				"lambda/orders DB_PASSWORD -> shared/database#password", "lambda/orders DB_USER -> shared/database#username",
				"lambda/reports DB_PASSWORD -> shared/database#password", "lambda/reports DB_USER -> shared/database#username",
			},
		},
		"a login's password alone elsewhere is that of the login": {
			estate:  functions(function("orders", login...), function("cron", "DB_PASSWORD", password)),
			secrets: []string{"shared/database database"},
			moves: []string{
				"lambda/cron DB_PASSWORD -> shared/database#password",
				"lambda/orders DB_PASSWORD -> shared/database#password", "lambda/orders DB_USER -> shared/database#username",
			},
		},
		"one long value under two names is one secret": {
			estate:  functions(function("orders", "STRIPE_KEY", apiKey), function("billing", "STRIPE_API_KEY", apiKey)),
			secrets: []string{"shared/stripe-api-key api-key"},
			moves:   []string{"lambda/billing STRIPE_API_KEY -> shared/stripe-api-key", "lambda/orders STRIPE_KEY -> shared/stripe-api-key"},
		},
		"one short value under two names may be chance": {
			estate:  functions(function("orders", "CACHE_PASSWORD", "hunter2!"), function("billing", "MAIL_PASSWORD", "hunter2!")),
			secrets: []string{"billing/mail-password custom", "orders/cache-password custom"},
			moves:   []string{"lambda/billing MAIL_PASSWORD -> billing/mail-password", "lambda/orders CACHE_PASSWORD -> orders/cache-password"},
		},
		"one short value under one name is one secret": {
			estate:  functions(function("orders", "CACHE_PASSWORD", "hunter2!"), function("billing", "CACHE_PASSWORD", "hunter2!")),
			secrets: []string{"shared/cache-password custom"},
			moves:   []string{"lambda/billing CACHE_PASSWORD -> shared/cache-password", "lambda/orders CACHE_PASSWORD -> shared/cache-password"},
		},
		"never shared": {
			estate:  functions(function("orders", "CACHE_PASSWORD", "hunter2!"), function("billing", "CACHE_PASSWORD", "hunter2!")),
			change:  func(s *settings.Settings) { s.Separate = []string{"*_password"} },
			secrets: []string{"billing/cache-password custom", "orders/cache-password custom"},
			moves:   []string{"lambda/billing CACHE_PASSWORD -> billing/cache-password", "lambda/orders CACHE_PASSWORD -> orders/cache-password"},
		},
		"functions of one service share under its name": {
			estate:  functions(function("orders-api", "STRIPE_API_KEY", apiKey), function("orders-worker", "STRIPE_API_KEY", apiKey)),
			change:  func(s *settings.Settings) { s.Services = settings.Names{"lambda/orders-*": "orders"} },
			secrets: []string{"orders/stripe-api-key api-key"},
			moves:   []string{"lambda/orders-api STRIPE_API_KEY -> orders/stripe-api-key", "lambda/orders-worker STRIPE_API_KEY -> orders/stripe-api-key"},
		},
		"the name of a resource loses organization and environment": {
			estate:  functions(function("acme-dev-orders", "STRIPE_API_KEY", apiKey)),
			secrets: []string{"orders/stripe-api-key api-key"},
			moves:   []string{"lambda/acme-dev-orders STRIPE_API_KEY -> orders/stripe-api-key"},
		},
		"a name that Secrets Manager would take for an ARN's end gets another ending": {
			estate:  functions(function("orders", "WEBHOOK_SECRET", apiKey)),
			secrets: []string{"orders/webhook-secret-value custom"},
			moves:   []string{"lambda/orders WEBHOOK_SECRET -> orders/webhook-secret-value"},
		},
		"a URL with a password isn't a login's JSON, so no rotator can work on it": {
			estate:  functions(function("orders", "DATABASE_URL", "postgres://app:"+apiKey+"@db.internal/shop")),
			secrets: []string{"orders/database-url custom"},
			moves:   []string{"lambda/orders DATABASE_URL -> orders/database-url"},
		},
		"a login's JSON is one": {
			estate:  functions(function("orders", "DB_CREDENTIALS", `{"engine":"postgres","host":"h","username":"u","password":"`+password+`"}`)),
			secrets: []string{"orders/db-credentials database"},
			moves:   []string{"lambda/orders DB_CREDENTIALS -> orders/db-credentials"},
		},
		"byte for byte: a key with lines": {
			estate:  functions(function("orders", "SIGNING_KEY", bodyOfRSA)),
			secrets: []string{"orders/signing-key custom"},
			moves:   []string{"lambda/orders SIGNING_KEY -> orders/signing-key"},
		},
		"a parameter that a variable names": {
			estate: discover.Estate{
				Functions:  []discover.Function{function("orders", "TOKEN_PARAMETER", "/shop/dev/token")},
				Parameters: []discover.Parameter{parameter("/shop/dev/token", apiKey, discover.SecureString)},
			},
			secrets: []string{"orders/shop-dev-token api-key"},
			moves:   []string{"lambda/orders TOKEN_PARAMETER -> orders/shop-dev-token from /shop/dev/token"},
		},
		"a word that happens to be a parameter's name": {
			estate: discover.Estate{
				Functions:  []discover.Function{function("orders", "STAGE", "token")},
				Parameters: []discover.Parameter{parameter("token", apiKey, discover.SecureString)},
			},
			skipped: []string{"token: no function, service or schedule names it"},
		},
		"what was encrypted is a secret, whatever it looks like": {
			estate: discover.Estate{
				Functions:  []discover.Function{function("orders", "GREETING", "/shop/greeting")},
				Parameters: []discover.Parameter{parameter("/shop/greeting", "hello world", discover.SecureString)},
			},
			secrets: []string{"orders/shop-greeting custom"},
			moves:   []string{"lambda/orders GREETING -> orders/shop-greeting from /shop/greeting"},
		},
		"parameters of a service by the settings": {
			estate: discover.Estate{Parameters: []discover.Parameter{
				parameter("/dev/shop/db/host", "db.internal", discover.String), parameter("/dev/shop/db/name", "shop", discover.String),
				parameter("/dev/shop/db/password", password, discover.SecureString), parameter("/dev/shop/db/user", "app", discover.String),
				parameter("/dev/shop/stripe-key", apiKey, discover.String), parameter("/dev/other/token", apiKey+"1", discover.SecureString),
			}},
			change:  func(s *settings.Settings) { s.Services = settings.Names{"parameter:/dev/shop/**": "shop"} },
			secrets: []string{"shop/database database", "shop/stripe-key custom"},
			skipped: []string{"/dev/other/token: no function, service or schedule names it"},
		},
		"ECS injects a parameter": {
			estate: func() discover.Estate {
				e := running(discover.Container{Injected: []discover.Injected{{Name: "TOKEN", ValueFrom: "arn:aws:ssm:us-east-1:123456789012:parameter/shop/token"}}})
				e.Parameters = []discover.Parameter{parameter("/shop/token", apiKey, discover.SecureString)}
				return e
			}(),
			secrets: []string{"web/token api-key"},
			moves:   []string{"ecs/main/web app:TOKEN -> web/token from /shop/token"},
		},
		"ECS injects a secret already": {
			estate:  running(discover.Container{Injected: []discover.Injected{{Name: "TOKEN", ValueFrom: "arn:aws:secretsmanager:us-east-1:123456789012:secret:x-AbCdEf"}}}),
			skipped: []string{"TOKEN: ECS takes it from Secrets Manager already"},
		},
		"the containers of a task": {
			estate: func() discover.Estate {
				d := definition("web", 7, discover.Container{Name: "proxy", Settings: pairs("API_TOKEN", apiKey)}, discover.Container{Name: "app", Settings: pairs("API_TOKEN", apiKey)})
				return discover.Estate{Services: []discover.Service{service("web", d)}, TaskDefinitions: []discover.TaskDefinition{d}}
			}(),
			secrets: []string{"web/api-token api-key"},
			moves:   []string{"ecs/main/web app:API_TOKEN -> web/api-token", "ecs/main/web proxy:API_TOKEN -> web/api-token"},
		},
		"scheduled tasks": {
			estate: discover.Estate{
				TaskDefinitions: []discover.TaskDefinition{
					definition("nightly", 1, discover.Container{Name: "app", Settings: pairs("API_TOKEN", "old"+apiKey)}),
					definition("nightly", 2, discover.Container{Name: "app", Settings: pairs("API_TOKEN", apiKey)}),
				},
				ScheduledTasks: []discover.ScheduledTask{
					{ARN: "arn:aws:events:us-east-1:123456789012:rule/night", Name: "night", Target: "t1", TaskDefinition: "arn:aws:ecs:us-east-1:123456789012:task-definition/nightly"},
					{ARN: "arn:aws:scheduler:us-east-1:123456789012:schedule/default/noon", Name: "default/noon", TaskDefinition: "arn:aws:ecs:us-east-1:123456789012:task-definition/nightly:2"},
				},
			},
			secrets: []string{"shared/api-token api-key"},
			moves:   []string{"rule/night/t1 app:API_TOKEN -> shared/api-token", "schedule/default/noon app:API_TOKEN -> shared/api-token"},
		},
		"skipped by the settings, with the reason": {
			estate: functions(function("legacy", "API_TOKEN", apiKey+"1"), function("orders", "API_TOKEN", apiKey+"2", "TRACE_TOKEN", apiKey+"3")),
			change: func(s *settings.Settings) {
				s.Skip = []settings.Skip{{Service: "lambda/legacy*", Reason: "switched off in June"}, {Variable: "trace_*", Reason: "nobody uses it"}}
			},
			secrets: []string{"orders/api-token api-key"},
			moves:   []string{"lambda/orders API_TOKEN -> orders/api-token"},
			skipped: []string{"API_TOKEN: switched off in June", "TRACE_TOKEN: nobody uses it"},
		},
		"listed as no secret": {
			estate:  functions(function("orders", "API_TOKEN", apiKey)),
			change:  func(s *settings.Settings) { s.Classify.NotSecrets = []string{"API_*"} },
			skipped: []string{"API_TOKEN: listed as no secret"},
		},
		"encrypted by its program, and listed: it moves as it is": {
			estate:  functions(function("orders", "API_TOKEN", "vault:v1:"+apiKey)),
			change:  func(s *settings.Settings) { s.Classify.Secrets = []string{"API_*"} },
			secrets: []string{"orders/api-token api-key"},
			moves:   []string{"lambda/orders API_TOKEN -> orders/api-token"},
		},
		"what follows a secret already is left alone": {
			estate: functions(function("orders", "API_TOKEN", apiKey, "API_TOKEN_SECRET_ID", "acme/dev/orders/api-token")),
		},
		"variables in a file aren't read": {
			estate:  running(discover.Container{Settings: pairs("API_TOKEN", apiKey), EnvironmentFiles: []string{"arn:aws:s3:::b/x.env"}}),
			secrets: []string{"web/api-token api-key"},
			moves:   []string{"ecs/main/web app:API_TOKEN -> web/api-token"},
			skipped: []string{"its variables in arn:aws:s3:::b/x.env aren't read"},
		},
		"an alias that doesn't move": {
			estate: func() discover.Estate {
				f := function("orders", "API_TOKEN", apiKey)
				f.Aliases = []discover.Alias{{Name: "live", Version: "3"}, {Name: "next", Version: "4"}}
				return functions(f)
			}(),
			change:  func(s *settings.Settings) { s.Aliases = map[string][]string{"lambda/orders": {"next"}} },
			secrets: []string{"orders/api-token api-key"},
			moves:   []string{"lambda/orders API_TOKEN -> orders/api-token"},
			skipped: []string{"orders:live: who calls this alias gets a published version"},
		},
		"nothing": {},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPlanner(t)
			if test.change != nil {
				test.change(&p.settings)
			}
			made := p.make(test.estate)
			var secrets []string
			for _, s := range made.Secrets {
				secrets = append(secrets, strings.TrimPrefix(s.Name, "acme/dev/")+" "+string(s.Kind))
				name, err := spec.ParseName(s.Name)
				require.NoError(t, err)
				require.NoError(t, spec.ValidateTags(name, s.Tags))
				assert.NotEmpty(t, s.Rotation)
				assert.NotEmpty(t, s.Description)
			}
			assert.Equal(t, test.secrets, secrets)
			got := moves(made)
			slices.Sort(got)
			assert.Equal(t, test.moves, got)
			var skipped []string
			for _, s := range made.Skipped {
				at := s.Place.Variable
				if at == "" {
					at = s.Place.ID
				}
				skipped = append(skipped, at+": "+s.Reason)
			}
			require.Len(t, skipped, len(test.skipped), "%v", skipped)
			for i := range test.skipped {
				assert.Contains(t, skipped[i], test.skipped[i])
			}
		})
	}
}

func TestOwners(t *testing.T) {
	tagged := function("billing", "API_TOKEN", apiKey+"1")
	tagged.Tags = map[string]string{"Team": "team-billing"}
	p := newPlanner(t)
	p.settings.Owners = settings.Names{"lambda/*": "team-lambda", "lambda/orders": "team-orders"}
	owners := func() map[string]string {
		all := map[string]string{}
		for _, s := range p.make(functions(tagged, function("orders", "API_TOKEN", apiKey+"2"), function("web", "API_TOKEN", apiKey+"3"), function("x", "OTHER_TOKEN", apiKey+"3"))).Secrets {
			all[strings.TrimPrefix(s.Name, "acme/dev/")] = s.Tags[spec.TagOwner]
		}
		return all
	}
	assert.Equal(t, map[string]string{"billing/api-token": "team-lambda", "orders/api-token": "team-orders", "shared/api-token": "team-lambda"}, owners(), "the longest pattern counts, and patterns before tags")
	p.settings.Owners = nil
	assert.Equal(t, map[string]string{"billing/api-token": "team-billing", "orders/api-token": "team-platform", "shared/api-token": "team-platform"}, owners())
}

func TestWaves(t *testing.T) {
	var list []discover.Function
	for i := range 12 {
		f := function(fmt.Sprintf("f%02d", i), "API_TOKEN", fmt.Sprint(apiKey, i))
		if i == 0 {
			f.Settings = append(f.Settings, pairs("OTHER_TOKEN", apiKey)...)
		}
		list = append(list, f)
	}
	sizes := func(p plan.Plan) []int {
		var all []int
		for _, s := range p.Services {
			for len(all) < s.Wave {
				all = append(all, 0)
			}
			all[s.Wave-1]++
		}
		return all
	}
	p := newPlanner(t)
	made := p.make(functions(list...))
	assert.Equal(t, []int{1, 2, 4, 5}, sizes(made))
	assert.Equal(t, "lambda/f01", made.Services[0].ID)
	assert.Equal(t, "lambda/f00", made.Services[11].ID, "with the most variables, so last")
	p.settings.Waves = []int{2, 3}
	assert.Equal(t, []int{2, 3, 3, 3, 1}, sizes(p.make(functions(list...))))
}

func TestHowECSGetsIt(t *testing.T) {
	e := running(discover.Container{Settings: pairs("API_TOKEN", apiKey)})
	p := newPlanner(t)
	made := p.make(e).Services[0]
	assert.Equal(t, plan.ByInjection, made.How)
	assert.Equal(t, roles+"web-execution", made.Role, "ECS itself reads the secret")
	p.settings.How = settings.Names{"ecs/main/*": settings.Reference}
	made = p.make(e).Services[0]
	assert.Equal(t, plan.ByReference, made.How)
	assert.Equal(t, roles+"web-task", made.Role, "the program reads the secret")
}

// Report 21 of the field: what ECS injects from is written with its colons.
func TestContainersRoadmap2224ValueFrom(t *testing.T) {
	const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"
	assert.Equal(t, arn+":password::", plan.Variable{Field: "password"}.ValueFrom(arn))
	assert.Equal(t, arn, plan.Variable{}.ValueFrom(arn))
	name, value := plan.Variable{Name: "DB_PASSWORD", Secret: "a/b/c/d", Field: "password"}.Reference()
	assert.Equal(t, "DB_PASSWORD_SECRET_ID", name)
	assert.Equal(t, "a/b/c/d#password", value)
}

func TestAssemble(t *testing.T) {
	estate := functions(function("orders", "PG_HOST", "db", "PG_USER", "app", "PG_PASSWORD", password+` "<&>ä`, "PG_PORT", "5432", "SIGNING_KEY", " raw \x00\xff\n"))
	made := newPlanner(t).make(estate)
	read := func(p plan.Place) (spec.Value, error) {
		for _, s := range estate.Functions[0].Settings {
			if s.Name == p.Variable {
				return s.Value, nil
			}
		}
		return spec.Value{}, fmt.Errorf("no %s", p.Variable)
	}
	require.Equal(t, []string{"orders/pg-database", "orders/signing-key"}, secretNames(made))
	value, err := made.Secrets[0].Assemble(read)
	require.NoError(t, err)
	d, err := spec.ParseDatabase(value)
	require.NoError(t, err)
	require.NoError(t, d.Validate())
	assert.Equal(t, password+` "<&>ä`, d.Password.RevealString())
	assert.Equal(t, 5432, d.Port)
	assert.Equal(t, spec.EnginePostgres, d.Engine)
	value, err = made.Secrets[1].Assemble(read)
	require.NoError(t, err)
	assert.Equal(t, " raw \x00\xff\n", value.RevealString())
	_, err = made.Secrets[1].Assemble(func(plan.Place) (spec.Value, error) { return spec.Value{}, fmt.Errorf("gone") })
	require.ErrorContains(t, err, "secret acme/dev/orders/signing-key: read variable SIGNING_KEY of orders: gone")
}

func TestGrants(t *testing.T) {
	p := newPlanner(t)
	estate := functions(function("orders", "A_TOKEN", apiKey+"1", "B_TOKEN", apiKey+"2"))
	made := p.make(estate)
	require.Len(t, made.Grants, 1)
	assert.Equal(t, []string{"acme/dev/orders/a-token", "acme/dev/orders/b-token"}, made.Grants[0].Secrets)
	assert.Contains(t, made.Grants[0].Policy, "arn:aws:secretsmanager:us-east-1:123456789012:secret:acme/dev/orders/a-token-??????")

	p.facts = plan.Facts{Known: true, KeyARN: keyARN, Roles: map[string]plan.Role{roles + "orders": {Readable: []string{"acme/dev/orders/a-token"}}},
		Secrets: map[string]plan.Existing{"acme/dev/orders/b-token": {ARN: "arn:aws:secretsmanager:us-east-1:123456789012:secret:acme/dev/orders/b-token-Ab1Cd2", ManagedBy: "pulumi"}}}
	made = p.make(estate)
	require.Len(t, made.Grants, 1)
	assert.Equal(t, []string{"acme/dev/orders/b-token"}, made.Grants[0].Secrets)
	assert.Contains(t, made.Grants[0].Policy, `"arn:aws:secretsmanager:us-east-1:123456789012:secret:acme/dev/orders/b-token-Ab1Cd2"`)
	assert.Contains(t, made.Grants[0].Policy, keyARN)
	assert.Empty(t, made.Blocked)
}
