//go:build engine

package program_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// After a drill, which loses the primary region and brings all back, Pulumi has
// nothing to do: the secrets are what the stack made, names, ARNs, policies, keys,
// replicas and rotations.
func TestEngineAfterADrill(t *testing.T) {
	w := newWorld(t, []string{"orders", "accounts", "analytics"}, []string{"aistudio/prod/platform/main-admin", "aistudio/prod/platform/warehouse-admin"})
	w.createRole(t, "secrets-administrator")
	deployer := w.createRole(t, "secrets-deployer")
	stack, config := w.engineStack(t, "prod", deployer)
	up(t, stack)
	require.NoError(t, w.cloud.Settle(t.Context()))

	program := filepath.Join(t.TempDir(), "recovery")
	build := exec.Command("go", "build", "-o", program, "./cmd/recovery")
	build.Dir = filepath.Join("..", "..", "operations")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))

	file := filepath.Join(t.TempDir(), "Pulumi.prod.yaml")
	values := map[string]any{}
	for key, text := range config {
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		values[key] = value
	}
	text, err := json.Marshal(map[string]any{"config": values}) // JSON is YAML
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	credentials, err := deployer.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	drill := exec.Command(program, "drill", "--stack", file, "--yes", "--rotate", "all", "--patience", "1m", "--record", filepath.Join(t.TempDir(), "record.json"), "--out", t.TempDir())
	drill.Dir = t.TempDir()
	drill.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+w.cloud.URL(), "AWS_REGION="+region, "AWS_ACCESS_KEY_ID="+credentials.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY="+credentials.SecretAccessKey, "AWS_SESSION_TOKEN="+credentials.SessionToken,
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)
	output, err = drill.CombinedOutput()
	t.Logf("%s", output)
	require.NoError(t, err)
	w.requireNoValues(t, string(output))
	require.NoError(t, w.cloud.Settle(t.Context()))

	refreshed, err := stack.Refresh(t.Context(), optrefresh.SuppressProgress())
	require.NoError(t, err)
	onlySame(t, *refreshed.Summary.ResourceChanges, "refresh after a drill")
	preview, err := stack.Preview(t.Context(), optpreview.SuppressProgress())
	require.NoError(t, err)
	for operation := range preview.ChangeSummary {
		assert.Equal(t, "same", string(operation), "%v", preview.ChangeSummary)
	}
}
