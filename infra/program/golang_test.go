//go:build engine

package program_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/aistudio/secrets/localcloud"
)

// The program as a user runs it: the Pulumi CLI builds and starts infra/main.go
// by the project's runtime. That takes Pulumi's language host for Go, which a
// full installation of Pulumi has beside its CLI and a CLI that was built from
// its module has not.
func TestPulumiPreviewAsAUserRunsIt(t *testing.T) {
	cli := os.Getenv("PULUMI_CLI")
	require.NotEmpty(t, cli, "set PULUMI_CLI to the absolute path of the pulumi command; `go tool mage tools:install` builds one")
	host := findLanguageHost(cli)
	if host == "" {
		t.Skip("no pulumi-language-go on this machine: a full installation of Pulumi has it")
	}
	plugin, err := buildPlugin()
	require.NoError(t, err)
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	_, err = secretsmanager.NewFromConfig(cloud.Config(region)).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("aistudio/dev/platform/postgres-admin"), SecretString: aws.String("{}"),
	})
	require.NoError(t, err)

	// The tree's project, in a folder of its own since Pulumi writes into it.
	folder := t.TempDir()
	var project map[string]any
	text, err := os.ReadFile("../../Pulumi.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &project))
	require.Equal(t, "go", project["runtime"])
	main, err := filepath.Abs("../../" + project["main"].(string))
	require.NoError(t, err)
	project["main"] = main
	project["plugins"] = map[string]any{"providers": []map[string]string{{"name": "aws", "path": plugin}}}
	text, err = yaml.Marshal(project)
	require.NoError(t, err)
	writeFile(t, filepath.Join(folder, "Pulumi.yaml"), text)
	text, err = os.ReadFile("../../Pulumi.dev.yaml")
	require.NoError(t, err)
	writeFile(t, filepath.Join(folder, "Pulumi.dev.yaml"), text)
	require.NoError(t, os.Symlink(artifacts(t), filepath.Join(folder, "dist")))

	credentials, err := cloud.Config(region).Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	state := t.TempDir()
	pulumi := func(args ...string) string {
		command := exec.CommandContext(t.Context(), cli, append(args, "--non-interactive")...)
		command.Dir = folder
		command.Env = append(os.Environ(),
			"PATH="+filepath.Dir(host)+string(os.PathListSeparator)+os.Getenv("PATH"),
			"PULUMI_HOME="+filepath.Join(folder, "home"), "PULUMI_BACKEND_URL=file://"+state, "PULUMI_CONFIG_PASSPHRASE=of a test",
			"PULUMI_SKIP_UPDATE_CHECK=true", "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true",
			"AWS_ENDPOINT_URL="+cloud.URL(), "AWS_ACCESS_KEY_ID="+credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+credentials.SecretAccessKey)
		output, err := command.CombinedOutput()
		require.NoError(t, err, "pulumi %s: %s", args[0], output)
		return string(output)
	}
	pulumi("stack", "init", "dev")
	output := pulumi("preview", "--stack", "dev")
	assert.Contains(t, output, "aws:secretsmanager:Secret")
	assert.Contains(t, output, "to create")
}

// findLanguageHost returns the path of Pulumi's language host for Go, beside the
// CLI or on PATH, or "".
func findLanguageHost(cli string) string {
	const name = "pulumi-language-go"
	if resolved, err := filepath.EvalSymlinks(cli); err == nil {
		cli = resolved
	}
	if found, err := exec.LookPath(filepath.Join(filepath.Dir(cli), name)); err == nil {
		return found
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return found
}
