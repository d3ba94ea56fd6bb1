package apply_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/apply"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	canary   = "canary-5f2b\n\"quoted\" <ü> "
	password = "canary-pass\\word"
)

// small is an estate of two functions and a parameter, and its plan: a value of
// its own, a login as one JSON object, and one from a parameter.
func small(w *world) plan.Plan {
	w.function("orders", map[string]string{"API_KEY": canary, "LOG_LEVEL": "info"})
	w.function("mail", map[string]string{"DB_USER": "mail", "DB_PASSWORD": password, "TOKEN_PARAM": "/mail/token"})
	w.parameter("/mail/token", canary+"token")
	login := w.one("acme/dev/mail/database", "")
	login.Values = []plan.Value{
		{Field: "engine", Constant: "postgres"},
		{Field: "password", Digest: w.key.Of(spec.ValueString(password)), Places: []plan.Place{functionPlace("mail", "DB_PASSWORD")}},
		{Field: "username", Digest: w.key.Of(spec.ValueString("mail")), Places: []plan.Place{functionPlace("mail", "DB_USER")}},
	}
	return w.plan([]plan.Secret{
		w.one("acme/dev/orders/api-key", canary, functionPlace("orders", "API_KEY")),
		login,
		w.one("acme/dev/mail/token", canary+"token", plan.Place{In: spec.ScanSSM, ID: "/mail/token"}),
	}, []plan.Service{
		w.service("orders", 1, plan.Variable{Name: "API_KEY", Secret: "acme/dev/orders/api-key"}),
		w.service("mail", 2, plan.Variable{Name: "DB_USER", Secret: "acme/dev/mail/database", Field: "username"},
			plan.Variable{Name: "DB_PASSWORD", Secret: "acme/dev/mail/database", Field: "password"},
			plan.Variable{Name: "TOKEN_PARAM", Secret: "acme/dev/mail/token", Parameter: "/mail/token"}),
	})
}

// checkSmall checks the end state of small's plan.
func checkSmall(w *world) {
	w.Helper()
	assert.Equal(w, canary, w.secret("acme/dev/orders/api-key"), "byte for byte")
	assert.Equal(w, `{"engine":"postgres","password":"canary-pass\\word","username":"mail"}`, w.secret("acme/dev/mail/database"))
	assert.Equal(w, canary+"token", w.secret("acme/dev/mail/token"))
	assert.Equal(w, map[string]string{
		"API_KEY": canary, "API_KEY_SECRET_ID": "acme/dev/orders/api-key", "LOG_LEVEL": "info", "SECRETS_DUALREAD": "compare",
	}, w.environment("orders"))
	assert.Equal(w, map[string]string{
		"DB_USER": "mail", "DB_USER_SECRET_ID": "acme/dev/mail/database#username",
		"DB_PASSWORD": password, "DB_PASSWORD_SECRET_ID": "acme/dev/mail/database#password",
		"TOKEN_PARAM": "/mail/token", "TOKEN_PARAM_SECRET_ID": "acme/dev/mail/token", "SECRETS_DUALREAD": "compare",
	}, w.environment("mail"))
	state := w.state()
	for _, s := range state.Services {
		assert.Equal(w, journal.Healthy, s.Status, s.ID)
		assert.Equal(w, 1, s.Attempt)
	}
	assert.Len(w, state.Services, 2)
	for name, s := range state.Secrets {
		assert.Equal(w, journal.Written, s.Status, name)
		assert.True(w, s.Made)
		out, err := w.secrets.ListSecretVersionIds(w.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: &name, IncludeDeprecated: aws.Bool(true)})
		require.NoError(w, err)
		require.Len(w, out.Versions, 1, "written once")
		assert.Equal(w, []string{"AWSCURRENT"}, out.Versions[0].VersionStages)
		assert.Equal(w, s.Version, *out.Versions[0].VersionId)
	}
	assert.Len(w, state.Secrets, 3)
	assert.Equal(w, journal.Granted, state.Grants[w.role+" acme-dev-migrated-secrets"].Status)
	w.noCanary("canary")
}

