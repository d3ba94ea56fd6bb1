package cleanup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/cleanup"
	"github.com/aistudio/secrets/migrator/internal/applytest"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/rollback"
)

func options(w *applytest.World, p plan.Plan) cleanup.Options {
	return cleanup.Options{
		Folder: w.Folder, Key: w.Key, Plan: p, Sleep: w.Cloud.Advance, Now: w.Cloud.Clock().Now,
		Validated: func(context.Context) error { return nil },
	}
}

func clean(w *applytest.World, o cleanup.Options) cleanup.Result {
	w.Helper()
	result, err := cleanup.Run(w.Context(), w.Config, o)
	require.NoError(w, err)
	assert.NotContains(w, fmt.Sprintf("%+v", result), "canary")
	return result
}

func failures(r cleanup.Result) map[string]string {
	all := map[string]string{}
	for _, s := range r.Steps {
		if s.Outcome == steps.Failed {
			all[s.Subject] = s.Detail
		}
	}
	return all
}

func there(w *applytest.World, parameter string) bool {
	w.Helper()
	_, err := w.Parameters.GetParameter(w.Context(), &ssm.GetParameterInput{Name: &parameter})
	missing := &ssmtypes.ParameterNotFound{}
	if errors.As(err, &missing) {
		return false
	}
	require.NoError(w, err)
	return true
}

// migrated is Small, applied, and a day later.
func migrated(t *testing.T) (*applytest.World, plan.Plan) {
	t.Helper()
	w := applytest.New(t)
	p := applytest.Small(w)
	w.Must(p)
	w.Advance(24 * time.Hour)
	return w, p
}

// checkClean checks that nothing of the old is left in Small's estate.
func checkClean(w *applytest.World) {
	w.Helper()
	assert.Equal(w, map[string]string{"API_KEY_SECRET_ID": "acme/dev/orders/api-key", "LOG_LEVEL": "info"}, w.Environment("orders"))
	assert.Equal(w, map[string]string{
		"DB_USER_SECRET_ID": "acme/dev/mail/database#username", "DB_PASSWORD_SECRET_ID": "acme/dev/mail/database#password", "TOKEN_PARAM_SECRET_ID": "acme/dev/mail/token",
	}, w.Environment("mail"))
	assert.False(w, there(w, "/mail/token"))
	state := w.State()
	for id, s := range state.Services {
		assert.Equal(w, journal.Cleaned, s.Status, id)
	}
	assert.Equal(w, journal.Deleted, state.Parameters["/mail/token"].Status)
	assert.Equal(w, applytest.Canary+"token", w.Secret("acme/dev/mail/token"))
	exports, err := filepath.Glob(filepath.Join(w.Folder, "export-*.json"))
	require.NoError(w, err)
	assert.Len(w, exports, 1)
	w.NoCanary("canary")
}

func TestAMigrationIsCleanedUp(t *testing.T) {
	w, p := migrated(t)
	o := options(w, p)
	o.DryRun = true
	dry := clean(w, o)
	require.True(t, dry.Complete, "%+v", dry.Steps)
	for _, s := range dry.Steps {
		assert.Equal(t, steps.Would, s.Outcome, "%+v", s)
	}
	assert.Len(t, dry.Steps, 3)
	assert.Contains(t, w.Environment("orders"), "API_KEY", "a dry run changes nothing")
	assert.True(t, there(w, "/mail/token"))

	result := clean(w, options(w, p))
	require.True(t, result.Complete, "%+v", result.Steps)
	assert.Empty(t, result.Remains)
	checkClean(w)
	info, err := os.Stat(filepath.Join(w.Folder, result.Export))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	again := clean(w, options(w, p))
	require.True(t, again.Complete)
	for _, s := range again.Steps {
		assert.Equal(t, steps.Already, s.Outcome, "%+v", s)
	}

	back, err := rollback.Run(t.Context(), w.Config, rollback.Options{Folder: w.Folder, Key: w.Key, Sleep: w.Cloud.Advance, Now: w.Cloud.Clock().Now})
	require.NoError(t, err)
	assert.False(t, back.Complete, "there is no way back")
	assert.Contains(t, back.Steps[0].Detail, "its cleanup has begun")
}

