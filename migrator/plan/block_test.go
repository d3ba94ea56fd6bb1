package plan_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/settings"
	"github.com/aistudio/secrets/sdk/spec"
)

// known are facts of an account where nothing is in the way.
func known() plan.Facts { return plan.Facts{Known: true, KeyARN: keyARN} }

func existing(name string, e plan.Existing) plan.Facts {
	f := known()
	e.ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:" + name + "-Ab1Cd2"
	f.Secrets = map[string]plan.Existing{name: e}
	return f
}

func TestBlocks(t *testing.T) {
	one := functions(function("orders", "API_TOKEN", apiKey))
	ciphertext := base64.StdEncoding.EncodeToString(append([]byte{1, 2, 2, 0, 0x78}, []byte(strings.Repeat("ciphertext", 12))...))
	require.True(t, strings.HasPrefix(ciphertext, "AQICAH"))
	with := func(e discover.Estate, change func(*discover.Estate)) discover.Estate {
		change(&e)
		return e
	}
	tests := map[string]struct {
		estate discover.Estate
		facts  plan.Facts
		change func(*settings.Settings)
		want   []string // "<code> <subject>"
		says   []string // in one of the blocks
	}{
		"nothing": {estate: one, facts: known()},
		"two values of one name": {
			estate: functions(function("orders-api", "API_TOKEN", apiKey+"1"), function("orders-worker", "API_TOKEN", apiKey+"2")),
			change: func(s *settings.Settings) { s.Services = settings.Names{"lambda/orders-*": "orders"} },
			want:   []string{"name-collision orders/api-token-orders-worker-value"},
			says:   []string{"two different values would be called acme/dev/orders/api-token: that of variable API_TOKEN of orders-api and that of variable API_TOKEN of orders-worker", "give each a name"},
		},
		"names whose resources the stack would call alike": {
			estate: functions(function("orders", "API_TOKEN", apiKey+"1"), function("orders-api", "TOKEN", apiKey+"2")),
			want:   []string{"name-collision orders-api/token-orders-api"},
		},
		"a name in use": {
			estate: one, facts: existing("acme/dev/orders/api-token", plan.Existing{HasValue: true, Digest: "other", ManagedBy: "pulumi"}),
			want: []string{"name-in-use orders/api-token"}, says: []string{"there with another value", "choose another name"},
		},
		"the stack's own empty secret is waited for":       {estate: one, facts: existing("acme/dev/orders/api-token", plan.Existing{ManagedBy: "pulumi"})},
		"an empty secret of an apply that was interrupted": {estate: one, facts: existing("acme/dev/orders/api-token", plan.Existing{ManagedBy: plan.ManagedBy})},
		"somebody's empty secret": {
			estate: one, facts: existing("acme/dev/orders/api-token", plan.Existing{}),
			want: []string{"name-in-use orders/api-token"}, says: []string{"ManagedBy"},
		},
		"a secret that can't be read": {
			estate: one, facts: existing("acme/dev/orders/api-token", plan.Existing{HasValue: true, Unread: "AccessDeniedException"}),
			want: []string{"value-unreadable orders/api-token"}, says: []string{"AccessDeniedException"},
		},
		// Report 16 of the field.
		"terraform4467: a name scheduled for deletion": {
			estate: one, facts: existing("acme/dev/orders/api-token", plan.Existing{Deleted: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC), HasValue: true}),
			want: []string{"scheduled-for-deletion orders/api-token"},
			says: []string{"deleted on 2026-05-04", "choose another name", "aws secretsmanager restore-secret --secret-id acme/dev/orders/api-token"},
		},
		"over 64 KB": {
			estate: discover.Estate{
				Functions:  []discover.Function{function("orders", "KEYS", "/keys")},
				Parameters: []discover.Parameter{parameter("/keys", strings.Repeat("k", 65537), discover.SecureString)},
			},
			facts: known(),
			want:  []string{"value-too-large orders/keys"}, says: []string{"65537 bytes", "65536"},
		},
		"a login that isn't text": {
			estate: functions(function("orders", "PG_HOST", "db", "PG_USER", "app", "PG_PASSWORD", "\xff\xfe\xfd\xfc\xfb"+password, "PG_PORT", "5432")),
			facts:  known(),
			want:   []string{"value-not-text orders/pg-database"},
		},
		"no key":              {estate: one, facts: plan.Facts{Known: true}, want: []string{"no-key alias/acme/dev/secrets"}, says: []string{"there is no KMS key"}},
		"a key on its way":    {estate: one, facts: plan.Facts{Known: true, KeyWhy: "its state is PendingDeletion"}, want: []string{"no-key alias/acme/dev/secrets"}, says: []string{"PendingDeletion"}},
		"an estate of no use": {estate: functions(function("orders", "LOG_LEVEL", "info")), facts: plan.Facts{Known: true}},
		"over Lambda's 4 KB with the references": {
			estate: functions(function("orders", "API_TOKEN", apiKey, "BULK", strings.Repeat("plain words ", 330))), facts: known(),
			want: []string{"environment-too-large lambda/orders"}, says: []string{"4096", "with the mode final"},
		},
		"at Lambda's 4 KB": {
			estate: functions(function("orders", "API_TOKEN", apiKey, "BULK", strings.Repeat("plain words ", 329))), facts: known(),
		},
		// Lambda measures the JSON object, in which each of these takes two bytes.
		"over Lambda's 4 KB by quotes": {
			estate: functions(function("orders", "API_TOKEN", apiKey, "BULK", strings.Repeat(`"`, 2000))), facts: known(),
			want: []string{"environment-too-large lambda/orders"},
		},
		"below 4 KB once the old value is gone": {
			estate: functions(function("orders", "API_TOKEN", apiKey, "BULK", strings.Repeat("plain words ", 330))), facts: known(),
			change: func(s *settings.Settings) { s.Mode = settings.Final },
		},
		"the reference's variable is taken": {
			estate: func() discover.Estate {
				d := definition("web", 7, discover.Container{Name: "app", Settings: pairs("API_TOKEN", apiKey, "API_TOKEN_SECRET_ID", "4711")})
				return discover.Estate{Services: []discover.Service{service("web", d)}, TaskDefinitions: []discover.TaskDefinition{d}}
			}(),
			change: func(s *settings.Settings) { s.How = settings.Names{"ecs/**": settings.Reference} },
			facts:  known(),
			want:   []string{"name-taken ecs/main/web"},
		},
		"a function without a role": {
			estate: with(functions(function("orders", "API_TOKEN", apiKey)), func(e *discover.Estate) { e.Functions[0].Role = "" }), facts: known(),
			want: []string{"role-missing lambda/orders"}, says: []string{"execution role"},
		},
		"a role that isn't there": {
			estate: one, facts: plan.Facts{Known: true, KeyARN: keyARN, Roles: map[string]plan.Role{roles + "orders": {Missing: true}}},
			want: []string{"role-missing " + roles + "orders"},
		},
		"a role of a tool lacks rights": {
			estate: one, facts: plan.Facts{Known: true, KeyARN: keyARN, Roles: map[string]plan.Role{roles + "orders": {ManagedBy: "Terraform"}}},
			want: []string{"role-owned-by-tool " + roles + "orders"}, says: []string{"Terraform owns it", `"secretsmanager:GetSecretValue"`, keyARN},
		},
		"a role of a tool has the rights": {
			estate: one, facts: plan.Facts{Known: true, KeyARN: keyARN, Roles: map[string]plan.Role{roles + "orders": {ManagedBy: "Terraform", Readable: []string{"acme/dev/orders/api-token"}}}},
		},
		"a role whose rights aren't known": {
			estate: one, facts: plan.Facts{Known: true, KeyARN: keyARN, Roles: map[string]plan.Role{roles + "orders": {Unread: "IAM can't be asked: AccessDenied"}}},
			want: []string{"rights-unknown " + roles + "orders"}, says: []string{"AccessDenied"},
		},
		"a policy over IAM's limit with those that are there": {
			estate: one, facts: plan.Facts{Known: true, KeyARN: keyARN, Roles: map[string]plan.Role{roles + "orders": {Inline: 10000}}},
			want: []string{"policy-too-large " + roles + "orders"}, says: []string{"its other inline policies have 10000", "IAM takes 10240 of all"},
		},
		"a policy over IAM's limit": {
			estate: one, facts: known(), change: func(s *settings.Settings) { s.PolicyLimit = 300 },
			want: []string{"policy-too-large " + roles + "orders"}, says: []string{"IAM takes 300"},
		},
		// Report 19 of the field.
		"aws830: an update in progress": {
			estate: with(functions(function("orders", "API_TOKEN", apiKey)), func(e *discover.Estate) { e.Functions[0].Updating = true }), facts: known(),
			want: []string{"update-in-progress lambda/orders"}, says: []string{"wait until it is done"},
		},
		"CodeDeploy deploys": {
			estate: with(running(discover.Container{Settings: pairs("API_TOKEN", apiKey)}), func(e *discover.Estate) { e.Services[0].Controller = "CODE_DEPLOY" }), facts: known(),
			want: []string{"deployment-controller ecs/main/web"}, says: []string{"CODE_DEPLOY"},
		},
		"a revision that there is no way back to": {
			estate: with(running(discover.Container{Settings: pairs("API_TOKEN", apiKey)}), func(e *discover.Estate) { e.TaskDefinitions[0].Active = false }), facts: known(),
			want: []string{"revision-inactive ecs/main/web"}, says: []string{"was deregistered", "deploy an active revision"},
		},
		"somebody else deploys": {
			estate: with(running(discover.Container{Settings: pairs("API_TOKEN", apiKey)}), func(e *discover.Estate) { e.Services[0].Controller = "EXTERNAL" }), facts: known(),
			want: []string{"deployment-controller ecs/main/web"},
		},
		"Fargate 1.3.0 can inject a whole secret": {
			estate: with(running(discover.Container{Settings: pairs("API_TOKEN", apiKey)}), func(e *discover.Estate) { e.Services[0].Platform = "1.3.0" }), facts: known(),
		},
		"Fargate 1.3.0 can't inject a key of one": {
			estate: with(running(discover.Container{Settings: pairs("PG_HOST", "db", "PG_USER", "app", "PG_PASSWORD", password, "PG_PORT", "5432")}), func(e *discover.Estate) { e.Services[0].Platform = "1.3.0" }), facts: known(),
			want: []string{"platform-too-old ecs/main/web"}, says: []string{"1.4.0"},
		},
		"Fargate 1.2.0 can inject none": {
			estate: with(running(discover.Container{Settings: pairs("API_TOKEN", apiKey)}), func(e *discover.Estate) { e.Services[0].Platform = "1.2.0" }), facts: known(),
			want: []string{"platform-too-old ecs/main/web"},
		},
		// Report 20 of the field: ECS refuses a name in both. One that is there twice
		// is told; one that moves leaves the environment in the same revision.
		"dagster11622: a name in environment and secrets": {
			estate: running(discover.Container{
				Settings: pairs("API_TOKEN", apiKey, "OTHER_TOKEN", apiKey+"2"),
				Injected: []discover.Injected{{Name: "API_TOKEN", ValueFrom: "arn:aws:secretsmanager:us-east-1:123456789012:secret:x-AbCdEf"}},
			}),
			facts: known(),
			want:  []string{"name-twice ecs/main/web"}, says: []string{"both in its environment and among its secrets"},
		},
		// Report 21 of the field.
		"containers-roadmap2224: a JSON key that doesn't exist": {
			estate: running(discover.Container{Injected: []discover.Injected{{Name: "TOKEN", ValueFrom: "arn:aws:secretsmanager:us-east-1:123456789012:secret:acme/x-AbCdEf:tokn::"}}}),
			facts:  existing("acme/x", plan.Existing{HasValue: true, Fields: map[string]string{"token": "d"}}),
			want:   []string{"unknown-key ecs/main/web"}, says: []string{`the key "tokn" of secret acme/x`},
		},
		"a JSON key that exists": {
			estate: running(discover.Container{Injected: []discover.Injected{{Name: "TOKEN", ValueFrom: "arn:aws:secretsmanager:us-east-1:123456789012:secret:acme/x-AbCdEf:token::"}}}),
			facts:  existing("acme/x", plan.Existing{HasValue: true, Fields: map[string]string{"token": "d"}}),
		},
		"encrypted by its program": {
			estate: functions(function("orders", "API_TOKEN", ciphertext)), facts: known(),
			want: []string{"client-encrypted lambda/orders"}, says: []string{"variable API_TOKEN of orders was encrypted by its own program"},
		},
		"encrypted by its program, and listed": {
			estate: functions(function("orders", "API_TOKEN", ciphertext)), facts: known(),
			change: func(s *settings.Settings) { s.Classify.NotSecrets = []string{"API_TOKEN"} },
		},
		"encrypted by its program, and moved as it is": {
			estate: functions(function("orders", "API_TOKEN", ciphertext)), facts: known(),
			change: func(s *settings.Settings) { s.Classify.Secrets = []string{"API_TOKEN"} },
		},
		"a schedule sets a secret": {
			estate: discover.Estate{
				TaskDefinitions: []discover.TaskDefinition{definition("nightly", 2, discover.Container{Name: "app", Settings: pairs("API_TOKEN", apiKey)})},
				ScheduledTasks: []discover.ScheduledTask{{
					ARN: "arn:aws:events:us-east-1:123456789012:rule/night", Name: "night", Target: "t1", TaskDefinition: "arn:aws:ecs:us-east-1:123456789012:task-definition/nightly",
					Overrides: []discover.Container{{Name: "app", Settings: pairs("API_TOKEN", apiKey+"x")}},
				}},
			},
			facts: known(),
			want:  []string{"overridden rule/night/t1"}, says: []string{"its input sets API_TOKEN of container app"},
		},
		"a schedule that calls RunTask by itself": {
			estate: discover.Estate{
				TaskDefinitions: []discover.TaskDefinition{definition("nightly", 2, discover.Container{Name: "app", Settings: pairs("API_TOKEN", apiKey)})},
				ScheduledTasks: []discover.ScheduledTask{{
					ARN: "arn:aws:scheduler:us-east-1:123456789012:schedule/default/night", Name: "default/night", Universal: true,
					TaskDefinition: "arn:aws:ecs:us-east-1:123456789012:task-definition/nightly",
				}},
			},
			facts: known(),
			want:  []string{"universal-target schedule/default/night"}, says: []string{"a call to RunTask"},
		},
		"an alias that isn't there": {
			estate: one, facts: known(), change: func(s *settings.Settings) { s.Aliases = map[string][]string{"lambda/orders": {"live"}} },
			want: []string{"alias-missing lambda/orders"},
		},
		"unread": {
			estate: discover.Estate{Unread: []discover.Unread{{Place: spec.ScanLambda, ARN: "arn:x", Reason: "AccessDeniedException"}, {Place: spec.ScanSSM, Reason: "denied"}}},
			want:   []string{"unread arn:x", "unread ssm"}, says: []string{"not all of it is known: AccessDeniedException"},
		},
		"what is unread of a service holds it up": {
			estate: with(functions(function("orders", "API_TOKEN", apiKey)), func(e *discover.Estate) {
				e.Unread = []discover.Unread{{Place: spec.ScanLambda, ARN: e.Functions[0].ARN, Reason: "its tags can't be read"}}
			}),
			facts: known(),
			want:  []string{"unread lambda/orders"},
		},
		"the stack makes the value of this name": {
			estate: one, facts: known(), change: func(s *settings.Settings) {
				s.Declared = map[string]settings.Declared{"orders/api-token": {Kind: "api-key", Value: settings.Seeded}}
			},
			want: []string{"name-in-use orders/api-token", "not-a-reader lambda/orders"}, says: []string{"makes its value by itself", "value: awaited"},
		},
		"the stack awaits the value of this name": {
			estate: one, facts: known(), change: func(s *settings.Settings) {
				s.Declared = map[string]settings.Declared{"orders/api-token": {Kind: "api-key", Value: settings.Awaited, Readers: []string{"shop", "orders"}}}
				s.Readers = map[string]string{"orders": "role/orders", "shop": ""}
			},
		},
		"a role that the stack made": {
			estate: with(functions(function("orders", "API_TOKEN", apiKey)), func(e *discover.Estate) { e.Functions[0].Role = roles + "acme-dev-shop-reader" }),
			facts:  known(), change: func(s *settings.Settings) {
				s.Declared = map[string]settings.Declared{"orders/api-token": {Kind: "api-key", Value: settings.Awaited, Readers: []string{"shop"}}}
				s.Readers = map[string]string{"shop": ""}
			},
		},
		"a role that isn't among the stack's readers": {
			estate: one, facts: known(), change: func(s *settings.Settings) {
				s.Declared = map[string]settings.Declared{"orders/api-token": {Kind: "api-key", Value: settings.Awaited, Readers: []string{"shop"}}}
				s.Readers = map[string]string{"orders": "role/orders", "shop": "role/shop"}
			},
			want: []string{"not-a-reader lambda/orders"}, says: []string{"without its role orders among the readers"},
		},
		"the stack has another kind for this name": {
			estate: one, facts: known(), change: func(s *settings.Settings) {
				s.Declared = map[string]settings.Declared{"orders/api-token": {Kind: "custom", Value: settings.Awaited}}
			},
			want: []string{"name-in-use orders/api-token", "not-a-reader lambda/orders"}, says: []string{"of the kind custom, and this one is of the kind api-key"},
		},
		"a task definition that couldn't be read": {
			estate: discover.Estate{Services: []discover.Service{service("web", definition("web", 3))}},
			want:   []string{"unread ecs/main/web"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPlanner(t)
			p.facts = test.facts
			if test.change != nil {
				test.change(&p.settings)
			}
			made := p.make(test.estate)
			assert.Equal(t, test.want, codes(made))
			all := ""
			for _, b := range made.Blocked {
				all += b.Problem + "\n" + b.Remedy + "\n" + b.Patch + "\n"
				assert.NotEmpty(t, b.Problem)
				assert.NotEmpty(t, b.Remedy)
			}
			for _, text := range test.says {
				assert.Contains(t, all, text)
			}
			assert.NotContains(t, all, apiKey)
			assert.NotContains(t, all, password)
		})
	}
}

