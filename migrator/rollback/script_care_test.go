package rollback_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/internal/applytest"
	"github.com/aistudio/secrets/migrator/plan"
)

// Lambda quotes the whole environment when it is over 4 KB, and the CLI what it
// can't parse: neither may be shown.
func TestTheScriptShowsNoErrorThatQuotesValues(t *testing.T) {
	t.Parallel()
	w := applytest.New(t)
	p := applytest.Small(w)
	o := w.Options()
	o.Mode, o.Only = plan.Final, []string{"lambda/mail"}
	require.True(t, w.Apply(p, o).Complete)
	s := newShell(w)
	s.spied(`case "$*" in *"update-function-configuration "*)
  echo "An error occurred (InvalidParameterValueException) when calling the UpdateFunctionConfiguration operation: exceeded the 4KB limit. String measured: $(cat)" >&2
  exit 254 ;; esac`)
	code, out := s.run("lambda/mail") // which fails if it shows a canary
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "the function could not be updated: AWS answered InvalidParameterValueException:")
	assert.NotContains(t, out, "measured")
}

// An environment that can't be decrypted comes without its variables. Written
// back, it would have lost them.
func TestTheScriptTakesAnUnreadableEnvironmentForNoEmptyOne(t *testing.T) {
	t.Parallel()
	w := applytest.New(t)
	w.Must(applytest.Small(w))
	before := w.Environment("orders")
	s := newShell(w)
	// What the query gives for {"Environment": {"Error": {"ErrorCode": "AccessDeniedException"}}}.
	s.spied(`case "$*" in *"get-function-configuration "*"--output text"*) printf 'r1\tSuccessful\tAccessDeniedException\t=\tNone\n'; exit ;; esac`)
	code, out := s.run("lambda/orders")
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "NOT brought back: its environment cannot be decrypted (AccessDeniedException)")
	assert.Equal(t, before, w.Environment("orders"))
}

func TestTheScriptKnowsWhatWasntSwitched(t *testing.T) {
	t.Parallel()
	w := applytest.New(t)
	w.Must(applytest.Small(w))
	s := newShell(w)
	code, out := s.run("-n", "lambda/orders", "lambda/order")
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "lambda/orders: ")
	assert.Contains(t, out, "lambda/order: NOT brought back: it is not among what the migration switched")
}

// Between its second and fourth step a rotation has changed the password, and
// the secret still has the old one as its current version.
func TestARotationThatIsUnderWayIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := applytest.New(t)
	w.Must(applytest.Small(w))
	const name = "acme/dev/orders/api-key"
	put, err := w.Secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(name), SecretString: aws.String("canary-pending"), VersionStages: []string{"AWSPENDING"},
	})
	require.NoError(t, err)
	code, out := newShell(w).run("lambda/orders")
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "a rotation of secret "+name+" is under way, or failed halfway")
	detail := failures(back(w, options(w)))["lambda/orders"]
	assert.Contains(t, detail, "a rotation of it is under way, or failed halfway")
	assert.Contains(t, detail, "--remove-from-version-id "+*put.VersionId)
	assert.Contains(t, w.Environment("orders"), "API_KEY_SECRET_ID")

	// What the message says helps.
	_, err = w.Secrets.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: aws.String(name), VersionStage: aws.String("AWSPENDING"), RemoveFromVersionId: put.VersionId,
	})
	require.NoError(t, err)
	code, out = newShell(w).run()
	require.Zero(t, code, out)
	must(w)
	checkOld(w)
}

func TestTheScriptSeesANewerRevision(t *testing.T) {
	t.Parallel()
	c := applytest.NewContainers(t)
	p, _ := applytest.Jobs(c, true)
	c.Must(p)
	newer := c.Register("job", map[string]string{"RELEASE": "2"}, nil)
	code, out := newShell(c.World).run("rule/nightly/t1")
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "it starts the newest revision, which is "+newer)
	_, err := c.Tasks.DeregisterTaskDefinition(t.Context(), &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &newer})
	require.NoError(t, err)
	code, out = newShell(c.World).run("rule/nightly/t1")
	require.Zero(t, code, out)
	info, err := os.Stat(filepath.Join(c.Folder, "rollback.sh"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// Scheduler refuses a start that is past, also the schedule's own.
func TestTheScriptAndASchedulesStart(t *testing.T) {
	if testing.Short() {
		t.Skip("the aws CLI takes its time")
	}
	t.Parallel()
	c := applytest.NewContainers(t)
	p, old := applytest.Jobs(c, false)
	c.Must(p)
	s := c.Scheduled()
	set := func(expression string) {
		begin := c.Cloud.Clock().Now().Add(time.Hour)
		_, err := c.Schedules.UpdateSchedule(t.Context(), &scheduler.UpdateScheduleInput{
			Name: s.Name, ScheduleExpression: &expression, FlexibleTimeWindow: s.FlexibleTimeWindow, Target: s.Target, State: s.State, StartDate: &begin,
		})
		require.NoError(t, err)
		c.Advance(8 * time.Hour)
	}
	set("rate(6 hours)")
	code, out := newShell(c.World).run("schedule/default/hourly")
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "AWS answered ValidationException: Scheduler refuses a StartDate that is past")
	set("cron(0 * * * ? *)")
	code, out = newShell(c.World).run("schedule/default/hourly")
	require.Zero(t, code, out)
	after := c.Scheduled()
	assert.Equal(t, old, *after.Target.EcsParameters.TaskDefinitionArn)
	assert.Nil(t, after.StartDate)
	assert.Equal(t, s.FlexibleTimeWindow, after.FlexibleTimeWindow)
}
