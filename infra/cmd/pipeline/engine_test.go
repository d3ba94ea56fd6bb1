//go:build engine

package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/infra/pipeline"
	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/pulumi/engine"
)

const (
	region = "us-east-1"
	// asCommand makes the test binary the command, so that tests can send it
	// signals and needn't link it twice.
	asCommand = "PIPELINE_TEST_AS_COMMAND"
	commit    = "0123456789abcdef0123456789abcdef01234567"
)

var tools struct{ cli, plugin string }

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	tools.cli = os.Getenv("PULUMI_CLI")
	if tools.cli == "" {
		return 0, errors.New("set PULUMI_CLI to the absolute path of the pulumi command; `go tool mage tools:install` builds one")
	}
	tools.plugin, err = os.MkdirTemp("", "pipeline-test-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tools.plugin)) }()
	if err := engine.BuildPlugin(context.Background(), tools.plugin); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// world is an emulator of AWS, and a project folder like the tree's own.
type world struct {
	cloud       *localcloud.Cloud
	project     string
	environment []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{project: t.TempDir()}
	var err error
	w.cloud, err = localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.cloud.Close()) })

	// The tree's Pulumi.yaml, with the emulator's plugin.
	var project map[string]any
	readYAML(t, "../../../Pulumi.yaml", &project)
	project["plugins"] = map[string]any{"providers": []map[string]string{{"name": "aws", "path": tools.plugin}}}
	delete(project, "main")
	writeYAML(t, filepath.Join(w.project, "Pulumi.yaml"), project)
	w.writeArtifacts(t)

	state := t.TempDir()
	w.environment = []string{
		"PULUMI_BACKEND_URL=file://" + state, "PULUMI_CONFIG_PASSPHRASE=of a test", "PULUMI_HOME=" + t.TempDir(),
		"PULUMI_SKIP_UPDATE_CHECK=true", "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true",
		"AWS_ENDPOINT_URL=" + w.cloud.URL(), asCommand + "=1",
	}
	return w
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, into))
}

func writeYAML(t *testing.T, file string, value any) {
	t.Helper()
	text, err := yaml.Marshal(value)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o600))
}

// writeArtifacts makes archives of programs that do nothing.
func (w *world) writeArtifacts(t *testing.T) {
	t.Helper()
	dist := filepath.Join(w.project, "dist")
	require.NoError(t, os.Mkdir(dist, 0o700))
	var archive bytes.Buffer
	writer := zip.NewWriter(&archive)
	entry, err := writer.Create("bootstrap")
	require.NoError(t, err)
	_, err = entry.Write([]byte("#!/bin/sh\n"))
	require.NoError(t, err)
	require.NoError(t, writer.Close())

	var sums strings.Builder
	for _, command := range []string{"auditor", "migration-scan", "rotation-feed", "rotate-database", "rotate-api-key", "rotate-oauth", "rotate-custom", "secrets-extension-layer"} {
		for _, architecture := range []string{"arm64", "amd64"} {
			name := command + "_linux_" + architecture + ".zip"
			require.NoError(t, os.WriteFile(filepath.Join(dist, name), archive.Bytes(), 0o600))
			fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(archive.Bytes()), name)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dist, "SHA256SUMS"), []byte(sums.String()), 0o600))
}

// describe writes a stack's configuration, that of the tree with changes, and
// makes the stack.
func (w *world) describe(t *testing.T, stack string, change func(config map[string]any)) {
	t.Helper()
	var file struct {
		Config map[string]any `yaml:"config"`
	}
	readYAML(t, "../../../Pulumi."+stack+".yaml", &file)
	change(file.Config)
	writeYAML(t, filepath.Join(w.project, "Pulumi."+stack+".yaml"), file)
	create := exec.CommandContext(t.Context(), tools.cli, "stack", "init", stack, "--non-interactive")
	create.Dir = w.project
	create.Env = append(os.Environ(), w.environment...)
	output, err := create.CombinedOutput()
	require.NoError(t, err, string(output))
}

// command prepares the command as a process of its own.
func (w *world) command(t *testing.T, as aws.Config, args ...string) (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
	t.Helper()
	credentials, err := as.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.Command(self, append(args, "--project", w.project, "--commit", commit, "--pulumi", tools.cli, "--json")...)
	c.Env = append(append(os.Environ(), w.environment...),
		"AWS_ACCESS_KEY_ID="+credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+credentials.SecretAccessKey, "AWS_SESSION_TOKEN="+credentials.SessionToken)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	return c, &stdout, &stderr
}

