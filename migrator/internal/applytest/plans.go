package applytest

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

// Values that must show up nowhere but in a secret and in its old place.
const (
	Canary   = "canary-5f2b\n\"quoted\" <ü> "
	Password = "canary-pass\\word"
)

// Small is an estate of two functions and a parameter, and its plan: a value of
// its own, a login as one JSON object, and one from a parameter.
func Small(w *World) plan.Plan {
	w.Function("orders", map[string]string{"API_KEY": Canary, "LOG_LEVEL": "info"})
	w.Function("mail", map[string]string{"DB_USER": "mail", "DB_PASSWORD": Password, "TOKEN_PARAM": "/mail/token"})
	w.Parameter("/mail/token", Canary+"token")
	login := w.One("acme/dev/mail/database", "")
	login.Values = []plan.Value{
		{Field: "engine", Constant: "postgres"},
		{Field: "password", Digest: w.Key.Of(spec.ValueString(Password)), Places: []plan.Place{FunctionPlace("mail", "DB_PASSWORD")}},
		{Field: "username", Digest: w.Key.Of(spec.ValueString("mail")), Places: []plan.Place{FunctionPlace("mail", "DB_USER")}},
	}
	return w.Plan([]plan.Secret{
		w.One("acme/dev/orders/api-key", Canary, FunctionPlace("orders", "API_KEY")),
		login,
		w.One("acme/dev/mail/token", Canary+"token", plan.Place{In: spec.ScanSSM, ID: "/mail/token"}),
	}, []plan.Service{
		w.Service("orders", 1, plan.Variable{Name: "API_KEY", Secret: "acme/dev/orders/api-key"}),
		w.Service("mail", 2, plan.Variable{Name: "DB_USER", Secret: "acme/dev/mail/database", Field: "username"},
			plan.Variable{Name: "DB_PASSWORD", Secret: "acme/dev/mail/database", Field: "password"},
			plan.Variable{Name: "TOKEN_PARAM", Secret: "acme/dev/mail/token", Parameter: "/mail/token"}),
	})
}

// CheckSmall checks the end state of Small's plan.
func CheckSmall(w *World) {
	w.Helper()
	assert.Equal(w, Canary, w.Secret("acme/dev/orders/api-key"), "byte for byte")
	assert.Equal(w, `{"engine":"postgres","password":"canary-pass\\word","username":"mail"}`, w.Secret("acme/dev/mail/database"))
	assert.Equal(w, Canary+"token", w.Secret("acme/dev/mail/token"))
	assert.Equal(w, map[string]string{
		"API_KEY": Canary, "API_KEY_SECRET_ID": "acme/dev/orders/api-key", "LOG_LEVEL": "info", "SECRETS_DUALREAD": "compare",
	}, w.Environment("orders"))
	assert.Equal(w, map[string]string{
		"DB_USER": "mail", "DB_USER_SECRET_ID": "acme/dev/mail/database#username",
		"DB_PASSWORD": Password, "DB_PASSWORD_SECRET_ID": "acme/dev/mail/database#password",
		"TOKEN_PARAM": "/mail/token", "TOKEN_PARAM_SECRET_ID": "acme/dev/mail/token", "SECRETS_DUALREAD": "compare",
	}, w.Environment("mail"))
	state := w.State()
	for _, s := range state.Services {
		assert.Equal(w, journal.Healthy, s.Status, s.ID)
		assert.Equal(w, 1, s.Attempt)
	}
	assert.Len(w, state.Services, 2)
	for name, s := range state.Secrets {
		assert.Equal(w, journal.Written, s.Status, name)
		assert.True(w, s.Made)
		out, err := w.Secrets.ListSecretVersionIds(w.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: &name, IncludeDeprecated: aws.Bool(true)})
		require.NoError(w, err)
		require.Len(w, out.Versions, 1, "written once")
		assert.Equal(w, []string{"AWSCURRENT"}, out.Versions[0].VersionStages)
		assert.Equal(w, s.Version, *out.Versions[0].VersionId)
	}
	assert.Len(w, state.Secrets, 3)
	assert.Equal(w, journal.Granted, state.Grants[w.Role+" acme-dev-migrated-secrets"].Status)
	w.NoCanary("canary")
}