func TestKilledAtEveryCall(t *testing.T) {
	if testing.Short() {
		t.Skip("a cleanup for each call")
	}
	for _, after := range []bool{false, true} {
		for at, more := 0, true; more; at++ {
			t.Run(fmt.Sprintf("after=%t/%d", after, at), func(t *testing.T) {
				w, p := migrated(t)
				more, _ = w.Killed(at, after, func(config aws.Config) { _, _ = cleanup.Run(t.Context(), config, options(w, p)) })
				w.Advance(time.Second) // exports are named by the second
				if exports, _ := filepath.Glob(filepath.Join(w.Folder, "export-*.json")); len(exports) > 0 && w.State().Parameters["/mail/token"].Status == "" {
					require.NoError(t, os.Remove(exports[0])) // killed before it was known of: one more is as good
				}
				result := clean(w, options(w, p))
				require.True(t, result.Complete, "%+v", result.Steps)
				checkClean(w)
			})
		}
	}
}

func TestWhatIsNotValidatedStays(t *testing.T) {
	w, p := migrated(t)
	o := options(w, p)
	o.Validated = func(context.Context) error { return errors.New("the soak time isn't over") }
	_, err := cleanup.Run(t.Context(), w.Config, o)
	require.ErrorContains(t, err, "nothing is removed: the soak time isn't over")
	o.Validated = nil
	_, err = cleanup.Run(t.Context(), w.Config, o)
	require.Error(t, err)
	o = options(w, p)
	o.Keep = -time.Hour
	_, err = cleanup.Run(t.Context(), w.Config, o)
	require.ErrorContains(t, err, "the only copy")
	assert.Contains(t, w.Environment("orders"), "API_KEY")
}

func TestAParameterThatSomebodyNeedsStays(t *testing.T) {
	const name = "/mail/token"
	for label, c := range map[string]struct {
		before func(*applytest.World)
		want   string
	}{
		"another function names it": {func(w *applytest.World) { w.Function("batch", map[string]string{"TOKEN": name}) }, "variable TOKEN of arn:aws:lambda:us-east-1:123456789012:function:batch names it"},
		"another value":             {func(w *applytest.World) { w.Parameter(name, "canary-other") }, "isn't the one that was migrated"},
		"a role reads it":           {func(w *applytest.World) { w.ReadAs("batch", name) }, "CloudTrail knows that it was read since the migration, last by arn:aws:iam::123456789012:role/batch"},
		"another function of its role reads it": {
			func(w *applytest.World) { w.ReadIn("orders", "service", name) }, "last by arn:aws:iam::123456789012:role/service",
		},
		"a role reads its path": {func(w *applytest.World) { w.ReadAs("batch", "/mail") }, "role/batch"},
	} {
		t.Run(label, func(t *testing.T) {
			w, p := migrated(t)
			c.before(w)
			result := clean(w, options(w, p))
			assert.Contains(t, failures(result)[name], c.want)
			assert.True(t, there(w, name))
			require.Len(t, result.Remains, 1)
			assert.Equal(t, "arn:aws:ssm:us-east-1:123456789012:parameter/mail/token", result.Remains[0].Subject)
			assert.Equal(t, journal.Cleaned, w.State().Services["lambda/orders"].Status)
			assert.Equal(t, journal.Healthy, w.State().Services["lambda/mail"].Status, "what took the parameter isn't done")
		})
	}

	// Reads that count for nothing: of the service that was switched, of the roles
	// that are named.
	w, p := migrated(t)
	w.ReadIn("mail", "service", name)
	w.ReadAs("scan", name)
	o := options(w, p)
	o.Readers = []string{"scan"}
	require.True(t, clean(w, o).Complete)
	checkClean(w)
}

func TestAParameterThatChangesMeanwhileStays(t *testing.T) {
	for at, more := 0, true; more; at++ {
		w, p := migrated(t)
		var calls []string
		changed := false
		var result cleanup.Result
		calls = w.Observed(func(call int) {
			if call == at {
				changed = true
				w.Parameter("/mail/token", "canary-other")
			}
		}, func(config aws.Config) {
			var err error
			result, err = cleanup.Run(t.Context(), config, options(w, p))
			assert.NoError(t, err)
		})
		if more = changed; !more {
			break
		}
		if calls[at] == "DeleteParameter" {
			continue // SSM has nothing to compare by: the moment between look and deletion is nobody's
		}
		deleted := false
		for _, c := range calls[:at] {
			deleted = deleted || c == "DeleteParameter"
		}
		if !deleted {
			require.True(t, there(w, "/mail/token"), "changed before call %d, %s: %+v", at, calls[at], result.Steps)
		}
	}
}