func TestAPlanIsApplied(t *testing.T) {
	w := newWorld(t)
	p := small(w)
	var told []string
	o := w.options()
	o.DryRun = true
	dry := w.apply(p, o)
	require.True(t, dry.Complete)
	for _, s := range dry.Steps {
		assert.Equal(t, apply.Would, s.Outcome, s.Subject)
	}
	assert.Empty(t, w.state().Services, "a dry run writes nothing")
	assert.NotContains(t, w.environment("orders"), "API_KEY_SECRET_ID")

	o.DryRun = false
	o.Progress = func(done, total int, s apply.Step) {
		told = append(told, fmt.Sprintf("%d/%d %s %s %s", done, total, s.Action, s.Subject, s.Outcome))
	}
	result := w.apply(p, o)
	require.True(t, result.Complete, "%+v", result)
	checkSmall(w)
	assert.Equal(t, []string{
		"1/6 secret acme/dev/orders/api-key done", "2/6 secret acme/dev/mail/database done", "3/6 secret acme/dev/mail/token done",
		"4/6 grant " + w.role + " done", "5/6 service lambda/orders done", "6/6 service lambda/mail done",
	}, told)
	assert.NotContains(t, fmt.Sprintf("%+v %+v", result, dry), "canary")

	described, err := w.secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("acme/dev/orders/api-key")})
	require.NoError(t, err)
	assert.Equal(t, w.kmsKey, *described.KmsKeyId)
	assert.Len(t, described.Tags, 2)

	again := w.must(p)
	for _, s := range again.Steps {
		assert.Equal(t, apply.Already, s.Outcome, s.Subject)
	}
	checkSmall(w)
}

// Killed before or after any call and run again, it ends as if it had never been
// killed: nothing is lost and nothing is done twice.
func TestKilledAtEveryCall(t *testing.T) {
	if testing.Short() {
		t.Skip("an apply for each call")
	}
	for _, after := range []bool{false, true} {
		for at, more := 0, true; more; at++ {
			t.Run(fmt.Sprintf("after=%t/%d", after, at), func(t *testing.T) {
				w := newWorld(t)
				p := small(w)
				more, _ = w.killed(at, after, func(config aws.Config) { _, _ = apply.Run(t.Context(), config, p, w.options()) })
				w.must(p)
				checkSmall(w)
			})
		}
	}
}

func TestAPlanThatNoLongerFitsStopsBeforeAnyWrite(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		want   []string
	}{
		"another value": {func(w *world) { w.set("orders", "API_KEY", "canary-other") }, []string{
			"lambda/orders: variable API_KEY has another value",
		}},
		"a variable is gone": {func(w *world) { w.set("mail", "DB_USER", "") }, []string{
			"lambda/mail: variable DB_USER is gone",
		}},
		"a parameter's value":  {func(w *world) { w.parameter("/mail/token", "canary-other") }, []string{"parameter /mail/token: it has another value"}},
		"another parameter":    {func(w *world) { w.set("mail", "TOKEN_PARAM", "/mail/other") }, []string{"lambda/mail: variable TOKEN_PARAM no longer names the parameter /mail/token"}},
		"a reference is taken": {func(w *world) { w.set("orders", "API_KEY_SECRET_ID", "else") }, []string{"lambda/orders: variable API_KEY_SECRET_ID is in use for something else"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := small(w)
			c.change(w)
			_, err := apply.Run(t.Context(), w.config, p, w.options())
			changed := &apply.ChangedError{}
			require.ErrorAs(t, err, &changed)
			assert.Equal(t, c.want, changed.Changes)
			assert.NotContains(t, err.Error(), "canary")
			assert.Empty(t, w.state().Secrets)
			list, err := w.secrets.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{})
			require.NoError(t, err)
			assert.Empty(t, list.SecretList)
		})
	}
}

