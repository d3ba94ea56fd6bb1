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
	"github.com/aistudio/secrets/migrator/internal/applytest"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
)

func TestAPlanIsApplied(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	var told []string
	o := w.Options()
	o.DryRun = true
	dry := w.Apply(p, o)
	require.True(t, dry.Complete)
	for _, s := range dry.Steps {
		assert.Equal(t, apply.Would, s.Outcome, s.Subject)
	}
	assert.Empty(t, w.State().Services, "a dry run writes nothing")
	assert.NotContains(t, w.Environment("orders"), "API_KEY_SECRET_ID")

	o.DryRun = false
	o.Progress = func(done, total int, s apply.Step) {
		told = append(told, fmt.Sprintf("%d/%d %s %s %s", done, total, s.Action, s.Subject, s.Outcome))
	}
	result := w.Apply(p, o)
	require.True(t, result.Complete, "%+v", result)
	applytest.CheckSmall(w)
	assert.Equal(t, []string{
		"1/6 secret acme/dev/orders/api-key done", "2/6 secret acme/dev/mail/database done", "3/6 secret acme/dev/mail/token done",
		"4/6 grant " + w.Role + " done", "5/6 service lambda/orders done", "6/6 service lambda/mail done",
	}, told)
	assert.NotContains(t, fmt.Sprintf("%+v %+v", result, dry), "canary")

	described, err := w.Secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("acme/dev/orders/api-key")})
	require.NoError(t, err)
	assert.Equal(t, w.KMSKey, *described.KmsKeyId)
	assert.Len(t, described.Tags, 2)

	again := w.Must(p)
	for _, s := range again.Steps {
		assert.Equal(t, apply.Already, s.Outcome, s.Subject)
	}
	applytest.CheckSmall(w)
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
				w := applytest.New(t)
				p := applytest.Small(w)
				more, _ = w.Killed(at, after, func(config aws.Config) { _, _ = apply.Run(t.Context(), config, p, w.Options()) })
				w.Must(p)
				applytest.CheckSmall(w)
			})
		}
	}
}

func TestAPlanThatNoLongerFitsStopsBeforeAnyWrite(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*applytest.World)
		want   []string
	}{
		"another value": {func(w *applytest.World) { w.Set("orders", "API_KEY", "canary-other") }, []string{
			"lambda/orders: variable API_KEY has another value",
		}},
		"a variable is gone": {func(w *applytest.World) { w.Set("mail", "DB_USER", "") }, []string{
			"lambda/mail: variable DB_USER is gone",
		}},
		"a parameter's value":  {func(w *applytest.World) { w.Parameter("/mail/token", "canary-other") }, []string{"parameter /mail/token: it has another value"}},
		"another parameter":    {func(w *applytest.World) { w.Set("mail", "TOKEN_PARAM", "/mail/other") }, []string{"lambda/mail: variable TOKEN_PARAM no longer names the parameter /mail/token"}},
		"a reference is taken": {func(w *applytest.World) { w.Set("orders", "API_KEY_SECRET_ID", "else") }, []string{"lambda/orders: variable API_KEY_SECRET_ID is in use for something else"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := applytest.New(t)
			p := applytest.Small(w)
			c.change(w)
			_, err := apply.Run(t.Context(), w.Config, p, w.Options())
			changed := &apply.ChangedError{}
			require.ErrorAs(t, err, &changed)
			assert.Equal(t, c.want, changed.Changes)
			assert.NotContains(t, err.Error(), "canary")
			assert.Empty(t, w.State().Secrets)
			list, err := w.Secrets.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{})
			require.NoError(t, err)
			assert.Empty(t, list.SecretList)
		})
	}
}

