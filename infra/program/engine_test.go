//go:build engine

package program_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/infra/program"
	"github.com/aistudio/secrets/localcloud/pulumi/engine"
	"github.com/aistudio/secrets/sdk/spec"
)

// engineStack opens a stack of the real Pulumi engine, deployed as a caller.
// The CLI is what PULUMI_CLI names; without one these tests fail.
func (w *world) engineStack(t *testing.T, stack string, caller aws.Config) (auto.Stack, map[string]string) {
	t.Helper()
	cli := os.Getenv("PULUMI_CLI")
	require.NotEmpty(t, cli, "set PULUMI_CLI to the absolute path of the pulumi command; `go tool mage tools:install` builds one")
	plugin, err := buildPlugin()
	require.NoError(t, err)
	credentials, err := caller.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	e, err := engine.New(engine.Options{
		CLI: cli, Plugin: plugin, Dir: t.TempDir(), Endpoint: w.cloud.URL(),
		Environment: map[string]string{
			"AWS_ACCESS_KEY_ID":     credentials.AccessKeyID,
			"AWS_SECRET_ACCESS_KEY": credentials.SecretAccessKey,
			"AWS_SESSION_TOKEN":     credentials.SessionToken,
		},
	})
	require.NoError(t, err)
	config := w.config(t, stack)
	opened, err := e.Stack(t.Context(), catalogue.Namespace, stack, nil, program.New(program.Options{Artifacts: builtArchives(t)}))
	require.NoError(t, err)
	configure(t, opened, config)
	return opened, config
}

var buildPlugin = sync.OnceValues(func() (string, error) {
	folder := filepath.Join(built, "plugin")
	return folder, engine.BuildPlugin(context.Background(), folder)
})

func configure(t *testing.T, stack auto.Stack, config map[string]string) {
	t.Helper()
	values := auto.ConfigMap{}
	for key, value := range config {
		values[key] = auto.ConfigValue{Value: value}
	}
	require.NoError(t, stack.SetAllConfig(t.Context(), values))
}

// up deploys and returns how many resources each operation had.
func up(t *testing.T, stack auto.Stack) map[string]int {
	t.Helper()
	result, err := stack.Up(t.Context(), optup.SuppressProgress())
	require.NoError(t, err)
	require.NotNil(t, result.Summary.ResourceChanges)
	return *result.Summary.ResourceChanges
}

func onlySame(t *testing.T, changes map[string]int, when string) {
	t.Helper()
	for operation := range changes {
		assert.Equal(t, "same", operation, "%s: %v", when, changes)
	}
}

