package validate_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/validate"
	"github.com/aistudio/secrets/sdk/spec"
)

func TestAMigrationThatWorked(t *testing.T) {
	w := newWorld(t)
	var steps []int
	w.options.Progress = func(done, total int) {
		steps = append(steps, done)
		assert.Equal(t, 4, total)
	}
	report := w.validate()
	assert.True(t, report.Valid(), "%+v", report.Checks)
	assert.Equal(t, []int{1, 2, 3, 4}, steps)
	w.answers(validate.Exists, tokenName, validate.Pass, "")
	w.answers(validate.Equal, tokenName, validate.Pass, "2 old places hold the same, 0 are gone")
	w.answers(validate.Equal, databaseName, validate.Pass, "1 old places")
	for _, service := range []string{"lambda/billing", "ecs/shop/web"} {
		w.answers(validate.Switched, service, validate.Pass, "1 variables")
		w.answers(validate.MayRead, service, validate.Pass, "SimulatePrincipalPolicy")
		w.answers(validate.Reads, service, validate.Pass, "sts:AssumeRole of the role and a read as it")
		w.answers(validate.Healthy, service, validate.Pass, "")
	}
	w.answers(validate.Keys, "ecs/shop/web", validate.Pass, "1 keys are there")
	assert.Empty(t, w.cloud.Unsupported())
}

func TestTheSoakTime(t *testing.T) {
	w := newWorld(t)
	w.options.Soak = -1
	report := w.validate()
	assert.Equal(t, validate.DefaultSoak, report.Soak)
	w.answers(validate.Soaked, "lambda/billing", validate.Unknown, "the soak time is 24h0m0s")
	w.answers(validate.Soaked, "ecs/shop/web", validate.Unknown, "the soak time is 24h0m0s")

	w.advance(24 * time.Hour)
	w.validate()
	w.answers(validate.Soaked, "ecs/shop/web", validate.Pass, "switched at")
	w.answers(validate.Soaked, "lambda/billing", validate.Unknown, "sent no counter")

	w.sends(map[string]float64{spec.MetricDualReadNew: 9, spec.MetricDualReadCompared: 1})
	w.advance(time.Minute)
	assert.True(t, w.validate().Valid())
	w.answers(validate.Soaked, "lambda/billing", validate.Pass, "9 reads from Secrets Manager, 0 from the old places, 0 from none; 1 compared, 0 different")

	// A fallback fails at once, and until the soak time is over without another.
	for _, bad := range []string{spec.MetricDualReadOld, spec.MetricDualReadFailed, spec.MetricDualReadDiffer} {
		w.sends(map[string]float64{bad: 1})
		w.advance(time.Minute)
		assert.False(t, w.validate().Valid())
		w.answers(validate.Soaked, "lambda/billing", validate.Fail, "")
		w.advance(25 * time.Hour)
		w.sends(map[string]float64{spec.MetricDualReadNew: 1})
		w.advance(time.Minute)
		w.validate()
		w.answers(validate.Soaked, "lambda/billing", validate.Pass, "1 reads from Secrets Manager, 0 from")
	}

	// The journal knows better than AWS's last change when it was switched.
	now := w.last.Finished
	w.options.Switched = map[string]time.Time{"lambda/billing": now.Add(-time.Hour), "ecs/shop/web": now.Add(-2 * time.Hour)}
	report = w.validate()
	w.answers(validate.Soaked, "lambda/billing", validate.Unknown, "switched 1h0m0s ago")
	assert.Equal(t, now.Add(-time.Hour), report.Switched)
}

func TestASecretThatIsWrong(t *testing.T) {
	w := newWorld(t)
	_, err := w.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String(tokenName), SecretString: aws.String("another")})
	require.NoError(t, err)
	_, err = w.secrets.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String(databaseName)})
	require.NoError(t, err)
	assert.False(t, w.validate().Valid())
	w.answers(validate.Equal, tokenName, validate.Fail, "the secret holds something else")
	w.answers(validate.Exists, databaseName, validate.Fail, "scheduled for deletion")
	w.answers(validate.Keys, "ecs/shop/web", validate.Unknown, databaseName)
}

func TestAnOldPlaceThatChangedOrIsGone(t *testing.T) {
	w := newWorld(t)
	_, err := ssm.NewFromConfig(w.config).DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: aws.String("/billing/token")})
	require.NoError(t, err)
	w.validate()
	w.answers(validate.Equal, tokenName, validate.Pass, "1 old places hold the same, 1 are gone")
	w.environment(map[string]string{"PARTNER_TOKEN": "another", "PARTNER_TOKEN_SECRET_ID": tokenName})
	w.validate()
	w.answers(validate.Equal, tokenName, validate.Fail, "PARTNER_TOKEN of function billing")
	w.environment(map[string]string{"PARTNER_TOKEN_SECRET_ID": tokenName})
	w.validate()
	w.answers(validate.Equal, tokenName, validate.Pass, "0 old places hold the same, 2 are gone")
}

