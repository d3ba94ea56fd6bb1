package plan_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/settings"
)

// estate is one of two services: a function with a login, a key and a parameter,
// and a task with a key.
func estate() discover.Estate {
	e := running(discover.Container{Settings: pairs("WEB_TOKEN", apiKey+"w")})
	e.Functions = []discover.Function{
		function("orders", "PG_HOST", "db", "PG_USER", "app", "PG_PASSWORD", password, "PG_PORT", "5432", "STRIPE_API_KEY", apiKey, "LOG_LEVEL", "info", "MAIL", "/mail/token"),
		function("reports", "STRIPE_API_KEY", apiKey),
	}
	e.Parameters = []discover.Parameter{parameter("/mail/token", apiKey+"m", discover.SecureString)}
	return e
}

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		change func(*discover.Estate)
		edit   func(*plan.Plan)
		facts  func(*plan.Facts)
		want   []string
	}{
		"nothing":         {},
		"another account": {edit: func(p *plan.Plan) { p.Account = "1" }, want: []string{"dev: the plan is for account 1 in us-east-1, and this is account 123456789012 in us-east-1"}},
		"a value": {
			change: func(e *discover.Estate) { put(&e.Functions[1], "STRIPE_API_KEY", apiKey+"new") },
			want: []string{
				"acme/dev/shared/stripe-api-key: variable STRIPE_API_KEY of reports has another value now",
				"lambda/reports: variable STRIPE_API_KEY has another value now",
			},
		},
		"a variable is gone": {
			change: func(e *discover.Estate) { put(&e.Functions[1], "STRIPE_API_KEY", "") },
			want: []string{
				"acme/dev/shared/stripe-api-key: variable STRIPE_API_KEY of reports is gone",
				"lambda/reports: variable STRIPE_API_KEY is gone",
			},
		},
		"a parameter's value": {
			change: func(e *discover.Estate) {
				e.Parameters[0] = parameter("/mail/token", apiKey+"new", discover.SecureString)
			},
			want: []string{"acme/dev/orders/mail-token: parameter /mail/token has another value now"},
		},
		"a parameter is gone": {
			change: func(e *discover.Estate) { e.Parameters = nil },
			want: []string{
				"acme/dev/orders/mail-token: parameter /mail/token is gone",
				"lambda/orders: variable MAIL takes its value from elsewhere now",
			},
		},
		"a function is gone": {
			change: func(e *discover.Estate) { e.Functions = e.Functions[:1] },
			want: []string{
				"acme/dev/shared/stripe-api-key: variable STRIPE_API_KEY of reports is gone",
				"lambda/reports: it is gone",
			},
		},
		"another role": {
			change: func(e *discover.Estate) { e.Functions[1].Role = roles + "other" },
			want:   []string{"lambda/reports: its execution role is other now, and was reports"},
		},
		"a deployment": {
			change: func(e *discover.Estate) {
				d := definition("web", 8, e.TaskDefinitions[0].Containers...)
				e.TaskDefinitions = append(e.TaskDefinitions, d)
				e.Services[0].TaskDefinition = d.ARN
			},
			want: []string{"ecs/main/web: it runs web:8 now, and ran web:7"},
		},
		"a new secret": {
			change: func(e *discover.Estate) { put(&e.Functions[1], "NEW_TOKEN", apiKey+"n") },
			want: []string{
				"lambda/reports: its configuration has changed: other variables, its role or its aliases",
				"lambda/reports: variable NEW_TOKEN looks like a secret and isn't in the plan",
			},
		},
		"a new service that names a parameter of others": {
			change: func(e *discover.Estate) { e.Functions = append(e.Functions, function("zeta", "MAIL", "/mail/token")) },
			want:   []string{"lambda/zeta: variable MAIL looks like a secret and isn't in the plan"},
		},
		"another variable": {
			change: func(e *discover.Estate) { put(&e.Functions[0], "LOG_LEVEL", "debug") },
			want:   []string{"lambda/orders: its configuration has changed: other variables, its role or its aliases"},
		},
		"a new block": {
			change: func(e *discover.Estate) { e.Functions[1].Updating = true },
			want:   []string{"lambda/reports: an update of the function is under way: wait until it is done, and make the plan again"},
		},
		"a name in use": {
			facts: func(f *plan.Facts) {
				f.Secrets["acme/dev/orders/mail-token"] = plan.Existing{HasValue: true, Digest: "other"}
			},
			want: []string{"acme/dev/orders/mail-token: a secret of this name is there with another value: choose another name, everywhere in this file; or bring that secret's value in line, if it is the one"},
		},
		"a name in use, and the secret was renamed": {
			facts: func(f *plan.Facts) {
				f.Secrets["acme/dev/orders/mail-token"] = plan.Existing{HasValue: true, Digest: "other"}
			},
			edit: func(p *plan.Plan) { rename(p, "acme/dev/orders/mail-token", "acme/dev/orders/mail") },
		},
		"a service that is skipped": {
			change: func(e *discover.Estate) { e.Functions[1].Updating = true },
			edit:   func(p *plan.Plan) { of(p, "lambda/reports").Skip = "not now" },
		},
		"a variable and its secret that a person took out": {
			edit: func(p *plan.Plan) {
				s := of(p, "lambda/orders")
				s.Variables = slices.DeleteFunc(s.Variables, func(v plan.Variable) bool { return v.Name == "MAIL" })
				p.Secrets[slices.IndexFunc(p.Secrets, func(s plan.Secret) bool { return s.Name == "acme/dev/orders/mail-token" })].Skip = "not now"
			},
		},
		"switched, with the old values beside": {change: func(e *discover.Estate) { switchAll(e, false) }},
		"switched, without the old values":     {change: func(e *discover.Estate) { switchAll(e, true) }},
		"switched by ARN": {change: func(e *discover.Estate) {
			put(&e.Functions[1], "STRIPE_API_KEY_SECRET_ID", "arn:aws:secretsmanager:us-east-1:123456789012:secret:acme/dev/shared/stripe-api-key-Ab1Cd2")
		}},
		"switched to another key of the secret": {
			change: func(e *discover.Estate) {
				switchAll(e, false)
				put(&e.Functions[0], "PG_USER_SECRET_ID", "acme/dev/orders/pg-database#user")
			},
			want: []string{
				"lambda/orders: its configuration has changed: other variables, its role or its aliases",
				"lambda/orders: variable PG_USER_SECRET_ID is there already and holds something else: rename it in the service, or skip the variable in the migration's file",
			},
		},
		"switched to another secret": {
			change: func(e *discover.Estate) { put(&e.Functions[1], "STRIPE_API_KEY_SECRET_ID", "acme/dev/other/key") },
			want:   []string{"lambda/reports: its configuration has changed: other variables, its role or its aliases", "lambda/reports: variable STRIPE_API_KEY_SECRET_ID is there already and holds something else: rename it in the service, or skip the variable in the migration's file"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPlanner(t)
			p.facts = known()
			p.facts.Secrets = map[string]plan.Existing{}
			made := p.make(estate())
			require.Empty(t, made.Blocked)
			if test.edit != nil {
				test.edit(&made)
				require.NoError(t, made.Validate())
			}
			now := estate()
			if test.change != nil {
				test.change(&now)
			}
			if test.facts != nil {
				test.facts(&p.facts)
			}
			assert.Equal(t, test.want, p.check(made, now))
			for _, text := range p.check(made, now) {
				assert.NotContains(t, text, apiKey)
				assert.NotContains(t, text, password)
			}
		})
	}
}

