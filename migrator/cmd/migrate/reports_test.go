package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/apply"
	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/cleanup"
	"github.com/aistudio/secrets/migrator/inventory"
	"github.com/aistudio/secrets/migrator/plan"
)

// Reports from the field about other tools, each by what happened there.

// editPlan changes the plan's file as a person does.
func (w *world) editPlan(old, replacement string) {
	w.Helper()
	path := filepath.Join(w.folder(), "plan.yaml")
	text, err := os.ReadFile(path)
	require.NoError(w, err)
	require.Contains(w, string(text), old)
	require.NoError(w, os.WriteFile(path, []byte(strings.ReplaceAll(string(text), old, replacement)), 0o600))
}

func decode(text string, into any) error { return json.Unmarshal([]byte(text), into) }

func (w *world) value(name string) string {
	w.Helper()
	out, err := w.secrets.GetSecretValue(w.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
	require.NoError(w, err)
	return aws.ToString(out.SecretString)
}

func (w *world) revisions(family string) []string {
	w.Helper()
	out, err := w.ecs.ListTaskDefinitions(w.Context(), &ecs.ListTaskDefinitionsInput{FamilyPrefix: &family})
	require.NoError(w, err)
	return out.TaskDefinitionArns
}

// terraform-provider-aws#4467, #10259, #23998: a name that is scheduled for
// deletion can't be made again. Restoring it, or another name, is for people to
// choose: nothing is forced.
func TestANameScheduledForDeletionTf4467(t *testing.T) {
	w := newWorld(t)
	value := w.canary()
	w.function(function{name: "orders", environment: map[string]string{"PARTNER_API_KEY": value}})
	const name = "acme/dev/orders/partner-api-key"
	w.secret(name, w.canary(), nil)
	_, err := w.secrets.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(name)})
	require.NoError(t, err)
	w.advance(minute)
	var p plan.Plan
	w.want(exitFindings, &p, "plan", stack)
	require.Len(t, p.Blocked, 1)
	assert.Equal(t, plan.ScheduledForDeletion, p.Blocked[0].Code)
	assert.Contains(t, p.Blocked[0].Remedy, "estore")
	code, _, _ := w.migrate("apply", stack, "--yes")
	assert.NotEqual(t, exitDone, code)
	described, err := w.secrets.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(name)})
	require.NoError(t, err)
	assert.NotNil(t, described.DeletedDate, "it was restored by force")

	w.editPlan(name, "acme/dev/orders/partner-key-2")
	w.want(exitDone, nil, "plan", stack)
	w.want(exitDone, nil, "apply", stack, "--yes")
	assert.Equal(t, value, w.value("acme/dev/orders/partner-key-2"))
	require.NoError(t, w.ask("orders", map[string]string{"PARTNER_API_KEY": value}))
	w.noCanaries()
}

// secrets-init#18, chamber: values were trimmed or encoded anew.
func TestValuesStayByteForByteSecretsInit18(t *testing.T) {
	w := newWorld(t)
	values := map[string]string{}
	for i, odd := range []string{" %s", "%s\n", "\t%s \n\n", `"%s"`, `\n%s\\`, "%s@/!#$%%&+", "ß🔑%s\u00a0", "{ \"password\" : \"%s\" }"} {
		values["API_KEY_"+string(rune('A'+i))] = w.plant(strings.Replace(odd, "%s", w.canary(), 1))
	}
	w.function(function{name: "odd", environment: values})
	w.advance(minute)
	var p plan.Plan
	w.want(exitDone, &p, "plan", stack)
	w.want(exitDone, nil, "apply", stack, "--yes")
	require.Len(t, p.Services, 1)
	require.Len(t, p.Services[0].Variables, len(values))
	for _, v := range p.Services[0].Variables {
		assert.Equal(t, values[v.Name], w.value(v.Secret), "%q", v.Name)
	}
	require.NoError(t, w.ask("odd", values))
	w.noCanaries()
}

// prowler#559, trivy#2722: revisions that nothing runs any more go on holding
// plaintext, until they are deregistered.
func TestOldRevisionsAreReportedProwler559(t *testing.T) {
	w := newWorld(t)
	w.service(task{name: "web", environment: map[string]string{"SESSION_SECRET": w.canary()}})
	role := "arn:aws:iam::" + w.cloud.Account() + ":role/task-web"
	w.revision(task{name: "web", environment: map[string]string{"SESSION_SECRET": w.canary()}}, role)
	w.advance(minute)
	w.want(exitDone, nil, "plan", stack)
	w.want(exitDone, nil, "apply", stack, "--yes")
	plaintext := func() (arns []string) {
		var found inventory.Inventory
		code, stdout, _ := w.migrate("discover", stack, "--json")
		require.Contains(t, []int{exitDone, exitFindings}, code)
		require.NoError(t, decode(stdout, &found))
		for _, item := range found.Items {
			if item.Secret {
				arns = append(arns, item.Name)
			}
		}
		return arns
	}
	assert.Equal(t, []string{"web:1", "web:2"}, plaintext())
	w.want(exitDone, nil, "validate", stack, "--soak", "0")
	var end cleanup.Result
	w.want(exitDone, &end, "cleanup", stack, "--soak", "0", "--yes")
	left := plaintext()
	assert.NotContains(t, left, "web:1")
	for _, name := range left { // a value that the migration doesn't know stays, and is told
		assert.Contains(t, end.Remains[0].Subject, name)
	}
}

