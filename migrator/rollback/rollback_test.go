package rollback_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/apply"
	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/internal/applytest"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/rollback"
)

func options(w *applytest.World) rollback.Options {
	return rollback.Options{Folder: w.Folder, Key: w.Key, Sleep: w.Cloud.Advance, Now: w.Cloud.Clock().Now}
}

func back(w *applytest.World, o rollback.Options) rollback.Result {
	w.Helper()
	result, err := rollback.Run(w.Context(), w.Config, o)
	require.NoError(w, err)
	return result
}

func must(w *applytest.World) {
	w.Helper()
	result := back(w, options(w))
	require.True(w, result.Complete, "%+v", result.Steps)
}

func failures(r rollback.Result) map[string]string {
	all := map[string]string{}
	for _, s := range r.Steps {
		if s.Outcome == steps.Failed {
			all[s.Subject] = s.Detail
		}
	}
	return all
}

// checkOld checks that Small's estate is as it was before.
func checkOld(w *applytest.World) {
	w.Helper()
	assert.Equal(w, map[string]string{"API_KEY": applytest.Canary, "LOG_LEVEL": "info"}, w.Environment("orders"))
	assert.Equal(w, map[string]string{"DB_USER": "mail", "DB_PASSWORD": applytest.Password, "TOKEN_PARAM": "/mail/token"}, w.Environment("mail"))
	for id, s := range w.State().Services {
		assert.Equal(w, journal.Restored, s.Status, id)
	}
	assert.Empty(w, w.InlinePolicies())
	for _, g := range w.State().Grants {
		assert.Equal(w, journal.Revoked, g.Status)
	}
	assert.Equal(w, applytest.Canary, w.Secret("acme/dev/orders/api-key"), "the secrets stay")
	w.NoCanary("canary")
}

func TestFunctionsGetBackWhatTheyHad(t *testing.T) {
	for _, mode := range []plan.Mode{plan.DualRead, plan.Final} {
		t.Run(string(mode), func(t *testing.T) {
			w := applytest.New(t)
			p := applytest.Small(w)
			p.Mode = mode
			w.Must(p)
			switched := w.Environment("mail")

			o := options(w)
			o.DryRun = true
			dry := back(w, o)
			require.True(t, dry.Complete)
			require.Len(t, dry.Steps, 3)
			for _, s := range dry.Steps {
				assert.Equal(t, steps.Would, s.Outcome, s.Subject)
			}
			assert.Equal(t, switched, w.Environment("mail"), "a dry run changes nothing")

			var told []string
			o.DryRun = false
			o.Progress = func(done, total int, s steps.Step) {
				told = append(told, fmt.Sprintf("%d/%d %s %s", done, total, s.Subject, s.Outcome))
			}
			result := back(w, o)
			require.True(t, result.Complete, "%+v", result.Steps)
			assert.Equal(t, []string{"1/3 lambda/mail done", "2/3 lambda/orders done", "3/3 " + w.Role + " done"}, told)
			checkOld(w)
			assert.NotContains(t, fmt.Sprintf("%+v", result), "canary")

			again := back(w, options(w))
			assert.Empty(t, again.Steps)

			// And once more there and back.
			w.Must(p)
			assert.Equal(t, switched, w.Environment("mail"))
			assert.Equal(t, 2, w.State().Services["lambda/mail"].Attempt)
			must(w)
			checkOld(w)
		})
	}
}

