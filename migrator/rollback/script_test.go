package rollback_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/internal/applytest"
	"github.com/aistudio/secrets/migrator/plan"
)

// shell is a bash that runs the migration's script with the aws CLI against the
// local cloud, whose clock goes on meanwhile.
type shell struct {
	*applytest.World
	environment []string
}

func newShell(w *applytest.World) *shell {
	w.Helper()
	if testing.Short() {
		w.Skip("the aws CLI takes its time")
	}
	for _, program := range []string{"bash", "aws"} {
		if _, err := exec.LookPath(program); err != nil {
			w.Skipf("no %s on this machine: the script was not run", program)
		}
	}
	home := w.TempDir()
	return &shell{w, []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "AWS_CONFIG_FILE=" + filepath.Join(home, "none"), "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ENDPOINT_URL=" + w.Cloud.URL(), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_MAX_ATTEMPTS=1",
		"PYENV_ROOT=" + os.Getenv("PYENV_ROOT"), "PYENV_VERSION=" + os.Getenv("PYENV_VERSION"),
	}}
}

// run runs the script and returns its exit code and all that it wrote.
func (s *shell) run(arguments ...string) (int, string) {
	s.Helper()
	script := filepath.Join(s.Folder, "rollback.sh")
	command := exec.CommandContext(s.Context(), "bash", append([]string{script}, arguments...)...)
	command.Env = s.environment
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	go func() {
		for ctx.Err() == nil && s.Cloud.Advance(ctx, 5*time.Second) == nil {
			time.Sleep(20 * time.Millisecond) // of real time: the CLI runs in it
		}
	}()
	err := command.Run()
	if exit := (*exec.ExitError)(nil); err != nil {
		require.ErrorAs(s, err, &exit, out.String())
	}
	assert.NotContains(s, out.String(), "canary")
	return command.ProcessState.ExitCode(), out.String()
}

// spied puts an aws before the CLI that notes its arguments, as ps would show
// them, and may do something before it calls it.
func (s *shell) spied(before string) (arguments func() string) {
	s.Helper()
	folder := s.TempDir()
	log := filepath.Join(folder, "arguments")
	aws, err := exec.LookPath("aws")
	require.NoError(s, err)
	text := "#!/bin/sh\nprintf '%s\\n' \"$*\" >>" + log + "\n" + before + "\nexec " + aws + " \"$@\"\n"
	require.NoError(s, os.WriteFile(filepath.Join(folder, "aws"), []byte(text), 0o700))
	s.environment = append(s.environment, "PATH="+folder+":"+os.Getenv("PATH"))
	return func() string {
		text, err := os.ReadFile(log)
		require.NoError(s, err)
		return string(text)
	}
}

// One function is in dual-read mode and has an alias; the other is in final mode.
func TestTheScriptBringsFunctionsBack(t *testing.T) {
	t.Parallel()
	w := applytest.New(t)
	p := applytest.Small(w)
	w.Publish("orders")
	w.Alias("orders", "live", "1")
	p.Services[0].Aliases = []string{"live"}
	w.Must(p)
	final := w.Options()
	final.Mode, final.Only = plan.Final, []string{"lambda/mail"}
	require.True(t, w.Apply(p, final).Complete)
	w.Set("orders", "RELEASE", "7 \"quoted\" \\ ü")
	s := newShell(w)
	arguments := s.spied("")
	switched := w.Environment("mail")
	require.NotContains(t, switched, "DB_PASSWORD")
	code, out := s.run("-n", "lambda/mail")
	require.Zero(t, code, out)
	assert.Equal(t, "lambda/mail: 6 variables go back\n", out)
	assert.Equal(t, switched, w.Environment("mail"), "-n changes nothing")

	code, out = s.run()
	require.Zero(t, code, out)
	assert.Contains(t, out, "lambda/orders: alias live goes back to version 1")
	assert.Contains(t, out, "lambda/mail: back at its old values")
	assert.Equal(t, map[string]string{"API_KEY": applytest.Canary, "LOG_LEVEL": "info", "RELEASE": "7 \"quoted\" \\ ü"}, w.Environment("orders"))
	assert.Equal(t, map[string]string{"DB_USER": "mail", "DB_PASSWORD": applytest.Password, "TOKEN_PARAM": "/mail/token"}, w.Environment("mail"))
	assert.Equal(t, "1", w.AliasVersion("orders", "live"))
	assert.NotContains(t, arguments(), "canary")

	code, out = s.run("lambda/mail")
	require.Zero(t, code, out)
	assert.Equal(t, "lambda/mail: is at its old values\n", out)

	must(w) // the migrator's own completes it
	assert.Empty(t, w.InlinePolicies())
}

func TestTheScriptRefuses(t *testing.T) {
	t.Parallel()
	w := applytest.New(t)
	w.Must(applytest.Small(w))
	_, err := w.Secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("acme/dev/orders/api-key"), SecretString: aws.String("canary-rotated")})
	require.NoError(t, err)
	w.Set("mail", "DB_USER_SECRET_ID", "another/secret")
	code, out := newShell(w).run()
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "lambda/orders: NOT brought back: secret acme/dev/orders/api-key was rotated or changed")
	assert.Contains(t, out, "lambda/mail: NOT brought back: variable DB_USER_SECRET_ID names another secret")
	assert.Contains(t, w.Environment("orders"), "API_KEY_SECRET_ID")
	assert.Contains(t, w.Environment("mail"), "DB_PASSWORD_SECRET_ID")
}

