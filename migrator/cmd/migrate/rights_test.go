package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secretstypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// page is docs/migrating.md.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "migrating.md"))
	require.NoError(t, err)
	return string(text)
}

type statement = map[string]any

// rights are the statements of the policy in the page.
func rights(t *testing.T) []statement {
	t.Helper()
	_, rest, found := strings.Cut(page(t), "```json\n")
	require.True(t, found)
	text, _, _ := strings.Cut(rest, "```")
	var policy struct{ Statement []statement }
	require.NoError(t, json.Unmarshal([]byte(text), &policy))
	return policy.Statement
}

// become makes the commands those of a role with these statements.
func (w *world) become(statements []statement) {
	w.Helper()
	policy, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	require.NoError(w, err)
	const role = "migrator"
	_, err = w.roles.CreateRole(w.Context(), &iam.CreateRoleInput{
		RoleName:                 aws.String(role),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + w.cloud.Account() + `"},"Action":"sts:AssumeRole"}]}`),
		MaxSessionDuration:       aws.Int32(12 * 3600),
	})
	if exists := smithy.APIError(nil); !errors.As(err, &exists) || exists.ErrorCode() != "EntityAlreadyExists" {
		require.NoError(w, err)
	}
	_, err = w.roles.PutRolePolicy(w.Context(), &iam.PutRolePolicyInput{RoleName: aws.String(role), PolicyName: aws.String("rights"), PolicyDocument: aws.String(string(policy))})
	require.NoError(w, err)
	w.renew()
}

// renew takes the role on, for as long as possible.
func (w *world) renew() {
	w.Helper()
	session, err := sts.NewFromConfig(w.cloud.Config(region)).AssumeRole(w.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::" + w.cloud.Account() + ":role/migrator"), RoleSessionName: aws.String("ann"), DurationSeconds: aws.Int32(12 * 3600),
	})
	require.NoError(w, err)
	w.Setenv("AWS_ACCESS_KEY_ID", *session.Credentials.AccessKeyId)
	w.Setenv("AWS_SECRET_ACCESS_KEY", *session.Credentials.SecretAccessKey)
	w.Setenv("AWS_SESSION_TOKEN", *session.Credentials.SessionToken)
}