// put sets variables; "" takes one away.
func put(f *discover.Function, list ...string) {
	all := map[string]string{}
	for _, s := range f.Settings {
		all[s.Name] = s.Value.RevealString()
	}
	for i := 0; i+1 < len(list); i += 2 {
		all[list[i]] = list[i+1]
		if list[i+1] == "" {
			delete(all, list[i])
		}
	}
	var flat []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		flat = append(flat, name, all[name])
	}
	f.Settings = pairs(flat...)
}

func of(p *plan.Plan, id string) *plan.Service {
	return &p.Services[slices.IndexFunc(p.Services, func(s plan.Service) bool { return s.ID == id })]
}

// rename is what a person's search and replace does.
func rename(p *plan.Plan, from, to string) {
	for i := range p.Secrets {
		if p.Secrets[i].Name == from {
			p.Secrets[i].Name = to
		}
	}
	for i := range p.Services {
		for j := range p.Services[i].Variables {
			if p.Services[i].Variables[j].Secret == from {
				p.Services[i].Variables[j].Secret = to
			}
		}
	}
	for i := range p.Grants {
		p.Grants[i].Policy = strings.ReplaceAll(p.Grants[i].Policy, from, to)
		for j := range p.Grants[i].Secrets {
			if p.Grants[i].Secrets[j] == from {
				p.Grants[i].Secrets[j] = to
			}
		}
	}
}