// An alias that divides its traffic is somebody's deployment.
func TestTheScriptLeavesADividedAliasAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("the aws CLI takes its time")
	}
	t.Parallel()
	w := applytest.New(t)
	p := applytest.Small(w)
	w.Publish("orders")
	w.Alias("orders", "live", "1")
	p.Services[0].Aliases = []string{"live"}
	w.Must(p)
	w.Set("orders", "RELEASE", "7")
	w.Publish("orders")
	_, err := w.Functions.UpdateAlias(t.Context(), &lambda.UpdateAliasInput{
		FunctionName: aws.String("orders"), Name: aws.String("live"), RoutingConfig: &lambdatypes.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"3": 0.1}},
	})
	require.NoError(t, err)
	code, out := newShell(w).run("lambda/orders")
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "lambda/orders: NOT brought back: its alias live divides its traffic")
	assert.Equal(t, "2", w.AliasVersion("orders", "live"))
	assert.Contains(t, w.Environment("orders"), "API_KEY_SECRET_ID")
}

// An edit between the script's look and its change is refused by Lambda.
func TestTheScriptOverwritesNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("the aws CLI takes its time")
	}
	t.Parallel()
	w := applytest.New(t)
	w.Must(applytest.Small(w))
	s := newShell(w)
	edit := filepath.Join(t.TempDir(), "edited")
	program, err := exec.LookPath("aws")
	require.NoError(t, err)
	// Somebody describes the function anew, right before the script's own update.
	s.spied(`case "$*" in *"update-function-configuration --function-name"*"--environment"*)
  if [ ! -e ` + edit + ` ]; then touch ` + edit + `
    ` + program + ` --region us-east-1 lambda update-function-configuration --function-name orders --description edited >/dev/null 2>&1
    ` + program + ` --region us-east-1 lambda wait function-updated --function-name orders
  fi ;; esac`)
	code, out := s.run("lambda/orders")
	assert.Equal(t, 1, code, out)
	assert.Contains(t, out, "run again")
	assert.Contains(t, w.Environment("orders"), "API_KEY_SECRET_ID")
	code, out = s.run("lambda/orders")
	require.Zero(t, code, out)
	config, err := w.Functions.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("orders")})
	require.NoError(t, err)
	assert.Equal(t, "edited", *config.Description)
	assert.NotContains(t, config.Environment.Variables, "API_KEY_SECRET_ID")
}

func TestTheScriptBringsTasksBack(t *testing.T) {
	if testing.Short() {
		t.Skip("the aws CLI takes its time")
	}
	t.Parallel()
	c := applytest.NewContainers(t)
	p, old := applytest.Web(c, plan.ByInjection)
	jobs, oldJob := applytest.Jobs(c, false)
	before, scheduled := c.RuleTarget(), c.Scheduled()
	p.Secrets = append(p.Secrets, jobs.Secrets...)
	p.Services = append(p.Services, jobs.Services...)
	p.Grants[0] = c.Plan(p.Secrets, nil).Grants[0]
	c.Must(p)
	require.NotEqual(t, old, c.Running("web"))
	s := newShell(c.World)
	code, out := s.run()
	require.Zero(t, code, out)
	assert.Equal(t, old, c.Running("web"))
	assert.Equal(t, before, c.RuleTarget())
	after := c.Scheduled()
	after.LastModificationDate, after.ResultMetadata = scheduled.LastModificationDate, scheduled.ResultMetadata
	assert.Equal(t, scheduled, after)
	assert.Equal(t, oldJob, *after.Target.EcsParameters.TaskDefinitionArn)
	code, out = s.run()
	require.Zero(t, code, out)
	assert.NotContains(t, out, "goes back")

	other := c.Register("web", map[string]string{"RELEASE": "2"}, nil)
	c.Deploy("web", other)
	code, out = s.run("ecs/main/web")
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "runs "+other+", which somebody else deployed since")
}

func TestTheScriptBringsWhatStartsTheNewestRevisionBack(t *testing.T) {
	if testing.Short() {
		t.Skip("the aws CLI takes its time")
	}
	t.Parallel()
	c := applytest.NewContainers(t)
	p, old := applytest.Jobs(c, true)
	c.Must(p)
	code, out := newShell(c.World).run()
	require.Zero(t, code, out)
	assert.Equal(t, []string{old}, c.Revisions("job"))
	must(c.World)
}

// The script is bash as old as macOS's, by what can be told without one: no
// associative arrays, no case changes, no nameref.
func TestTheScriptIsOldBash(t *testing.T) {
	text, err := os.ReadFile("script/rollback.sh")
	require.NoError(t, err)
	for _, newer := range []string{"declare -A", "local -n", "mapfile", "readarray", "${1^", "${1,", "&>>", "|&", "jq ", "python"} {
		assert.False(t, strings.Contains(string(text), newer), newer)
	}
}
