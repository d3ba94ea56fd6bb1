package conformance

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

// commandLine is the aws CLI, pointed at a local cloud and at nothing else.
type commandLine struct {
	t    *testing.T
	path string
	env  []string
}

func newCommandLine(t *testing.T, cloud *localcloud.Cloud) *commandLine {
	t.Helper()
	path, err := exec.LookPath("aws")
	if err != nil {
		return nil
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	none := filepath.Join(t.TempDir(), "none")
	return &commandLine{t: t, path: path, env: append(env,
		"AWS_ENDPOINT_URL="+cloud.URL(), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_DEFAULT_REGION="+region,
		"AWS_CONFIG_FILE="+none, "AWS_SHARED_CREDENTIALS_FILE="+none, "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
	)}
}

// run returns what the command wrote as JSON.
func (c *commandLine) run(args ...string) map[string]any {
	c.t.Helper()
	out, stderr, err := c.try(args...)
	require.NoError(c.t, err, stderr)
	reply := map[string]any{}
	if len(bytes.TrimSpace(out)) > 0 {
		require.NoError(c.t, json.Unmarshal(out, &reply))
	}
	return reply
}

func (c *commandLine) try(args ...string) (stdout []byte, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(c.t.Context(), c.path, append([]string{"--output", "json"}, args...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.env, &out, &errs
	err = cmd.Run()
	return out.Bytes(), errs.String(), err
}

// TestCommandLine drives the local cloud with the aws CLI, a client that is not
// written in Go.
func TestCommandLine(t *testing.T) {
	if testing.Short() {
		t.Skip("the aws CLI takes its time")
	}
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	aws := newCommandLine(t, cloud)
	if aws == nil {
		t.Skip("aws is not on the PATH: the local cloud was judged with the SDK only")
	}
	assert.Equal(t, account, aws.run("sts", "get-caller-identity")["Account"])
	key := aws.run("kms", "create-key", "--multi-region")["KeyMetadata"].(map[string]any)
	created := aws.run("secretsmanager", "create-secret", "--name", "cli/s", "--secret-string", "first", "--kms-key-id", key["Arn"].(string),
		"--tags", `[{"Key":"Owner","Value":"us"}]`)
	aws.run("secretsmanager", "put-secret-value", "--secret-id", "cli/s", "--secret-string", "second")
	got := aws.run("secretsmanager", "get-secret-value", "--secret-id", created["ARN"].(string))
	assert.Equal(t, "second", got["SecretString"])
	got = aws.run("secretsmanager", "get-secret-value", "--secret-id", "cli/s", "--version-stage", "AWSPREVIOUS")
	assert.Equal(t, "first", got["SecretString"])
	assert.Equal(t, key["Arn"], aws.run("secretsmanager", "describe-secret", "--secret-id", "cli/s")["KmsKeyId"])
	assert.Len(t, aws.run("secretsmanager", "list-secrets", "--filters", "Key=tag-value,Values=us")["SecretList"], 1)
	aws.run("secretsmanager", "delete-secret", "--secret-id", "cli/s", "--recovery-window-in-days", "7")
	_, stderr, err := aws.try("secretsmanager", "get-secret-value", "--secret-id", "cli/s")
	require.Error(t, err)
	assert.Contains(t, stderr, "(InvalidRequestException) when calling the GetSecretValue operation: "+deleted)
	aws.run("iam", "create-role", "--role-name", "cli", "--assume-role-policy-document", trust)
	assert.Contains(t, aws.run("sts", "assume-role", "--role-arn", "arn:aws:iam::"+account+":role/cli", "--role-session-name", "cli"), "Credentials")
	assert.Empty(t, aws.run("lambda", "list-functions")["Functions"])
	assert.NotEmpty(t, aws.run("cloudtrail", "lookup-events", "--lookup-attributes", "AttributeKey=EventName,AttributeValue=PutSecretValue")["Events"])
	aws.run("cloudwatch", "put-metric-data", "--namespace", "CLI", "--metric-name", "m", "--value", "3")
	assert.Len(t, aws.run("cloudwatch", "list-metrics", "--namespace", "CLI")["Metrics"], 1)
	_, stderr, err = aws.try("cloudwatch", "get-dashboard", "--dashboard-name", "none")
	require.Error(t, err)
	assert.Contains(t, stderr, "(ResourceNotFound) when calling the GetDashboard operation")
	aws.run("s3api", "create-bucket", "--bucket", "cli")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("hello"), 0o600))
	aws.run("s3api", "put-object", "--bucket", "cli", "--key", "a/b", "--body", file)
	assert.EqualValues(t, 5, aws.run("s3api", "get-object", "--bucket", "cli", "--key", "a/b", "--checksum-mode", "ENABLED", file)["ContentLength"])
	assert.Empty(t, aws.run("scheduler", "list-schedules")["Schedules"])
	assert.Empty(t, cloud.Unsupported())
}