// The life of the dev stack with the real engine.
func TestEngineDev(t *testing.T) {
	w := newWorld(t, []string{"orders"}, []string{"aistudio/dev/platform/postgres-admin"})
	stack, config := w.engineStack(t, "dev", w.cloud.Config(region))
	const name = "aistudio/dev/orders/database"
	root := w.cloud.Config(region)

	preview, err := stack.Preview(t.Context(), optpreview.SuppressProgress())
	require.NoError(t, err)
	assert.Positive(t, preview.ChangeSummary["create"])
	assert.Len(t, preview.ChangeSummary, 1)

	changes := up(t, stack)
	assert.Equal(t, preview.ChangeSummary["create"], changes["create"], "the preview told what happened")
	onlySame(t, up(t, stack), "second run")
	outputs, err := stack.Outputs(t.Context())
	require.NoError(t, err)
	assert.Contains(t, outputs["secrets"].Value, "orders/database")
	const function = "arn:aws:lambda:us-east-1:123456789012:function:aistudio-dev-rotate-"
	assert.Equal(t, map[string]any{"database": function + "database", "api-key": function + "api-key", "custom": function + "custom"}, outputs["rotators"].Value)
	assert.Equal(t, feedTable, outputs["feedTable"].Value)
	assert.Equal(t, map[string]any{lambdaArchitecture(): "arn:aws:lambda:us-east-1:123456789012:layer:aistudio-dev-secrets-cache-" + lambdaArchitecture() + ":1"}, outputs["layers"].Value)
	assert.Equal(t, map[string]any{
		spec.EnvCacheTTL: "1h0m0s", spec.EnvFeedTable: feedTable, spec.EnvPrefetch: name, spec.EnvMetricsEnvironment: "dev",
	}, outputs["lambdaEnvironment"].Value.(map[string]any)["orders"])
	assert.Equal(t, []any{
		map[string]any{"name": spec.EnvCacheTTL, "value": "1h0m0s"},
		map[string]any{"name": spec.EnvFeedTable, "value": feedTable},
	}, outputs["ecsEnvironment"].Value.(map[string]any)["orders"])
	assert.Contains(t, outputs["readerRoles"].Value, "orders")
	assert.Equal(t, w.keyARN(t, root), outputs["keyArn"].Value)

	// Rotations are none of Pulumi's business.
	before := currentVersion(t, root, name)
	require.NoError(t, w.cloud.Advance(t.Context(), 31*24*time.Hour))
	rotated := currentVersion(t, root, name)
	assert.NotEqual(t, before, rotated, "the schedule doesn't rotate")
	onlySame(t, up(t, stack), "after a rotation")
	refreshed, err := stack.Refresh(t.Context(), optrefresh.SuppressProgress())
	require.NoError(t, err)
	onlySame(t, *refreshed.Summary.ResourceChanges, "refresh after a rotation")

	// A change of what is there, and one more secret.
	entries := map[string]map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(config[catalogue.KeyCatalogue]), &entries))
	entries["orders/database"]["owner"] = "team-shop"
	entries["orders/database"]["rotation"] = map[string]any{"every": "14d"}
	entries["orders/partner-key"] = map[string]any{"kind": "api-key", "owner": "team-shop", "dataClassification": "confidential",
		"readers": []string{"orders"}, "rotation": map[string]any{"disabled": "the partner rotates it"}}
	text, err := json.Marshal(entries)
	require.NoError(t, err)
	config[catalogue.KeyCatalogue] = string(text)
	configure(t, stack, config)
	changes = up(t, stack)
	assert.Equal(t, 5, changes["create"], "component, secret, policy, reader policy and its attachment: %v", changes)
	assert.Equal(t, 4, changes["update"], "secret, reader policy, schedule and the auditor's catalogue: %v", changes)
	assert.NotContains(t, changes, "replace")
	assert.NotContains(t, changes, "delete")
	assert.Equal(t, rotated, currentVersion(t, root, name), "the change touched the value")
	onlySame(t, up(t, stack), "after the change")

	// A mistake deploys nothing.
	broken := map[string]string{catalogue.KeyCatalogue: `{"orders/database": {"kind": "databse", "owner": "o", "dataClassification": "c"}}`}
	configure(t, stack, broken)
	_, err = stack.Up(t.Context(), optup.SuppressProgress())
	require.ErrorContains(t, err, `aistudio-secrets:catalogue.orders/database.kind: unknown kind of secret "databse"`)
	configure(t, stack, config)

	w.checkState(t, stack)

	_, err = stack.Destroy(t.Context(), optdestroy.SuppressProgress())
	require.NoError(t, err)
	assert.NotNil(t, describe(t, root, name).DeletedDate)
}

// checkState looks for secret values in the engine's state.
func (w *world) checkState(t *testing.T, stack auto.Stack) {
	t.Helper()
	exported, err := stack.Export(t.Context())
	require.NoError(t, err)
	require.Contains(t, string(exported.Deployment), "seedSecret")
	w.requireNoValues(t, string(exported.Deployment))
}

// The prod stack with the real engine, deployed by its role: nothing changes in
// a second run, and neither the stack nor one secret of it can be deleted.
func TestEngineProd(t *testing.T) {
	w := newWorld(t, []string{"orders", "accounts", "analytics"}, []string{"aistudio/prod/platform/main-admin", "aistudio/prod/platform/warehouse-admin"})
	w.createRole(t, "secrets-administrator")
	stack, config := w.engineStack(t, "prod", w.createRole(t, "secrets-deployer"))

	up(t, stack)
	onlySame(t, up(t, stack), "second run")
	refreshed, err := stack.Refresh(t.Context(), optrefresh.SuppressProgress())
	require.NoError(t, err)
	onlySame(t, *refreshed.Summary.ResourceChanges, "refresh")

	entries := map[string]map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(config[catalogue.KeyCatalogue]), &entries))
	delete(entries, "studio/google-oauth")
	text, err := json.Marshal(entries)
	require.NoError(t, err)
	config[catalogue.KeyCatalogue] = string(text)
	configure(t, stack, config)
	_, err = stack.Up(t.Context(), optup.SuppressProgress())
	require.ErrorContains(t, err, "protected")
	_, err = stack.Destroy(t.Context(), optdestroy.SuppressProgress())
	require.ErrorContains(t, err, "protected")
	assert.Nil(t, describe(t, w.cloud.Config(region), "aistudio/prod/studio/google-oauth").DeletedDate)
}