func TestASecretThatExists(t *testing.T) {
	const name = "acme/dev/orders/api-key"
	create := func(w *applytest.World, in secretsmanager.CreateSecretInput) {
		in.Name = aws.String(name)
		_, err := w.Secrets.CreateSecret(w.Context(), &in)
		require.NoError(w, err)
	}
	for label, c := range map[string]struct {
		before func(*applytest.World)
		status journal.Status
		want   string
	}{
		"without a value": {func(w *applytest.World) { create(w, secretsmanager.CreateSecretInput{}) }, journal.Written, ""},
		"the same value": {func(w *applytest.World) {
			create(w, secretsmanager.CreateSecretInput{SecretString: aws.String(applytest.Canary)})
		}, journal.Adopted, ""},
		"another value": {func(w *applytest.World) {
			create(w, secretsmanager.CreateSecretInput{SecretString: aws.String("canary-other")})
		}, "",
			"has another value"},
		"scheduled for deletion": {func(w *applytest.World) {
			create(w, secretsmanager.CreateSecretInput{SecretString: aws.String(applytest.Canary)})
			_, err := w.Secrets.DeleteSecret(w.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(name)})
			require.NoError(w, err)
		}, "", "scheduled for deletion"},
	} {
		t.Run(label, func(t *testing.T) {
			w := applytest.New(t)
			p := applytest.Small(w)
			c.before(w)
			result := w.Apply(p, w.Options())
			if c.want != "" {
				assert.False(t, result.Complete)
				assert.Contains(t, applytest.Failures(result)[name], c.want)
				assert.Contains(t, applytest.Failures(result)["lambda/orders"], "its secret")
				assert.Contains(t, applytest.Failures(result)["lambda/mail"], "held up: lambda/orders")
				assert.NotContains(t, fmt.Sprint(result), "canary")
				assert.NotContains(t, w.Environment("orders"), "API_KEY_SECRET_ID")
				return
			}
			require.True(t, result.Complete, "%+v", result)
			assert.Equal(t, applytest.Canary, w.Secret(name))
			state := w.State().Secrets[name]
			assert.Equal(t, c.status, state.Status)
			assert.False(t, state.Made)
		})
	}
}

func TestWavesAndServicesAlone(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	o := w.Options()
	o.Wave = 2
	result := w.Apply(p, o)
	assert.Equal(t, map[string]string{"lambda/mail": "held up: lambda/orders of an earlier wave isn't at its new secrets and healthy"}, applytest.Failures(result))
	o.Wave = 1
	require.True(t, w.Apply(p, o).Complete)
	o.Wave = 2
	require.True(t, w.Apply(p, o).Complete)
	applytest.CheckSmall(w)

	w = applytest.New(t)
	p = applytest.Small(w)
	o = w.Options()
	o.Only = []string{"lambda/mail"}
	result = w.Apply(p, o)
	require.True(t, result.Complete)
	assert.Len(t, result.Steps, 4)
	assert.NotContains(t, w.Environment("orders"), "API_KEY_SECRET_ID")

	o.Only, o.Wave, o.Mode = []string{"lambda/none"}, 7, "half"
	_, err := apply.Run(t.Context(), w.Config, p, o)
	require.ErrorContains(t, err, "the plan has no service lambda/none")
	require.ErrorContains(t, err, "the plan has no wave 7")
	require.ErrorContains(t, err, `mode "half"`)
}

func TestAServiceThatDoesNotDoWellHoldsTheNextWaveUp(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	o := w.Options()
	sick := true
	o.Healthy = func(_ context.Context, s plan.Service) error {
		if s.ID == "lambda/orders" && sick {
			return fmt.Errorf("it answers 500")
		}
		return nil
	}
	result := w.Apply(p, o)
	assert.Contains(t, applytest.Failures(result)["lambda/orders"], "it answers 500")
	assert.Contains(t, applytest.Failures(result)["lambda/mail"], "held up")
	assert.Equal(t, journal.Switched, w.State().Services["lambda/orders"].Status)
	sick = false
	require.True(t, w.Apply(p, o).Complete)
	applytest.CheckSmall(w)
}