// A secret that an apply has filled is no other's, whatever the order of its
// keys and whatever else is in it.
func TestTheSameValueIsNoCollision(t *testing.T) {
	p := newPlanner(t)
	p.facts = known()
	estate := functions(function("orders", "PG_HOST", "db", "PG_USER", "app", "PG_PASSWORD", password, "PG_PORT", "5432"))
	of := func(text string) string { return p.key.OfBytes([]byte(text)) }
	fields := map[string]string{"engine": of("postgres"), "host": of("db"), "password": of(password), "port": of("5432"), "username": of("app"), "ssl": of("true")}
	p.facts = existing("acme/dev/orders/pg-database", plan.Existing{HasValue: true, Digest: "whatever", Fields: fields})
	assert.Empty(t, p.make(estate).Blocked)
	fields["username"] = of("app_clone")
	assert.Equal(t, []string{"name-in-use orders/pg-database"}, codes(p.make(estate)))
}

// Report 22 of the field: what a tool owns isn't edited; the patch for the tool
// names the variables and holds no value.
func TestTerraform4663Patches(t *testing.T) {
	lambda := func(tags map[string]string) discover.Estate {
		f := function("orders", "DB_PASSWORD", password, "API_TOKEN", apiKey)
		f.Tags = tags
		return functions(f)
	}
	task := func(tags map[string]string) discover.Estate {
		e := running(discover.Container{Settings: pairs("PG_HOST", "db", "PG_USER", "app", "PG_PASSWORD", password, "PG_PORT", "5432", "API_TOKEN", apiKey)})
		e.Services[0].Tags = tags
		return e
	}
	terraform := map[string]string{"ManagedBy": "terraform"}
	cloudFormation := map[string]string{"aws:cloudformation:stack-name": "shop"}
	pulumi := map[string]string{"pulumi:project": "shop"}
	tests := map[string]struct {
		estate discover.Estate
		owner  string
		patch  string
	}{
		"Terraform, Lambda": {lambda(terraform), "Terraform", `# lambda/orders: let these variables follow their secrets.
environment {
  variables = {
    API_TOKEN_SECRET_ID = "acme/dev/orders/api-token"
    DB_PASSWORD_SECRET_ID = "acme/dev/orders/db-password"
  }
}
`},
		"Terraform, ECS": {task(terraform), "Terraform", `# ecs/main/web: take these variables out of the environment, and inject them.
data "aws_secretsmanager_secret" "web_api_token" {
  name = "acme/dev/web/api-token"
}
data "aws_secretsmanager_secret" "web_pg_database" {
  name = "acme/dev/web/pg-database"
}
# container app
secrets = [
  { name = "API_TOKEN", valueFrom = "${data.aws_secretsmanager_secret.web_api_token.arn}" },
  { name = "PG_PASSWORD", valueFrom = "${data.aws_secretsmanager_secret.web_pg_database.arn}:password::" },
  { name = "PG_USER", valueFrom = "${data.aws_secretsmanager_secret.web_pg_database.arn}:username::" },
]
`},
		"CloudFormation or SAM, Lambda": {lambda(cloudFormation), "CloudFormation stack shop", `# lambda/orders: let these variables follow their secrets.
Environment:
  Variables:
    API_TOKEN_SECRET_ID: acme/dev/orders/api-token
    DB_PASSWORD_SECRET_ID: acme/dev/orders/db-password
`},
		"CloudFormation, ECS": {task(cloudFormation), "CloudFormation stack shop", `# ecs/main/web: take these variables out of the environment, and inject them.
Parameters: # the secrets' ARNs: aws secretsmanager describe-secret --secret-id <name> --query ARN
  WebApiTokenArn: # acme/dev/web/api-token
    Type: String
  WebPgDatabaseArn: # acme/dev/web/pg-database
    Type: String
ContainerDefinitions:
  - Name: app
    Secrets:
      - Name: API_TOKEN
        ValueFrom: !Sub "${WebApiTokenArn}"
      - Name: PG_PASSWORD
        ValueFrom: !Sub "${WebPgDatabaseArn}:password::"
      - Name: PG_USER
        ValueFrom: !Sub "${WebPgDatabaseArn}:username::"
`},
		"Pulumi, Lambda": {lambda(pulumi), "Pulumi stack shop", `// lambda/orders: let these variables follow their secrets.
Environment: &lambda.FunctionEnvironmentArgs{
	Variables: pulumi.StringMap{
		"API_TOKEN_SECRET_ID": pulumi.String("acme/dev/orders/api-token"),
		"DB_PASSWORD_SECRET_ID": pulumi.String("acme/dev/orders/db-password"),
	},
},
`},
		"Pulumi, ECS": {task(pulumi), "Pulumi stack shop", `// ecs/main/web: take these variables out of the environment, and inject them.
webApiToken, err := secretsmanager.LookupSecret(ctx, &secretsmanager.LookupSecretArgs{Name: pulumi.StringRef("acme/dev/web/api-token")})
if err != nil {
	return err
}
webPgDatabase, err := secretsmanager.LookupSecret(ctx, &secretsmanager.LookupSecretArgs{Name: pulumi.StringRef("acme/dev/web/pg-database")})
if err != nil {
	return err
}
// container app
"secrets": []map[string]string{
	{"name": "API_TOKEN", "valueFrom": webApiToken.Arn},
	{"name": "PG_PASSWORD", "valueFrom": webPgDatabase.Arn + ":password::"},
	{"name": "PG_USER", "valueFrom": webPgDatabase.Arn + ":username::"},
},
`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			made := newPlanner(t).make(test.estate)
			require.Len(t, made.Blocked, 1)
			assert.Equal(t, plan.OwnedByTool, made.Blocked[0].Code)
			assert.Contains(t, made.Blocked[0].Problem, test.owner)
			assert.Equal(t, test.patch, made.Blocked[0].Patch)
			assert.Equal(t, test.owner, made.Services[0].ManagedBy)
			assert.NotEmpty(t, made.Holds(made.Services[0]))
			assert.Empty(t, made.HoldsSecret(made.Secrets[0].Name), "the secret itself may be made")
		})
	}
}