// A value that changed between a rollback and the next apply becomes the
// secret's.
func TestMigratedAgainWithAnotherValue(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	w.Must(p)
	must(w)
	w.Set("orders", "API_KEY", "canary-new")
	_, err := apply.Run(t.Context(), w.Config, p, w.Options())
	changed := &apply.ChangedError{}
	require.ErrorAs(t, err, &changed)

	p.Secrets[0] = w.One("acme/dev/orders/api-key", "canary-new", applytest.FunctionPlace("orders", "API_KEY"))
	for at, more := 0, true; more; at++ {
		more, _ = w.Killed(at, true, func(config aws.Config) { _, _ = apply.Run(t.Context(), config, p, w.Options()) })
	}
	w.Must(p)
	assert.Equal(t, "canary-new", w.Secret("acme/dev/orders/api-key"))
	assert.Equal(t, 2, w.State().Secrets["acme/dev/orders/api-key"].Attempt)
	out, err := w.Secrets.ListSecretVersionIds(t.Context(), &secretsmanager.ListSecretVersionIdsInput{SecretId: aws.String("acme/dev/orders/api-key")})
	require.NoError(t, err)
	require.Len(t, out.Versions, 2)
	for _, v := range out.Versions {
		assert.NotContains(t, v.VersionStages, "MIGRATION")
	}
	must(w)
	assert.Equal(t, "canary-new", w.Environment("orders")["API_KEY"])
	w.NoCanary("canary")
}

func TestKilledAtEveryCall(t *testing.T) {
	if testing.Short() {
		t.Skip("a rollback for each call")
	}
	for _, after := range []bool{false, true} {
		for at, more := 0, true; more; at++ {
			t.Run(fmt.Sprintf("after=%t/%d", after, at), func(t *testing.T) {
				w := applytest.New(t)
				p := applytest.Small(w)
				p.Mode = plan.Final
				w.Must(p)
				more, _ = w.Killed(at, after, func(config aws.Config) { _, _ = rollback.Run(t.Context(), config, options(w)) })
				must(w)
				checkOld(w)
			})
		}
	}
}

// An apply that was killed anywhere can be rolled back.
func TestAnApplyThatWasKilledAtEveryCallIsRolledBack(t *testing.T) {
	if testing.Short() {
		t.Skip("a rollback for each call")
	}
	for _, after := range []bool{false, true} {
		for at, more := 0, true; more; at++ {
			t.Run(fmt.Sprintf("after=%t/%d", after, at), func(t *testing.T) {
				w := applytest.New(t)
				p := applytest.Small(w)
				more, _ = w.Killed(at, after, func(config aws.Config) { _, _ = apply.Run(t.Context(), config, p, w.Options()) })
				if w.State().Started.IsZero() {
					return // nothing was begun
				}
				must(w)
				assert.Equal(t, map[string]string{"API_KEY": applytest.Canary, "LOG_LEVEL": "info"}, w.Environment("orders"))
				assert.Equal(t, map[string]string{"DB_USER": "mail", "DB_PASSWORD": applytest.Password, "TOKEN_PARAM": "/mail/token"}, w.Environment("mail"))
				assert.Empty(t, w.InlinePolicies())
				w.Must(p)
				must(w)
				checkOld(w)
			})
		}
	}
}

func TestARotatedSecretIsNotRolledBack(t *testing.T) {
	w := applytest.New(t)
	w.Must(applytest.Small(w))
	put, err := w.Secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("acme/dev/orders/api-key"), SecretString: aws.String("canary-rotated")})
	require.NoError(t, err)
	result := back(w, options(w))
	detail := failures(result)["lambda/orders"]
	assert.Contains(t, detail, "was rotated or changed")
	assert.Contains(t, detail, "--remove-from-version-id "+*put.VersionId)
	assert.Contains(t, w.Environment("orders"), "API_KEY_SECRET_ID")
	assert.NotContains(t, w.Environment("mail"), "DB_USER_SECRET_ID", "the others go back")
	assert.NotEmpty(t, w.InlinePolicies(), "it is still needed")

	// What the message says helps.
	version := w.State().Secrets["acme/dev/orders/api-key"].Version
	_, err = w.Secrets.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: aws.String("acme/dev/orders/api-key"), VersionStage: aws.String("AWSCURRENT"), MoveToVersionId: &version, RemoveFromVersionId: put.VersionId,
	})
	require.NoError(t, err)
	must(w)
	checkOld(w)
}