// run runs the command, whose exit code has to be that of its report.
func (w *world) run(t *testing.T, as aws.Config, args ...string) pipeline.Report {
	t.Helper()
	c, stdout, stderr := w.command(t, as, args...)
	_ = c.Run() // the exit code tells
	t.Log(stderr.String())
	var report pipeline.Report
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &report), "%s", stdout)
	require.Equal(t, report.ExitCode, c.ProcessState.ExitCode())
	return report
}

// The stacks as they are in the tree pass the checks, and a preview of the same
// has the same digest.
func TestTheStacksPassTheChecks(t *testing.T) {
	w := newWorld(t)
	root := w.cloud.Config(region)
	for _, name := range []string{"dev/platform/postgres-admin", "staging/platform/main-admin", "staging/platform/warehouse-admin", "prod/platform/main-admin", "prod/platform/warehouse-admin"} {
		_, err := secretsmanager.NewFromConfig(root).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
			Name: aws.String("aistudio/" + name), SecretString: aws.String("{}"),
		})
		require.NoError(t, err)
	}
	deployer := w.role(t, "secrets-deployer")
	for stack, as := range map[string]aws.Config{"dev": root, "staging": root, "prod": deployer} {
		t.Run(stack, func(t *testing.T) {
			w.describe(t, stack, func(config map[string]any) {
				delete(config[catalogue.KeyAudit].(map[string]any), "configRules") // the emulator has no AWS Config
			})
			report := w.run(t, as, "preview", stack)
			assert.Equal(t, pipeline.Pending, report.Outcome, "%v", report.Failures)
			assert.Empty(t, report.Violations)
			assert.Empty(t, report.Refusals)
			assert.Greater(t, len(report.Changes), 60)
			again := w.run(t, as, "preview", stack)
			assert.Equal(t, report.Digest, again.Digest)
		})
	}
}

// role makes a role whom IAM allows everything, and returns a session of it.
func (w *world) role(t *testing.T, name string) aws.Config {
	t.Helper()
	root := w.cloud.Config(region)
	client := iam.NewFromConfig(root)
	_, err := client.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole"}]}`)})
	require.NoError(t, err)
	_, err = client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("all"), PolicyDocument: aws.String(
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}`)})
	require.NoError(t, err)
	taken, err := sts.NewFromConfig(root).AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::123456789012:role/" + name), RoleSessionName: aws.String("test"),
	})
	require.NoError(t, err)
	return w.cloud.ConfigFor(region, *taken.Credentials.AccessKeyId, *taken.Credentials.SecretAccessKey, *taken.Credentials.SessionToken)
}

// onlyAwaited leaves the secrets whose values others put, so that no function
// has to run.
func onlyAwaited(config map[string]any) {
	entries := config[catalogue.KeyCatalogue].(map[string]any)
	maps.DeleteFunc(entries, func(_ string, entry any) bool { return entry.(map[string]any)["value"] != "awaited" })
}

// The real program: an update that is told to stop in its middle ends in order,
// and the next one completes it.
func TestASignalStopsAnUpdate(t *testing.T) {
	w := newWorld(t)
	w.describe(t, "dev", onlyAwaited)
	root := w.cloud.Config(region)

	c, stdout, stderr := w.command(t, root, "up", "dev")
	log := &watcher{text: "aws:dynamodb/table:Table rotation", seen: func() { require.NoError(t, c.Process.Signal(syscall.SIGTERM)) }}
	c.Stderr = log
	require.Error(t, c.Run())
	t.Log(stderr.String())
	var report pipeline.Report
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &report), "%s\n%s", stdout, log.all.String())
	assert.Equal(t, pipeline.Cancelled, report.Outcome, log.all.String())
	assert.Equal(t, pipeline.ExitFailed, c.ProcessState.ExitCode())
	require.Empty(t, report.Refusals, log.all.String())
	require.Empty(t, report.Failures, log.all.String())

	report = w.run(t, root, "up", "dev")
	require.Equal(t, pipeline.Succeeded, report.Outcome, "%v %v", report.Refusals, report.Failures)
	assert.Positive(t, report.Unchanged, "the first one had made some")
	assert.NotEmpty(t, report.Changes, "the first one had left some")
	report = w.run(t, root, "preview", "dev")
	assert.Equal(t, pipeline.Succeeded, report.Outcome, "nothing is left to do: %v %v %v", report.Refusals, report.Failures, report.Changes)
}

// watcher calls seen once, when a text is written for the second time: the
// first time is in the preview.
type watcher struct {
	text  string
	seen  func()
	all   bytes.Buffer
	times int
}

func (w *watcher) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(w.text)) {
		if w.times++; w.times == 2 {
			w.seen()
		}
	}
	return w.all.Write(line)
}
