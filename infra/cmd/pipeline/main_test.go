package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/aistudio/secrets/infra/pipeline"
	"github.com/aistudio/secrets/infra/pipeline/checks"
)

func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = execute(t.Context(), &out, &errs, args)
	return code, out.String(), errs.String()
}

func TestChecksAreListed(t *testing.T) {
	code, out, _ := run(t, "checks")
	assert.Equal(t, pipeline.ExitSucceeded, code)
	code, encoded, _ := run(t, "checks", "--json")
	assert.Equal(t, pipeline.ExitSucceeded, code)
	var listed []checks.Check
	require.NoError(t, json.Unmarshal([]byte(encoded), &listed))
	require.NotEmpty(t, listed)
	for _, check := range listed {
		assert.Contains(t, out, check.ID)
		assert.Contains(t, out, check.Demands)
	}
}

// Nothing is begun with arguments or files that are wrong.
func TestWrongInput(t *testing.T) {
	project := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(project, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	write("Pulumi.dev.yaml", "config:\n  aistudio-secrets:settings: {organisation: x}\n")
	good, err := os.ReadFile("../../../Pulumi.staging.yaml")
	require.NoError(t, err)
	write("Pulumi.staging.yaml", string(good))
	approvals := write("approvals.yaml", "approvals: [{approvedBy: ada}]\n")

	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"no command":       {[]string{"deploy", "dev"}, "unknown command"},
		"no stack":         {[]string{"preview"}, "accepts 1 arg"},
		"no such flag":     {[]string{"up", "dev", "--force"}, "unknown flag: --force"},
		"no such stack":    {[]string{"preview", "qa", "-C", project}, "there is no stack qa"},
		"mistakes in it":   {[]string{"preview", "dev", "-C", project}, "has unknown keys: organisation"},
		"bad approvals":    {[]string{"up", "staging", "-C", project, "--approvals", approvals}, "entry 1: stack is missing"},
		"no commit":        {[]string{"up", "staging", "-C", project, "--commit", "main"}, `"main" is no commit`},
		"nothing is built": {[]string{"up", "staging", "-C", project, "--commit", strings.Repeat("a", 40)}, "go tool mage build"},
		"what isn't a URN": {[]string{"recover", "dev", "-C", project, "--import", "queue=1"}, `"queue=1" isn't <urn>=<id>`},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := run(t, test.args...)
			assert.Equal(t, pipeline.ExitRefused, code)
			assert.Contains(t, stdout+stderr, test.says)
		})
	}

	summary := filepath.Join(t.TempDir(), "summary.md")
	code, stdout, _ := run(t, "preview", "qa", "-C", project, "--json", "--summary", summary)
	assert.Equal(t, pipeline.ExitRefused, code)
	var report pipeline.Report
	require.NoError(t, json.Unmarshal([]byte(stdout), &report))
	assert.Equal(t, pipeline.Refused, report.Outcome)
	assert.Equal(t, pipeline.GateInput, report.Refusals[0].Gate)
	page, err := os.ReadFile(summary)
	require.NoError(t, err)
	assert.Contains(t, string(page), "## preview of qa: refused")
}

func TestTheBackendIsNamedWithoutItsPassword(t *testing.T) {
	t.Setenv("PULUMI_BACKEND_URL", "postgres://pulumi:hunter2@db/pulumi")
	assert.Equal(t, "postgres://db/pulumi", backend())
	t.Setenv("PULUMI_BACKEND_URL", "s3://states?region=us-east-1")
	assert.Equal(t, "s3://states?region=us-east-1", backend())
}

// workflow is what matters of a workflow of GitHub Actions.
type workflow struct {
	Permissions map[string]string `yaml:"permissions"`
	Jobs        map[string]struct {
		Needs       any               `yaml:"needs"`
		Environment string            `yaml:"environment"`
		Permissions map[string]string `yaml:"permissions"`
		Timeout     int               `yaml:"timeout-minutes"`
		Steps       []struct {
			Uses string `yaml:"uses"`
			Run  string `yaml:"run"`
		} `yaml:"steps"`
	} `yaml:"jobs"`
}

// The workflow that docs/pipeline.md explains: its commands exist, its actions
// are pinned, and it stores no key.
func TestTheWorkflow(t *testing.T) {
	text, err := os.ReadFile("../../../docs/workflows/deploy.yml")
	require.NoError(t, err)
	var flow workflow
	require.NoError(t, yaml.Unmarshal(text, &flow))
	assert.Equal(t, map[string]string{"contents": "read"}, flow.Permissions)
	assert.NotContains(t, string(text), "secrets.")
	assert.NotContains(t, string(text), "access-key")
	for _, line := range strings.Split(string(text), "\n") {
		if _, action, found := strings.Cut(line, "uses: "); found {
			assert.Regexp(t, `^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`, action)
		}
	}

	var ran []string
	call := regexp.MustCompile(`(?m)^(?:exec )?bin/pipeline ([^|\n]*)`)
	for name, job := range flow.Jobs {
		assert.Positive(t, job.Timeout, name)
		for _, step := range job.Steps {
			for _, found := range call.FindAllStringSubmatch(step.Run, -1) {
				ran = append(ran, name+": "+strings.Fields(found[1])[0])
				assert.NotEmpty(t, job.Environment, "%s takes on the role of an environment", name)
				assert.Equal(t, "write", job.Permissions["id-token"], "%s asks for a token", name)
				root, _ := newRoot(&bytes.Buffer{}, &bytes.Buffer{})
				command, rest, err := root.Find(strings.Fields(strings.ReplaceAll(found[1], `"`, "")))
				require.NoError(t, err)
				require.NoError(t, command.ParseFlags(rest), found[1])
				require.NoError(t, command.ValidateArgs(command.Flags().Args()), found[1])
			}
		}
	}
	assert.ElementsMatch(t, []string{"preview: preview", "dev: up", "staging: promote", "prod-preview: preview", "prod: promote", "drift: drift"}, ran)

	// The pinned CLI is the one that the tests run.
	pin, err := os.ReadFile("../../../tools/pulumi/go.mod")
	require.NoError(t, err)
	version := regexp.MustCompile(`PULUMI_VERSION: (\S+)`).FindStringSubmatch(string(text))
	require.NotNil(t, version)
	assert.Contains(t, string(pin), "github.com/pulumi/pulumi/pkg/v3 v"+version[1])
}

// Every script in the workflow is one that bash can read.
func TestTheWorkflowsScripts(t *testing.T) {
	text, err := os.ReadFile("../../../docs/workflows/deploy.yml")
	require.NoError(t, err)
	var flow workflow
	require.NoError(t, yaml.Unmarshal(text, &flow))
	for name, job := range flow.Jobs {
		for _, step := range job.Steps {
			check := exec.CommandContext(t.Context(), "bash", "-n")
			check.Stdin = strings.NewReader(step.Run)
			output, err := check.CombinedOutput()
			assert.NoError(t, err, "%s: %s", name, output)
		}
	}
}