func TestWhatSomebodyElseChangedStays(t *testing.T) {
	w := applytest.New(t)
	w.Must(applytest.Small(w))
	w.Set("orders", "RELEASE", "7")
	w.Set("mail", "DB_USER_SECRET_ID", "another/secret")
	result := back(w, options(w))
	assert.Equal(t, map[string]string{"API_KEY": applytest.Canary, "LOG_LEVEL": "info", "RELEASE": "7"}, w.Environment("orders"))
	assert.Contains(t, failures(result)["lambda/mail"], "DB_USER_SECRET_ID names another secret")
	assert.Contains(t, w.Environment("mail"), "DB_PASSWORD_SECRET_ID")
}

// Somebody else edits the function at any moment: the edit is there afterwards.
func TestSomebodyElseEditsAtEveryCall(t *testing.T) {
	for at, more := 0, true; more; at++ {
		w := applytest.New(t)
		w.Must(applytest.Small(w))
		o := options(w)
		o.Only = []string{"lambda/orders"}
		edited := false
		w.Observed(func(call int) {
			if call == at {
				edited = true
				w.Set("orders", "RELEASE", "7")
			}
		}, func(config aws.Config) {
			_, err := rollback.Run(t.Context(), config, o)
			assert.NoError(t, err)
		})
		if more = edited; !more {
			break
		}
		assert.Equal(t, "7", w.Environment("orders")["RELEASE"], "call %d", at)
		must(w)
		assert.Equal(t, map[string]string{"API_KEY": applytest.Canary, "LOG_LEVEL": "info", "RELEASE": "7"}, w.Environment("orders"))
	}
}

func TestAliasesGoBack(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	w.Publish("orders")
	w.Alias("orders", "live", "1")
	p.Services[0].Aliases = []string{"live"}
	w.Must(p)
	assert.Equal(t, "2", w.AliasVersion("orders", "live"))
	must(w)
	assert.Equal(t, "1", w.AliasVersion("orders", "live"))
	checkOld(w)

	w.Must(p)
	assert.Equal(t, "2", w.AliasVersion("orders", "live"), "it is as it was then")
	w.Set("orders", "RELEASE", "7")
	w.Publish("orders")
	_, err := w.Functions.UpdateAlias(t.Context(), &lambda.UpdateAliasInput{FunctionName: aws.String("orders"), Name: aws.String("live"), FunctionVersion: aws.String("3")})
	require.NoError(t, err)
	assert.Contains(t, failures(back(w, options(w)))["lambda/orders"], "its alias live names version 3, which somebody else deployed")
	assert.Contains(t, w.Environment("orders"), "API_KEY_SECRET_ID", "nothing is changed")
}

func TestSecretsAreScheduledForDeletionOnRequest(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	_, err := w.Secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("acme/dev/mail/token"), SecretString: aws.String(applytest.Canary + "token")})
	require.NoError(t, err)
	w.Must(p)
	w.Replicate("acme/dev/orders/api-key", "us-west-2")
	o := options(w)
	o.DeleteAfter = 3
	_, err = rollback.Run(t.Context(), w.Config, o)
	require.ErrorContains(t, err, "7 to 30 days")
	o.DeleteAfter = 7
	o.Only = []string{"lambda/orders"}
	result := back(w, o)
	require.True(t, result.Complete, "%+v", result.Steps)
	described := func(name string) *secretsmanager.DescribeSecretOutput {
		out, err := w.Secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
		require.NoError(t, err)
		return out
	}
	assert.NotNil(t, described("acme/dev/orders/api-key").DeletedDate, "its replica first")
	assert.Nil(t, described("acme/dev/mail/database").DeletedDate, "it is in use")
	o.Only = nil
	require.True(t, back(w, o).Complete)
	assert.NotNil(t, described("acme/dev/mail/database").DeletedDate)
	assert.Nil(t, described("acme/dev/mail/token").DeletedDate, "the migration didn't make it")

	// Migrated again, it comes back.
	w.Must(p)
	assert.Nil(t, described("acme/dev/orders/api-key").DeletedDate)
	assert.Equal(t, applytest.Canary, w.Secret("acme/dev/orders/api-key"))
}