func TestAServiceThatIsNotSwitched(t *testing.T) {
	w := newWorld(t)
	w.environment(map[string]string{"PARTNER_TOKEN": token, "PARTNER_TOKEN_SECRET_ID": tokenName + "#field"})
	w.deploy(w.register(map[string]string{"DB_PASSWORD": password}, nil))
	w.advance(time.Minute)
	w.validate()
	w.answers(validate.Switched, "lambda/billing", validate.Fail, "another reference than planned in PARTNER_TOKEN_SECRET_ID")
	w.answers(validate.Switched, "ecs/shop/web", validate.Fail, "no reference in app/DB_PASSWORD")

	w.options.Plan.Blocked = []plan.Block{{Code: "managed", Subject: "lambda/billing", Problem: "Terraform owns it.", Remedy: "Apply the patch there."}}
	w.validate()
	w.answers(validate.Switched, "lambda/billing", validate.Fail, "managed: Terraform owns it.")

	// What a person left out isn't looked at.
	w.options.Plan.Blocked = nil
	w.options.Plan.Services[0].Skip = "it is switched off"
	w.options.Plan.Secrets[1].Skip = "it isn't used"
	report := w.validate()
	assert.Len(t, report.Checks, 2, "%+v", report.Checks) // of the token
	assert.True(t, report.Valid())
}

func TestAnAliasOfAnOldVersion(t *testing.T) {
	w := newWorld(t)
	w.environment(map[string]string{"PARTNER_TOKEN": token})
	w.publish("live")
	w.environment(map[string]string{"PARTNER_TOKEN": token, "PARTNER_TOKEN_SECRET_ID": tokenName})
	w.options.Plan.Services[0].Aliases = []string{"live"}
	w.validate()
	w.answers(validate.Switched, "lambda/billing", validate.Fail, "no reference in PARTNER_TOKEN_SECRET_ID")
}

func (w *world) publish(alias string) {
	w.Helper()
	published, err := w.lambda.PublishVersion(w.Context(), &lambda.PublishVersionInput{FunctionName: aws.String("billing")})
	require.NoError(w, err)
	_, err = w.lambda.CreateAlias(w.Context(), &lambda.CreateAliasInput{FunctionName: aws.String("billing"), Name: &alias, FunctionVersion: published.Version})
	require.NoError(w, err)
	w.advance(time.Minute)
}