// community.aws#830, lambda-action#46: a function that is being updated refuses
// the next update; waiting for it has an end.
func TestAnUpdateInProgressIsWaitedForAws830(t *testing.T) {
	w := newWorld(t)
	value := w.canary()
	w.function(function{name: "orders", environment: map[string]string{"PARTNER_API_KEY": value}})
	w.advance(minute)
	w.want(exitDone, nil, "plan", stack)
	_, err := w.lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: aws.String("orders"), ZipFile: zipped(t, script(t, "service"))})
	require.NoError(t, err)
	w.want(exitDone, nil, "apply", stack, "--yes")
	require.NoError(t, w.ask("orders", map[string]string{"PARTNER_API_KEY": value}))
}

// ecs_composex#707, dagster#11622: ECS refuses a name that is in environment and
// in secrets.
func TestOneRevisionMovesTheNameComposex707(t *testing.T) {
	w := newWorld(t)
	w.service(task{name: "web", environment: map[string]string{"SESSION_SECRET": w.canary(), "LOG_LEVEL": "info"}})
	w.advance(minute)
	w.want(exitDone, nil, "plan", stack)
	w.want(exitDone, nil, "apply", stack, "--yes")
	assert.Len(t, w.revisions("web"), 2, "one revision removes and adds")
	app := w.runs("web")[0]
	require.Len(t, app.Environment, 1)
	assert.Equal(t, "LOG_LEVEL", *app.Environment[0].Name)
	require.Len(t, app.Secrets, 1)
	assert.Equal(t, "SESSION_SECRET", *app.Secrets[0].Name)
}

// containers-roadmap#2224, ecspresso#532: tasks fail at their start where a JSON
// key isn't in the secret. It is proved before a revision is registered.
func TestAJSONKeyIsProvedRoadmap2224(t *testing.T) {
	w := newWorld(t)
	w.service(task{name: "web", environment: map[string]string{
		"DB_HOST": "db.dev.acme.internal", "DB_PORT": "5432", "DB_NAME": "web", "DB_USER": "web", "DB_PASSWORD": w.canary(),
	}})
	w.advance(minute)
	var p plan.Plan
	w.want(exitDone, &p, "plan", stack)
	w.editPlan("        secret: acme/dev/web/database\n        field: password\n", "        secret: acme/dev/web/database\n        field: passphrase\n")
	code, stdout, stderr := w.migrate("apply", stack, "--yes")
	assert.NotEqual(t, exitDone, code)
	assert.Contains(t, stdout+stderr, "passphrase")
	assert.Len(t, w.revisions("web"), 1)
	assert.Len(t, w.runs("web")[0].Environment, 5)
	w.noCanaries()
}

// terraform#4663: the next run of the tool that owns a resource undoes what was
// edited beside it.
func TestAToolsResourceIsNotEditedTerraform4663(t *testing.T) {
	w := newWorld(t)
	w.function(function{name: "owned", environment: map[string]string{"PARTNER_API_KEY": w.canary()}, tags: map[string]string{"ManagedBy": "terraform"}})
	w.function(function{name: "free", environment: map[string]string{"OTHER_API_KEY": w.canary()}})
	w.service(task{name: "web", environment: map[string]string{"SESSION_SECRET": w.canary()}, tags: map[string]string{"terraform": "true"}, controller: ecstypes.DeploymentControllerTypeEcs})
	w.advance(minute)
	before := []any{w.environment("owned"), w.runs("web")}
	var p plan.Plan
	w.want(exitFindings, &p, "plan", stack)
	require.Len(t, p.Blocked, 2)
	for _, b := range p.Blocked {
		assert.Equal(t, plan.OwnedByTool, b.Code)
		assert.Contains(t, b.Patch, "acme/dev/", "the patch names the secret")
	}
	var done apply.Result
	code, stdout, _ := w.migrate("apply", stack, "--yes", "--json")
	assert.Contains(t, []int{exitDone, exitFindings}, code)
	require.NoError(t, decode(stdout, &done))
	assert.Equal(t, before, []any{w.environment("owned"), w.runs("web")})
	assert.Contains(t, w.environment("free"), "OTHER_API_KEY_SECRET_ID", "the rest isn't held up")
	for _, s := range done.Steps {
		if s.Subject == "lambda/owned" {
			assert.NotEqual(t, steps.Done, s.Outcome)
		}
	}
	w.noCanaries()
}