func TestTasksGoBackToTheirOldRevision(t *testing.T) {
	for _, how := range []plan.How{plan.ByInjection, plan.ByReference} {
		t.Run(string(how), func(t *testing.T) {
			c := applytest.NewContainers(t)
			p, old := applytest.Web(c, how)
			c.Must(p)
			require.NotEqual(t, old, c.Running("web"))
			must(c.World)
			assert.Equal(t, old, c.Running("web"))
			c.Must(p)
			assert.Len(t, c.Revisions("web"), 2, "the new revision is used again")
			other := c.Register("web", map[string]string{"RELEASE": "2"}, nil)
			c.Deploy("web", other)
			c.Advance(time.Minute)
			assert.Contains(t, failures(back(c.World, options(c.World)))["ecs/main/web"], "runs "+other)
			assert.Equal(t, other, c.Running("web"))
		})
	}
}

func TestADeregisteredRevisionIsNoWayBack(t *testing.T) {
	c := applytest.NewContainers(t)
	p, old := applytest.Web(c, plan.ByInjection)
	c.Must(p)
	_, err := c.Tasks.DeregisterTaskDefinition(t.Context(), &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &old})
	require.NoError(t, err)
	assert.Contains(t, failures(back(c.World, options(c.World)))["ecs/main/web"], "was deregistered")
}

func TestRulesAndSchedulesGoBack(t *testing.T) {
	c := applytest.NewContainers(t)
	p, old := applytest.Jobs(c, false)
	before, scheduled := c.RuleTarget(), c.Scheduled()
	c.Must(p)
	must(c.World)
	assert.Equal(t, before, c.RuleTarget())
	after := c.Scheduled()
	after.LastModificationDate, after.ResultMetadata = scheduled.LastModificationDate, scheduled.ResultMetadata
	assert.Equal(t, scheduled, after)
	assert.Equal(t, old, *after.Target.EcsParameters.TaskDefinitionArn)
	c.Must(p)
	assert.NotEqual(t, old, *c.RuleTarget().EcsParameters.TaskDefinitionArn)
}

// What starts the newest revision goes back when the new one goes, at the end.
func TestWhatStartsTheNewestRevisionGoesBack(t *testing.T) {
	c := applytest.NewContainers(t)
	p, old := applytest.Jobs(c, true)
	c.Must(p)
	o := options(c.World)
	o.Only = []string{"rule/nightly/t1"}
	assert.Contains(t, failures(back(c.World, o))["rule/nightly/t1"], "schedule/default/hourly runs as well")
	must(c.World)
	assert.Equal(t, []string{old}, c.Revisions("job"))
	c.Must(p)
	assert.Len(t, c.Revisions("job"), 2)
}

func TestThereIsNothingToRollBack(t *testing.T) {
	w := applytest.New(t)
	o := options(w)
	o.Only = []string{"lambda/orders"}
	_, err := rollback.Run(t.Context(), w.Config, o)
	require.ErrorContains(t, err, "the migration didn't switch a service lambda/orders")
	require.ErrorContains(t, err, "has no journal")
	other, err := journal.Open(w.Folder, journal.Apply, w.Cloud.Clock().Now)
	require.NoError(t, err)
	_, err = rollback.Run(t.Context(), w.Config, o)
	require.ErrorIs(t, err, journal.ErrLocked)
	require.NoError(t, other.Close())
}

func TestTheScriptIsThereBeforeTheFirstSwitch(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	path := filepath.Join(w.Folder, "rollback.sh")
	written := false
	w.Observed(func(int) {
		if text, err := os.ReadFile(path); err == nil && !written {
			written = true
			assert.Contains(w, string(text), "variable_secret 'API_KEY'")
			assert.NotContains(w, w.Environment("orders"), "API_KEY_SECRET_ID")
		}
	}, func(config aws.Config) {
		_, err := apply.Run(t.Context(), config, p, w.Options())
		assert.NoError(t, err)
	})
	assert.True(t, written)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	must(w)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Contains(t, string(text), "nothing is switched")
	assert.False(t, strings.Contains(string(text), "canary"))
}