func TestASecretThatExists(t *testing.T) {
	const name = "acme/dev/orders/api-key"
	create := func(w *world, in secretsmanager.CreateSecretInput) {
		in.Name = aws.String(name)
		_, err := w.secrets.CreateSecret(w.Context(), &in)
		require.NoError(w, err)
	}
	for label, c := range map[string]struct {
		before func(*world)
		status journal.Status
		want   string
	}{
		"without a value": {func(w *world) { create(w, secretsmanager.CreateSecretInput{}) }, journal.Written, ""},
		"the same value":  {func(w *world) { create(w, secretsmanager.CreateSecretInput{SecretString: aws.String(canary)}) }, journal.Adopted, ""},
		"another value": {func(w *world) { create(w, secretsmanager.CreateSecretInput{SecretString: aws.String("canary-other")}) }, "",
			"has another value"},
		"scheduled for deletion": {func(w *world) {
			create(w, secretsmanager.CreateSecretInput{SecretString: aws.String(canary)})
			_, err := w.secrets.DeleteSecret(w.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(name)})
			require.NoError(w, err)
		}, "", "scheduled for deletion"},
	} {
		t.Run(label, func(t *testing.T) {
			w := newWorld(t)
			p := small(w)
			c.before(w)
			result := w.apply(p, w.options())
			if c.want != "" {
				assert.False(t, result.Complete)
				assert.Contains(t, failures(result)[name], c.want)
				assert.Contains(t, failures(result)["lambda/orders"], "its secret")
				assert.Contains(t, failures(result)["lambda/mail"], "held up: lambda/orders")
				assert.NotContains(t, fmt.Sprint(result), "canary")
				assert.NotContains(t, w.environment("orders"), "API_KEY_SECRET_ID")
				return
			}
			require.True(t, result.Complete, "%+v", result)
			assert.Equal(t, canary, w.secret(name))
			state := w.state().Secrets[name]
			assert.Equal(t, c.status, state.Status)
			assert.False(t, state.Made)
		})
	}
}

func TestWavesAndServicesAlone(t *testing.T) {
	w := newWorld(t)
	p := small(w)
	o := w.options()
	o.Wave = 2
	result := w.apply(p, o)
	assert.Equal(t, map[string]string{"lambda/mail": "held up: lambda/orders of an earlier wave isn't at its new secrets and healthy"}, failures(result))
	o.Wave = 1
	require.True(t, w.apply(p, o).Complete)
	o.Wave = 2
	require.True(t, w.apply(p, o).Complete)
	checkSmall(w)

	w = newWorld(t)
	p = small(w)
	o = w.options()
	o.Only = []string{"lambda/mail"}
	result = w.apply(p, o)
	require.True(t, result.Complete)
	assert.Len(t, result.Steps, 4)
	assert.NotContains(t, w.environment("orders"), "API_KEY_SECRET_ID")

	o.Only, o.Wave, o.Mode = []string{"lambda/none"}, 7, "half"
	_, err := apply.Run(t.Context(), w.config, p, o)
	require.ErrorContains(t, err, "the plan has no service lambda/none")
	require.ErrorContains(t, err, "the plan has no wave 7")
	require.ErrorContains(t, err, `mode "half"`)
}

func TestAServiceThatDoesNotDoWellHoldsTheNextWaveUp(t *testing.T) {
	w := newWorld(t)
	p := small(w)
	o := w.options()
	sick := true
	o.Healthy = func(_ context.Context, s plan.Service) error {
		if s.ID == "lambda/orders" && sick {
			return fmt.Errorf("it answers 500")
		}
		return nil
	}
	result := w.apply(p, o)
	assert.Contains(t, failures(result)["lambda/orders"], "it answers 500")
	assert.Contains(t, failures(result)["lambda/mail"], "held up")
	assert.Equal(t, journal.Switched, w.state().Services["lambda/orders"].Status)
	sick = false
	require.True(t, w.apply(p, o).Complete)
	checkSmall(w)
}

func TestFinalLeavesNoOldValue(t *testing.T) {
	for _, first := range []plan.Mode{plan.DualRead, plan.Final} {
		w := newWorld(t)
		p := small(w)
		p.Mode = first
		w.must(p)
		o := w.options()
		o.Mode = plan.Final
		require.True(t, w.apply(p, o).Complete)
		assert.Equal(t, map[string]string{"API_KEY_SECRET_ID": "acme/dev/orders/api-key", "LOG_LEVEL": "info"}, w.environment("orders"))
		assert.NotContains(t, w.environment("mail"), "TOKEN_PARAM")
		assert.Equal(t, plan.Final, w.state().Services["lambda/mail"].Mode)
	}
}

func TestTheJournalIsNeededToGoOn(t *testing.T) {
	w := newWorld(t)
	p := small(w)
	other, err := journal.Open(w.folder, journal.Rollback, w.cloud.Clock().Now)
	require.NoError(t, err)
	_, err = apply.Run(t.Context(), w.config, p, w.options())
	require.ErrorIs(t, err, journal.ErrLocked)
	require.NoError(t, other.Close())
	info, err := os.Stat(w.folder)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	assert.False(t, strings.Contains(w.folder, "canary"))
}
