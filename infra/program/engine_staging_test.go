//go:build engine

package program_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/sdk/spec"
)

// catalogueSize is the number of secrets of a company that has moved all of
// them.
const catalogueSize = 60

// fill adds secrets of all kinds to a configuration until it has that many, and
// services that read them: a role reads at most ten.
func fill(t *testing.T, config map[string]string, size int) {
	t.Helper()
	services := map[string]any{}
	change(t, config, catalogue.KeyCatalogue, func(entries map[string]any) {
		for i := 0; len(entries) < size; i++ {
			service := fmt.Sprintf("batch-%d", i/8)
			services[service] = map[string]any{"assumedBy": []string{"lambda.amazonaws.com"}}
			entry := map[string]any{"owner": "team-orders", "dataClassification": "internal", "readers": []string{service}}
			switch i % 6 {
			case 0:
				entry["kind"] = "database"
				entry["database"] = map[string]any{"server": "main", "dbname": "orders", "username": fmt.Sprintf("more%d", i)}
			case 1, 2:
				entry["kind"] = "api-key"
			case 3, 4:
				entry["kind"] = "custom"
				entry["rotation"] = map[string]any{"every": "60d"}
			case 5:
				entry["kind"] = "oauth"
			}
			entries[fmt.Sprintf("%s/more-%d", service, i)] = entry
		}
	})
	change(t, config, catalogue.KeyServices, func(entries map[string]any) { maps.Copy(entries, services) })
}

// The staging stack with the real engine and 60 secrets: made, unchanged,
// changed, deleted, with no value of any of them in the state.
func TestEngineStaging(t *testing.T) {
	w := newWorld(t, []string{"orders", "accounts", "analytics"}, []string{"aistudio/staging/platform/main-admin", "aistudio/staging/platform/warehouse-admin"})
	w.createRole(t, "secrets-deployer")
	root := w.cloud.Config(region)
	stack, config := w.engineStack(t, "staging", root)
	fill(t, config, catalogueSize)
	configure(t, stack, config)

	up(t, stack)
	onlySame(t, up(t, stack), "second run")
	outputs, err := stack.Outputs(t.Context())
	require.NoError(t, err)
	assert.Len(t, outputs["secrets"].Value, catalogueSize)

	exported, err := stack.Export(t.Context())
	require.NoError(t, err)
	values := w.everyValue(t, config)
	assert.Greater(t, len(values), catalogueSize/2)
	for name, value := range values {
		assert.False(t, strings.Contains(string(exported.Deployment), value), "the value of %s is in the state", name)
	}

	// One secret changes, one goes, one comes; no other notices.
	change(t, config, catalogue.KeyCatalogue, func(entries map[string]any) {
		entries["batch-0/more-1"].(map[string]any)["owner"] = "team-shop"
		delete(entries, "batch-0/more-5")
		entries["orders/new"] = map[string]any{"kind": "oauth", "owner": "team-orders", "dataClassification": "internal", "readers": []string{"orders"}}
	})
	configure(t, stack, config)
	changes := up(t, stack)
	assert.Equal(t, 5, changes["create"], "component, secret, policy, reader policy and its attachment: %v", changes)
	assert.Equal(t, 5, changes["delete"], "the same of the other: %v", changes)
	assert.NotContains(t, changes, "replace")
	assert.NotNil(t, describe(t, root, "aistudio/staging/batch-0/more-5").DeletedDate)
	assert.Nil(t, describe(t, root, "aistudio/staging/orders/new").DeletedDate)

	_, err = stack.Destroy(t.Context(), optdestroy.SuppressProgress())
	require.NoError(t, err)
	for name := range values {
		assert.NotNil(t, describe(t, root, name).DeletedDate, name)
	}
}

// everyValue returns what must not be told of each secret that has a value, by
// its name.
func (w *world) everyValue(t *testing.T, config map[string]string) map[string]string {
	t.Helper()
	var entries map[string]struct{ Kind string }
	require.NoError(t, json.Unmarshal([]byte(config[catalogue.KeyCatalogue]), &entries))
	values := map[string]string{}
	for path, entry := range entries {
		name := "aistudio/" + w.stack + "/" + path
		if len(describe(t, w.cloud.Config(region), name).VersionIdsToStages) == 0 {
			continue
		}
		read, err := secretsmanager.NewFromConfig(w.cloud.Config(region)).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
		require.NoError(t, err)
		value := spec.ValueString(aws.ToString(read.SecretString))
		switch entry.Kind {
		case "database":
			database, err := spec.ParseDatabase(value)
			require.NoError(t, err)
			value = database.Password
		case "api-key":
			key, err := spec.ParseAPIKey(value)
			require.NoError(t, err)
			value = key.Key
		}
		require.NotZero(t, value.Len())
		values[name] = value.RevealString()
	}
	return values
}