// The page tells what to do about every block that a plan can have.
func TestThePageKnowsAllBlocks(t *testing.T) {
	source, err := os.ReadFile(filepath.Join("..", "..", "plan", "block.go"))
	require.NoError(t, err)
	codes := regexp.MustCompile(`(?m)^\t[A-Z]\w+ += "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(codes), 15)
	text := page(t)
	for _, code := range codes {
		assert.Contains(t, text, "`"+code[1]+"`")
	}
}

// small is an estate with one thing of each kind.
func (w *world) small() {
	w.Helper()
	w.function(function{name: "orders", environment: map[string]string{"DB_HOST": "db", "DB_USER": "orders", "DB_PASSWORD": w.plant("canary-orders-4c1f9a77")}})
	w.advance(minute)
	w.publish("orders", "live")
	w.parameter("/billing/api/key", w.plant("canary-billing-77aa13c0"), ssmtypes.ParameterTypeSecureString)
	_, err := w.parameters.AddTagsToResource(w.Context(), &ssm.AddTagsToResourceInput{
		ResourceType: ssmtypes.ResourceTypeForTaggingParameter, ResourceId: aws.String("/billing/api/key"), Tags: []ssmtypes.Tag{{Key: aws.String("Owner"), Value: aws.String("team-billing")}},
	})
	require.NoError(w, err)
	// Its secret is there, without a value.
	_, err = w.secrets.CreateSecret(w.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("acme/dev/billing/api-key"), Tags: []secretstypes.Tag{{Key: aws.String("ManagedBy"), Value: aws.String("pulumi")}},
	})
	require.NoError(w, err)
	w.function(function{name: "billing", environment: map[string]string{"API_KEY": "canary-billing-77aa13c0"}})
	w.service(task{name: "web", environment: map[string]string{"SESSION_SECRET": w.plant("canary-web-0e5b8d21aa94")}})
	w.scheduledTasks()
	_, err = s3.NewFromConfig(w.cloud.Config(region)).CreateBucket(w.Context(), &s3.CreateBucketInput{Bucket: aws.String("acme-dev-audit-" + w.cloud.Account())})
	require.NoError(w, err)
	w.write("migration.dev.yaml", "aliases:\n  lambda/orders: [live]\nservices:\n  parameter:/billing/**: billing\n")
	w.advance(2 * minute)
}

// used has everything read its secrets once, as users and the clock do.
func (w *world) used() error {
	for name, values := range map[string]map[string]string{
		"orders:live": {"DB_PASSWORD": "canary-orders-4c1f9a77"}, "billing": {"API_KEY": "canary-billing-77aa13c0"},
	} {
		if err := w.ask(name, values); err != nil {
			return err
		}
	}
	w.starts("task-nightly", "acme/dev/nightly/export-password")
	w.starts("task-weekly", "acme/dev/weekly/report-token")
	w.advance(minute)
	return nil
}

// starts reads a secret as the execution role of a task does when ECS starts it:
// the emulator starts tasks of services alone.
func (w *world) starts(role, secret string) {
	w.Helper()
	config := w.cloud.Config(region)
	session, err := sts.NewFromConfig(config).AssumeRole(w.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::" + w.cloud.Account() + ":role/" + role), RoleSessionName: aws.String("task"),
	})
	require.NoError(w, err)
	c := session.Credentials
	_, err = secretsmanager.NewFromConfig(w.cloud.ConfigFor(region, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)).GetSecretValue(w.Context(), &secretsmanager.GetSecretValueInput{SecretId: &secret})
	require.NoError(w, err)
}

// walk goes the whole way and returns the first command that didn't end as it
// should, or "".
func (w *world) walk() string {
	w.Helper()
	for _, step := range []struct {
		code int
		args []string
	}{
		{exitFindings, []string{"discover", stack}},
		{exitDone, []string{"plan", stack}},
		{exitDone, []string{"apply", stack, "--yes"}},
		{exitDone, []string{"validate", stack, "--soak", "0"}},
		{exitDone, []string{"rollback", stack, "--delete-secrets-after", "7", "--yes"}},
		{exitDone, []string{"apply", stack, "--yes"}},
		{exitDone, []string{"rollback", stack, "--yes"}},
		{exitDone, []string{"plan", stack}},
		{exitDone, []string{"apply", stack, "--yes"}},
		{exitDone, []string{"validate", stack, "--soak", "0"}},
		{exitDone, []string{"cleanup", stack, "--soak", "0", "--delete-versions", "--yes"}},
		{exitDone, []string{"restore", stack, "export", "--yes"}},
		{exitFindings, []string{"phase", "status", stack}},
	} {
		if step.args[0] == "validate" {
			if err := w.used(); err != nil {
				return "use: " + err.Error()
			}
		}
		if step.args[0] == "restore" {
			exports, err := filepath.Glob(filepath.Join(w.folder(), "export-*.json"))
			require.NoError(w, err)
			if len(exports) != 1 {
				return "there is no export"
			}
			step.args[2] = filepath.Base(exports[0])
		}
		code, stdout, stderr := w.migrate(step.args...)
		if code != step.code || strings.Contains(stdout, "can't be read") {
			return strings.Join(step.args, " ") + ": " + stdout + stderr
		}
	}
	return ""
}

// The rights in the page are enough, and each statement is needed.
func TestTheRightsInThePage(t *testing.T) {
	all := rights(t)
	t.Run("all", func(t *testing.T) {
		w := newWorld(t)
		w.small()
		w.become(all)
		assert.Empty(t, w.walk())
		w.noCanaries()
		assert.Empty(t, w.cloud.Unsupported())
	})
	if testing.Short() {
		return // half a minute
	}
	for i, s := range all {
		t.Run("without "+s["Sid"].(string), func(t *testing.T) {
			w := newWorld(t)
			w.small()
			w.become(slices.Delete(slices.Clone(all), i, i+1))
			failed := w.walk()
			assert.NotEmpty(t, failed, "nothing needs it")
			w.noCanaries()
		})
	}
}