func TestFinalLeavesNoOldValue(t *testing.T) {
	for _, first := range []plan.Mode{plan.DualRead, plan.Final} {
		w := applytest.New(t)
		p := applytest.Small(w)
		p.Mode = first
		w.Must(p)
		o := w.Options()
		o.Mode = plan.Final
		require.True(t, w.Apply(p, o).Complete)
		assert.Equal(t, map[string]string{"API_KEY_SECRET_ID": "acme/dev/orders/api-key", "LOG_LEVEL": "info"}, w.Environment("orders"))
		assert.NotContains(t, w.Environment("mail"), "TOKEN_PARAM")
		assert.Equal(t, plan.Final, w.State().Services["lambda/mail"].Mode)
		o.Mode = plan.DualRead
		require.True(t, w.Apply(p, o).Complete)
		assert.NotContains(t, w.Environment("orders"), "API_KEY", "an apply brings no old value back")
	}
}

func TestAPlanOfAnotherAccountOrRegion(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	p.Account = "210987654321"
	_, err := apply.Run(t.Context(), w.Config, p, w.Options())
	require.ErrorContains(t, err, "for the account 210987654321 and not for "+w.Cloud.Account())
	_, err = apply.Run(t.Context(), w.Cloud.Config("us-west-2"), p, w.Options())
	require.ErrorContains(t, err, "for us-east-1 and not for us-west-2")
}

func TestTheJournalIsNeededToGoOn(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	other, err := journal.Open(w.Folder, journal.Rollback, w.Cloud.Clock().Now)
	require.NoError(t, err)
	_, err = apply.Run(t.Context(), w.Config, p, w.Options())
	require.ErrorIs(t, err, journal.ErrLocked)
	require.NoError(t, other.Close())
	info, err := os.Stat(w.Folder)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	assert.False(t, strings.Contains(w.Folder, "canary"))
}

// Whoever writes the secret at any moment keeps what they wrote.
func TestSomebodyElseWritesTheSecretAtEveryCall(t *testing.T) {
	const name = "acme/dev/orders/api-key"
	for _, exists := range []bool{false, true} {
		for at, more := 0, true; more; at++ {
			w := applytest.New(t)
			p := applytest.Small(w)
			if exists {
				_, err := w.Secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(name)})
				require.NoError(t, err)
			}
			written := false
			var result apply.Result
			calls := w.Observed(func(call int) {
				if call != at {
					return
				}
				written = true
				_, err := w.Secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(name), SecretString: aws.String("canary-other")})
				if err != nil {
					_, err = w.Secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String(name), SecretString: aws.String("canary-other")})
				}
				assert.NoError(t, err)
			}, func(config aws.Config) {
				var err error
				result, err = apply.Run(t.Context(), config, p, w.Options())
				assert.NoError(t, err)
			})
			if more = written; !more {
				break
			}
			require.Equal(t, "canary-other", w.Secret(name), "overwritten at call %d, %s", at, calls[at])
			switched := w.Environment("orders")["API_KEY_SECRET_ID"] != ""
			if switched {
				// Only where it was written after the service's last look at it.
				assert.Contains(t, calls[:at], "GetSecretValue")
			} else {
				assert.False(t, result.Complete)
			}
			assert.NotContains(t, fmt.Sprintf("%+v", result), "canary")
		}
	}
}

// A replica that the stack wants is waited for, and one that failed is told of.
func TestReplicasAreWaitedFor(t *testing.T) {
	const name = "acme/dev/orders/api-key"
	w := applytest.New(t)
	p := applytest.Small(w)
	_, err := w.Secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(name)})
	require.NoError(t, err)
	w.Replicate(name, "us-west-2")
	w.Must(p)
	there := secretsmanager.NewFromConfig(w.Cloud.Config("us-west-2"))
	out, err := there.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(name)})
	require.NoError(t, err)
	assert.Equal(t, applytest.Canary, *out.SecretString)
}