// switchAll is what the apply does: references in the functions, a new revision
// for the task. The parameter stays until the cleanup.
func switchAll(e *discover.Estate, final bool) {
	put(&e.Functions[0], "PG_USER_SECRET_ID", "acme/dev/orders/pg-database#username", "PG_PASSWORD_SECRET_ID", "acme/dev/orders/pg-database#password",
		"STRIPE_API_KEY_SECRET_ID", "acme/dev/shared/stripe-api-key", "MAIL_SECRET_ID", "acme/dev/orders/mail-token")
	put(&e.Functions[1], "STRIPE_API_KEY_SECRET_ID", "acme/dev/shared/stripe-api-key")
	if final {
		put(&e.Functions[0], "PG_USER", "", "PG_PASSWORD", "", "STRIPE_API_KEY", "", "MAIL", "")
		put(&e.Functions[1], "STRIPE_API_KEY", "")
		e.Parameters = nil
	}
	d := definition("web", 8, discover.Container{Name: "app", Injected: []discover.Injected{{Name: "WEB_TOKEN", ValueFrom: "arn:aws:secretsmanager:us-east-1:123456789012:secret:acme/dev/web/web-token-Ab1Cd2"}}})
	if final {
		e.TaskDefinitions = nil
	}
	e.TaskDefinitions = append(e.TaskDefinitions, d)
	e.Services[0].TaskDefinition = d.ARN
}

func TestRenewKeepsWhatPeopleChanged(t *testing.T) {
	p := newPlanner(t)
	p.facts = known()
	p.settings.Aliases = map[string][]string{}
	old := p.make(estate())
	rename(&old, "acme/dev/shared/stripe-api-key", "acme/dev/payments/stripe")
	i := slices.IndexFunc(old.Secrets, func(s plan.Secret) bool { return s.Name == "acme/dev/payments/stripe" })
	old.Secrets[i].Kind, old.Secrets[i].Description = "custom", "The key of the payment provider"
	old.Secrets[i].Tags["Service"], old.Secrets[i].Tags["SecretType"], old.Secrets[i].Tags["Owner"] = "payments", "custom", "team-payments"
	of(&old, "lambda/orders").Wave, of(&old, "lambda/reports").Skip = 7, "not now"
	of(&old, "ecs/main/web").How, of(&old, "ecs/main/web").Role = plan.ByReference, roles+"web-task"
	require.NoError(t, old.Validate())
	stripe := old.Secrets[i]

	now := estate()
	put(&now.Functions[1], "NEW_TOKEN", apiKey+"n")
	put(&now.Functions[0], "PG_PASSWORD", password+"2")
	now.Functions = append(now.Functions, function("fresh", "FRESH_TOKEN", apiKey+"f", "MAIL", "/mail/token"))
	renewed := p.renew(old, now)
	assert.Contains(t, moves(renewed), "lambda/fresh MAIL -> orders/mail-token from /mail/token")

	assert.Equal(t, []string{"fresh/fresh-token", "orders/mail-token", "orders/pg-database", "payments/stripe", "reports/new-token", "web/web-token"}, secretNames(renewed))
	i = slices.IndexFunc(renewed.Secrets, func(s plan.Secret) bool { return s.Name == "acme/dev/payments/stripe" })
	assert.Equal(t, stripe, renewed.Secrets[i])
	assert.Equal(t, 7, of(&renewed, "lambda/orders").Wave)
	assert.Equal(t, 7, of(&renewed, "lambda/fresh").Wave, "what is new comes last")
	assert.Equal(t, "not now", of(&renewed, "lambda/reports").Skip)
	assert.Equal(t, plan.ByReference, of(&renewed, "ecs/main/web").How)
	assert.Equal(t, roles+"web-task", of(&renewed, "ecs/main/web").Role)
	assert.Empty(t, p.check(renewed, now))
	assert.Contains(t, p.check(old, estate()), roles+"web-task: it may not read acme/dev/web/web-token, and the plan has no grant for it", "the person changed the way, and the grants are for the other role")
	assert.Equal(t, written(t, renewed), written(t, p.renew(renewed, now)), "renewed again it is the same")
	assert.Equal(t, written(t, p.make(estate())), written(t, p.renew(p.make(estate()), estate())), "what wasn't changed is the same")
}

// What a person took out stays out.
func TestRenewKeepsOutWhatPeopleTookOut(t *testing.T) {
	p := newPlanner(t)
	p.facts = known()
	old := p.make(estate())
	s := of(&old, "lambda/orders")
	s.Variables = slices.DeleteFunc(s.Variables, func(v plan.Variable) bool { return v.Name == "MAIL" || v.Name == "STRIPE_API_KEY" })
	old.Secrets[slices.IndexFunc(old.Secrets, func(s plan.Secret) bool { return s.Name == "acme/dev/orders/mail-token" })].Skip = "not now"
	old.Services = slices.DeleteFunc(old.Services, func(s plan.Service) bool { return s.ID == "ecs/main/web" })
	require.NoError(t, old.Validate())
	renewed := p.renew(old, estate())
	assert.Equal(t, moves(old), moves(renewed))
	assert.Equal(t, "not now", renewed.Secrets[0].Skip)
	assert.Empty(t, p.check(renewed, estate()))
}