func TestWhatCannotBeTakenOut(t *testing.T) {
	w, p := migrated(t)
	w.Set("orders", "API_KEY_SECRET_ID", "")
	w.Set("mail", "DB_PASSWORD", "canary-other")
	result := clean(w, options(w, p))
	assert.Contains(t, failures(result)["lambda/orders"], "it doesn't have API_KEY_SECRET_ID any more")
	assert.Contains(t, failures(result)["lambda/mail"], "variable DB_PASSWORD has another value")
	assert.Contains(t, failures(result)["/mail/token"], "lambda/mail could not be cleaned up")
	assert.Equal(t, applytest.Canary, w.Environment("orders")["API_KEY"])
	assert.False(t, w.State().Cleaned())
}

// A switch that was begun and isn't complete is no migration to clean up.
func TestAnApplyThatIsNotCompleteIsNotCleanedUp(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	o := w.Options()
	o.Healthy = func(context.Context, plan.Service) error { return errors.New("it answers 500") }
	w.Apply(p, o)
	result := clean(w, options(w, p))
	assert.Contains(t, failures(result)["lambda/orders"], "its switch isn't complete")
	assert.Contains(t, w.Environment("orders"), "API_KEY")
}

// A secret that was rotated during the soak is no reason to keep the old value.
func TestARotatedSecretIsNoObstacle(t *testing.T) {
	w, p := migrated(t)
	_, err := w.Secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("acme/dev/orders/api-key"), SecretString: aws.String("canary-rotated")})
	require.NoError(t, err)
	require.True(t, clean(w, options(w, p)).Complete)
	checkClean(w)
}

// A plan that was made after the apply no longer has what was switched: the
// journal has.
func TestTheJournalSuffices(t *testing.T) {
	w, p := migrated(t)
	p.Secrets, p.Services, p.Grants = nil, nil, nil
	require.True(t, clean(w, options(w, p)).Complete)
	checkClean(w)
}

func TestPublishedVersionsAreToldOfOrDeleted(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	w.Publish("orders")
	w.Set("orders", "API_KEY", "canary-older")
	w.Publish("orders")
	w.Set("orders", "API_KEY", applytest.Canary)
	w.Publish("orders")
	w.Alias("orders", "live", "3")
	w.Alias("orders", "pinned", "1")
	p.Services[0].Aliases = []string{"live"}
	w.Must(p)
	w.Advance(24 * time.Hour)
	result := clean(w, options(w, p))
	require.True(t, result.Complete, "%+v", result.Steps)
	var remains []string
	for _, r := range result.Remains {
		assert.Equal(t, []string{"API_KEY"}, r.Holds)
		remains = append(remains, r.Subject[strings.LastIndexByte(r.Subject, ':')+1:]+": "+r.Why)
	}
	assert.Equal(t, []string{"1: alias pinned names it", "2: somebody may invoke it by its number", "3: somebody may invoke it by its number", "4: somebody may invoke it by its number"}, remains)

	o := options(w, p)
	o.Versions = true
	result = clean(w, o)
	require.True(t, result.Complete, "%+v", result.Steps)
	require.Len(t, result.Remains, 1)
	versions, err := w.Functions.ListVersionsByFunction(t.Context(), &lambda.ListVersionsByFunctionInput{FunctionName: aws.String("orders")})
	require.NoError(t, err)
	var numbers []string
	for _, v := range versions.Versions {
		numbers = append(numbers, *v.Version)
	}
	assert.Equal(t, []string{"$LATEST", "1", "5"}, numbers)
	assert.Equal(t, "5", w.AliasVersion("orders", "live"))
	assert.Equal(t, journal.Removed, w.State().Revisions["arn:aws:lambda:us-east-1:123456789012:function:orders:2"].Status)
}

func TestOldRevisionsAreDeregistered(t *testing.T) {
	for _, how := range []plan.How{plan.ByInjection, plan.ByReference} {
		t.Run(string(how), func(t *testing.T) {
			c := applytest.NewContainers(t)
			p, old := applytest.Web(c, how)
			older := c.Register("web", map[string]string{"API_KEY": "canary-older"}, nil)
			harmless := c.Register("web", map[string]string{"LOG_LEVEL": "debug"}, nil)
			used := c.Register("web", map[string]string{"API_KEY": "canary-used"}, nil)
			c.Start("second", used, false)
			c.Must(p)
			c.Advance(24 * time.Hour)
			o := options(c.World, p)
			o.DryRun = true
			require.True(t, clean(c.World, o).Complete)
			result := clean(c.World, options(c.World, p))
			require.True(t, result.Complete, "%+v", result.Steps)
			assert.Equal(t, []string{harmless, used, c.Running("web")}, c.Revisions("web"))
			require.Len(t, result.Remains, 1)
			assert.Equal(t, used, result.Remains[0].Subject)
			assert.Contains(t, result.Remains[0].Why, "service/main/second starts it")
			for _, arn := range []string{old, older} {
				assert.Equal(t, journal.Removed, c.State().Revisions[arn].Status)
			}
			_, environment, _ := c.Definition(c.Running("web"))
			assert.NotContains(t, environment, "API_KEY")
			assert.Equal(t, how == plan.ByReference, there(c.World, "/web/token"), "by reference nobody moved it")
			assert.Equal(t, journal.Cleaned, c.State().Services["ecs/main/web"].Status)
		})
	}
}