func TestARoleThatMayNotRead(t *testing.T) {
	w := newWorld(t)
	w.allow("billing", `"logs:PutLogEvents"`)
	w.validate()
	w.answers(validate.MayRead, "lambda/billing", validate.Fail, "don't allow secretsmanager:GetSecretValue on "+tokenName)
	w.answers(validate.Reads, "lambda/billing", validate.Fail, "it can't read "+tokenName+": AccessDeniedException")

	// The secret's own policy may let it in.
	_, err := w.secrets.PutResourcePolicy(t.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: aws.String(tokenName), ResourcePolicy: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + w.roleARN("billing") + `"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}}`)})
	require.NoError(t, err)
	w.validate()
	w.answers(validate.MayRead, "lambda/billing", validate.Pass, "")
	w.answers(validate.Reads, "lambda/billing", validate.Pass, "")

	_, err = iam.NewFromConfig(w.config).PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("billing"), PolicyName: aws.String("deny"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"secretsmanager:*","Resource":"*"}}`)})
	require.NoError(t, err)
	w.validate()
	w.answers(validate.MayRead, "lambda/billing", validate.Fail, "deny secretsmanager:GetSecretValue on "+tokenName)
}

// Where the role can't be taken on, the tasks that run and the trail tell.
func TestARoleThatCantBeTakenOn(t *testing.T) {
	w := newWorld(t)
	session := w.sessionOf("billing")
	w.closed("billing")
	w.closed("web")
	w.become(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)
	w.validate()
	w.answers(validate.Reads, "ecs/shop/web", validate.Pass, "ECS, which read it before it started the tasks")
	w.answers(validate.Reads, "lambda/billing", validate.Unknown, "no such read in the last 14 days")
	assert.Contains(t, w.check(validate.Reads, "lambda/billing").How, "AccessDenied")

	_, err := secretsmanager.NewFromConfig(session).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(w.arns[tokenName])})
	require.NoError(t, err)
	w.advance(15 * time.Minute)
	w.validate()
	w.answers(validate.Reads, "lambda/billing", validate.Pass, "CloudTrail, which saw the role read it")

	// A read before the service was switched, for the last time, proves nothing.
	w.options.Switched["lambda/billing"] = w.cloud.Clock().Now()
	w.validate()
	w.answers(validate.Reads, "lambda/billing", validate.Unknown, "since the service was switched")
}

func TestAServiceThatIsNotHealthy(t *testing.T) {
	w := newWorld(t)
	w.fails()
	w.validate()
	w.answers(validate.Healthy, "lambda/billing", validate.Fail, "1 of 1 invocations failed, before 0 of 0")

	// As it always was.
	w.advance(time.Minute)
	w.options.Switched["lambda/billing"] = w.cloud.Clock().Now()
	w.advance(time.Minute)
	w.fails()
	w.validate()
	w.answers(validate.Healthy, "lambda/billing", validate.Pass, "1 of 1 invocations failed, before 1 of 1")

	// A key that isn't there: the new tasks fail, the old ones go on.
	w.deploy(w.register(nil, map[string]string{"DB_PASSWORD": w.arns[databaseName] + ":passphrase::"}))
	w.validate()
	w.answers(validate.Healthy, "ecs/shop/web", validate.Unknown, "a deployment is in progress")
	w.advance(2 * time.Minute)
	w.options.Plan.Services[1].Variables[0].Field = "passphrase"
	w.validate()
	w.answers(validate.Healthy, "ecs/shop/web", validate.Fail, "tasks failed to start")
	w.answers(validate.Keys, "ecs/shop/web", validate.Fail, databaseName+"#passphrase")
}

// What can't be read is unknown, and nothing that is unknown is valid.
func TestWhatCantBeRead(t *testing.T) {
	w := newWorld(t)
	w.options.Soak = -1
	w.advance(25 * time.Hour)
	w.become(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["secretsmanager:DescribeSecret","secretsmanager:GetSecretValue","lambda:GetFunctionConfiguration"],"Resource":"*"}}`)
	assert.False(t, w.validate().Valid())
	w.answers(validate.Equal, tokenName, validate.Unknown, "parameter /billing/token (AccessDeniedException)")
	w.answers(validate.MayRead, "lambda/billing", validate.Unknown, "can't simulate")
	w.answers(validate.Healthy, "lambda/billing", validate.Unknown, "its errors can't be read")
	w.answers(validate.Soaked, "lambda/billing", validate.Unknown, "its counters can't be read: AccessDenied")
	w.answers(validate.Reads, "lambda/billing", validate.Unknown, "sts:AssumeRole of the role (AccessDenied) and CloudTrail's event history (it can't be read: AccessDeniedException)")
	w.answers(validate.Switched, "ecs/shop/web", validate.Unknown, "AccessDenied")
}

func TestOnlyAPart(t *testing.T) {
	w := newWorld(t)
	w.options.Only = []string{"lambda/billing"}
	report := w.validate()
	assert.Equal(t, len(report.Checks), report.Count(validate.Pass))
	assert.False(t, report.Valid(), "it isn't the whole plan")
	assert.Contains(t, report.Summary(), "What was looked at is valid")

	w.options.Only = []string{"lambda/none"}
	_, err := validate.Run(t.Context(), w.config, w.options)
	require.ErrorContains(t, err, "the plan has no service lambda/none")
	w.options.Only = nil
	w.options.Plan.Account = "210987654321"
	_, err = validate.Run(t.Context(), w.config, w.options)
	require.ErrorContains(t, err, "the plan is for account 210987654321")
}

func TestTheReportIsKept(t *testing.T) {
	w := newWorld(t)
	folder := filepath.Join(t.TempDir(), "migration")
	_, err := validate.Load(folder)
	require.ErrorIs(t, err, fs.ErrNotExist)
	report := w.validate()
	require.NoError(t, report.Save(folder))
	again, err := validate.Load(folder)
	require.NoError(t, err)
	assert.Equal(t, report, again)
	page, err := os.ReadFile(filepath.Join(folder, "validation.md"))
	require.NoError(t, err)
	assert.Contains(t, string(page), "| lambda/billing | healthy | pass |")
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, entries, 2)
	info, err := entries[0].Info()
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, os.WriteFile(filepath.Join(folder, "validation.json"), []byte(`{"version":9}`), 0o600))
	_, err = validate.Load(folder)
	assert.ErrorContains(t, err, "validate again")
}