// A later plan's grant takes nothing away from an earlier one's.
func TestGrantsOfLaterPlansHaveNamesOfTheirOwn(t *testing.T) {
	p := newPlanner(t)
	p.facts = known()
	first := p.make(estate())
	now := estate()
	switchAll(&now, false)
	put(&now.Functions[1], "LATE_TOKEN", apiKey+"l")
	p.facts.Roles = map[string]plan.Role{}
	for _, g := range first.Grants {
		p.facts.Roles[g.Role] = plan.Role{Readable: g.Secrets}
	}
	later := p.renew(first, now)
	require.Len(t, later.Grants, 1)
	assert.Equal(t, []string{"acme/dev/reports/late-token"}, later.Grants[0].Secrets)
	for _, g := range first.Grants {
		assert.NotEqual(t, g.PolicyName, later.Grants[0].PolicyName)
	}
}

// An apply that was interrupted goes on with a renewed plan too: what is switched
// stays in it, to be validated and rolled back.
func TestRenewKeepsWhatIsSwitched(t *testing.T) {
	for _, final := range []bool{false, true} {
		p := newPlanner(t)
		p.facts = known()
		old := p.make(estate())
		now := estate()
		switchAll(&now, final)
		renewed := p.renew(old, now)
		assert.Equal(t, secretNames(old), secretNames(renewed))
		got, want := moves(renewed), moves(old)
		slices.Sort(got)
		slices.Sort(want)
		assert.Equal(t, want, got)
		assert.Empty(t, p.check(renewed, now))

		// One switched, one not: they share a secret, which keeps its name.
		now = estate()
		put(&now.Functions[1], "STRIPE_API_KEY_SECRET_ID", "acme/dev/shared/stripe-api-key", "LATE_TOKEN", apiKey+"l")
		renewed = p.renew(old, now)
		assert.Equal(t, []string{"orders/mail-token", "orders/pg-database", "reports/late-token", "shared/stripe-api-key", "web/web-token"}, secretNames(renewed))
		assert.Len(t, of(&renewed, "lambda/reports").Variables, 2)
		i := slices.IndexFunc(renewed.Secrets, func(s plan.Secret) bool { return s.Name == "acme/dev/shared/stripe-api-key" })
		assert.Len(t, renewed.Secrets[i].Values[0].Places, 2, "the old value is still in both")
		assert.Empty(t, p.check(renewed, now))
	}
}

// Report 22 of the field: once the tool's owner has put the patch in, the plan
// fits as it is.
func TestTerraform4663ThePatchIsIn(t *testing.T) {
	p := newPlanner(t)
	p.facts = known()
	owned := func() discover.Estate {
		e := estate()
		e.Functions[1].Tags = map[string]string{"Terraform": "true"}
		return e
	}
	made := p.make(owned())
	require.Equal(t, []string{"owned-by-tool lambda/reports"}, codes(made))
	now := owned()
	put(&now.Functions[1], "STRIPE_API_KEY", "", "STRIPE_API_KEY_SECRET_ID", "acme/dev/shared/stripe-api-key")
	assert.Empty(t, p.check(made, now))
	assert.Empty(t, p.renew(made, now).Blocked)
}

// Two secrets would have had one name: whoever renames one, or takes the block
// away, isn't asked again.
func TestASettledCollisionStaysSettled(t *testing.T) {
	p := newPlanner(t)
	p.facts = known()
	p.settings.Services = settings.Names{"lambda/orders-*": "orders"}
	e := functions(function("orders-api", "API_TOKEN", apiKey+"1"), function("orders-worker", "API_TOKEN", apiKey+"2"))
	old := p.make(e)
	require.Len(t, old.Blocked, 1)
	second := old.Blocked[0].Subject
	assert.Len(t, p.renew(old, e).Blocked, 1)
	taken := old
	taken.Blocked = nil
	assert.Empty(t, p.check(taken, e))
	assert.Empty(t, p.renew(taken, e).Blocked)
	rename(&old, second, "acme/dev/orders/worker-token")
	assert.Empty(t, p.check(old, e))
	assert.Empty(t, p.renew(old, e).Blocked)
	assert.Equal(t, []string{"orders/api-token", "orders/worker-token"}, secretNames(p.renew(old, e)))
}