func TestDeletedParametersComeBack(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	_, err := w.Parameters.PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String("/mail/token"), Value: aws.String(applytest.Canary + "token"), Type: ssmtypes.ParameterTypeSecureString, KeyId: &w.KMSKey, Overwrite: aws.Bool(true),
		Description: aws.String("the token"), Tier: ssmtypes.ParameterTierAdvanced,
	})
	require.NoError(t, err)
	_, err = w.Parameters.AddTagsToResource(t.Context(), &ssm.AddTagsToResourceInput{
		ResourceType: ssmtypes.ResourceTypeForTaggingParameter, ResourceId: aws.String("/mail/token"), Tags: []ssmtypes.Tag{{Key: aws.String("Owner"), Value: aws.String("team")}},
	})
	require.NoError(t, err)
	w.Must(p)
	w.Advance(24 * time.Hour)
	result := clean(w, options(w, p))
	require.True(t, result.Complete)

	o := cleanup.RestoreOptions{Folder: w.Folder, Export: result.Export, DryRun: true, Now: w.Cloud.Clock().Now}
	back, err := cleanup.Restore(t.Context(), w.Config, o)
	require.NoError(t, err)
	assert.Equal(t, steps.Would, back.Steps[0].Outcome)
	assert.False(t, there(w, "/mail/token"))
	o.DryRun = false
	back, err = cleanup.Restore(t.Context(), w.Config, o)
	require.NoError(t, err)
	require.True(t, back.Complete, "%+v", back.Steps)
	out, err := w.Parameters.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/mail/token"), WithDecryption: aws.Bool(true)})
	require.NoError(t, err)
	assert.Equal(t, applytest.Canary+"token", *out.Parameter.Value)
	about, err := w.Parameters.DescribeParameters(t.Context(), &ssm.DescribeParametersInput{})
	require.NoError(t, err)
	assert.Equal(t, "the token", *about.Parameters[0].Description)
	assert.Equal(t, ssmtypes.ParameterTierAdvanced, about.Parameters[0].Tier)
	assert.Equal(t, w.KMSKey, *about.Parameters[0].KeyId)
	tags, err := w.Parameters.ListTagsForResource(t.Context(), &ssm.ListTagsForResourceInput{ResourceType: ssmtypes.ResourceTypeForTaggingParameter, ResourceId: aws.String("/mail/token")})
	require.NoError(t, err)
	assert.Len(t, tags.TagList, 1)

	back, err = cleanup.Restore(t.Context(), w.Config, o)
	require.NoError(t, err)
	assert.Equal(t, steps.Already, back.Steps[0].Outcome)
	w.Parameter("/mail/token", "canary-other")
	back, err = cleanup.Restore(t.Context(), w.Config, o)
	require.NoError(t, err)
	assert.Contains(t, failures(back)["/mail/token"], "has another value, which stays")
	assert.Equal(t, journal.Restored, w.State().Parameters["/mail/token"].Status)

	o.Only = []string{"/none"}
	_, err = cleanup.Restore(t.Context(), w.Config, o)
	require.ErrorContains(t, err, "no parameter /none")
}

func TestADamagedExportIsRefused(t *testing.T) {
	w, p := migrated(t)
	result := clean(w, options(w, p))
	path := filepath.Join(w.Folder, result.Export)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), `"/mail/token"`, `"/mail/other"`, 1)), 0o600))
	_, err = cleanup.Restore(t.Context(), w.Config, cleanup.RestoreOptions{Folder: w.Folder, Export: result.Export})
	require.ErrorContains(t, err, "damaged")
}

func TestAnExportIsKeptForItsTime(t *testing.T) {
	w, p := migrated(t)
	o := options(w, p)
	o.Keep = 48 * time.Hour
	export := filepath.Join(w.Folder, clean(w, o).Export)
	w.Advance(47 * time.Hour)
	clean(w, o)
	assert.FileExists(t, export)
	w.Advance(2 * time.Hour)
	result := clean(w, o)
	assert.NoFileExists(t, export)
	assert.Equal(t, "export", result.Steps[len(result.Steps)-1].Action)
}
