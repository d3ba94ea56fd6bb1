package inventory_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/discover/source"
	"github.com/aistudio/secrets/migrator/inventory"
	"github.com/aistudio/secrets/sdk/spec"
)

const canary = "Zq7Rk2m9Xw3Jt8f5Kv1Bd6Hp"

func settings(pairs ...string) []classify.Setting {
	var list []classify.Setting
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, classify.Setting{Name: pairs[i], Value: spec.ValueString(pairs[i+1])})
	}
	return list
}

func estate() discover.Estate {
	const function = "arn:aws:lambda:us-east-1:123456789012:function:orders"
	return discover.Estate{
		Account: "123456789012", Region: "us-east-1",
		Functions: []discover.Function{{
			ARN: function, Name: "orders", Tags: map[string]string{"Owner": "team-orders", "aws:cloudformation:stack-name": "orders"},
			Settings: settings("DB_HOST", "db.internal", "DB_NAME", "shop", "DB_PASSWORD", canary, "DB_USER", "app", "LOG_LEVEL", "info",
				"OLD_KEY", "AQICAHh"+strings.Repeat("b3Jk", 40)+"Q=="),
			Versions: []discover.Version{{Number: "1", Settings: settings("DB_PASSWORD", canary)}},
		}},
		TaskDefinitions: []discover.TaskDefinition{{
			ARN: "arn:aws:ecs:us-east-1:123456789012:task-definition/web:3", Family: "web", Revision: 3, Active: true,
			Containers: []discover.Container{{Name: "app", Settings: settings("API_TOKEN", canary+"2"), Arguments: settings("command --db-password", canary+"3", "log awslogs-group", "web")}},
		}},
		ScheduledTasks: []discover.ScheduledTask{{
			ARN: "arn:aws:events:us-east-1:123456789012:rule/nightly", Name: "nightly", Target: "task",
			Overrides: []discover.Container{{Name: "app", Settings: settings("PASSWORD", "x")}},
		}},
		Parameters: []discover.Parameter{
			{ARN: "arn:aws:ssm:us-east-1:123456789012:parameter/shop/keys", Name: "/shop/hooks", Type: discover.StringList, Value: spec.ValueString("one,sk_live_" + canary)},
			{ARN: "arn:aws:ssm:us-east-1:123456789012:parameter/shop/db/password", Name: "/shop/db/password", Type: discover.SecureString, Value: spec.ValueString(canary)},
			{ARN: "arn:aws:ssm:us-east-1:123456789012:parameter/shop/locked", Name: "/shop/locked", Type: discover.SecureString},
			{ARN: "arn:aws:ssm:us-east-1:123456789012:parameter/shop/motd", Name: "/shop/motd", Type: discover.String, Value: spec.ValueString("hello")},
		},
		Unread: []discover.Unread{{Place: spec.ScanSSM, ARN: "arn:aws:ssm:us-east-1:123456789012:parameter/shop/locked", Reason: "its value can't be read: AccessDeniedException"}},
	}
}

func makeInventory(t *testing.T, options inventory.Options) inventory.Inventory {
	t.Helper()
	classifier, err := classify.New(classify.Config{})
	require.NoError(t, err)
	options.Source, err = source.Scan(t.Context(), fstest.MapFS{"deploy/prod.env": {Data: []byte("\nDB_PASSWORD=" + canary + "\n")}}, classifier, source.Options{})
	require.NoError(t, err)
	options.Source.Unread = append(options.Source.Unread, source.Unread{File: "big.sql", Reason: "it has more than 1 MB"})
	return inventory.Make(estate(), classifier, digest.New(), options)
}

func item(t *testing.T, i inventory.Inventory, name, variable string) inventory.Item {
	t.Helper()
	for _, item := range i.Items {
		if item.Name == name && item.Variable == variable {
			return item
		}
	}
	require.Fail(t, "no item", "%s %s", name, variable)
	return inventory.Item{}
}

func TestWhatAnEstateHas(t *testing.T) {
	i := makeInventory(t, inventory.Options{})
	assert.Equal(t, inventory.Counts{
		Functions: 1, TaskDefinitions: 1, ScheduledTasks: 1, Parameters: 4,
		Settings: 14, Secrets: 7, Plaintext: 6, Values: 5, Unknown: 1, Source: 1, Unread: 2,
	}, i.Counts)

	password := item(t, i, "orders", "DB_PASSWORD")
	assert.True(t, password.Secret)
	assert.Equal(t, spec.KindDatabase, password.Kind)
	assert.Equal(t, "DB", password.Group)
	assert.Equal(t, "password", password.Member)
	assert.Equal(t, "team-orders", password.Owner)
	assert.Equal(t, "CloudFormation stack orders", password.ManagedBy)
	host := item(t, i, "orders", "DB_HOST")
	assert.False(t, host.Secret)
	assert.Equal(t, "host", host.Member, "what belongs to a secret is listed")
	assert.Empty(t, host.Digest)
	assert.True(t, item(t, i, "orders", "OLD_KEY").Unknown)
	assert.Equal(t, "arn:aws:lambda:us-east-1:123456789012:function:orders:1", item(t, i, "orders:1", "DB_PASSWORD").ARN)
	assert.Equal(t, "app", item(t, i, "nightly", "PASSWORD").Container)
	assert.Contains(t, item(t, i, "/shop/hooks", "").Reasons, "an item of the list is one")
	assert.True(t, item(t, i, "/shop/db/password", "").Encrypted)

	require.Len(t, i.Shared, 1)
	assert.Equal(t, password.Digest, i.Shared[0].Digest)
	assert.Equal(t, []string{
		"arn:aws:lambda:us-east-1:123456789012:function:orders DB_PASSWORD",
		"arn:aws:lambda:us-east-1:123456789012:function:orders:1 DB_PASSWORD",
		"arn:aws:ssm:us-east-1:123456789012:parameter/shop/db/password",
		"deploy/prod.env:2",
	}, i.Shared[0].Places)
	assert.Len(t, makeInventory(t, inventory.Options{Plain: true}).Items, 14)
}

func TestNoValueIsShown(t *testing.T) {
	i := makeInventory(t, inventory.Options{Plain: true})
	var text, table bytes.Buffer
	require.NoError(t, i.WriteJSON(&text))
	require.NoError(t, i.WriteTable(&table))
	for _, out := range []string{text.String(), table.String()} {
		for _, value := range []string{canary, canary[:8], "db.internal", "hello", "AQICAH"} {
			assert.NotContains(t, out, value)
		}
	}
	assert.Contains(t, table.String(), "in 4 places")
	assert.Contains(t, table.String(), "14 settings: 7 secrets, 6 of them in plaintext; 1 in source code; 1 encrypted by their programs; 5 different values; 2 things couldn't be read.")
}

func TestTheJSONKeepsToItsSchema(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(inventory.Schema))
	require.NoError(t, err)
	require.NoError(t, compiler.AddResource("schema.json", document))
	schema, err := compiler.Compile("schema.json")
	require.NoError(t, err)

	for _, i := range []inventory.Inventory{makeInventory(t, inventory.Options{Plain: true}), emptyInventory(t)} {
		var text bytes.Buffer
		require.NoError(t, i.WriteJSON(&text))
		instance, err := jsonschema.UnmarshalJSON(&text)
		require.NoError(t, err)
		require.NoError(t, schema.Validate(instance))
	}
	wrong, err := jsonschema.UnmarshalJSON(strings.NewReader(`{"version":1}`))
	require.NoError(t, err)
	require.Error(t, schema.Validate(wrong))
}

func emptyInventory(t *testing.T) inventory.Inventory {
	t.Helper()
	classifier, err := classify.New(classify.Config{})
	require.NoError(t, err)
	return inventory.Make(discover.Estate{Account: "123456789012", Region: "us-east-1"}, classifier, digest.New(), inventory.Options{})
}

// The same estate and key give the same inventory.
func TestAnInventoryIsDeterministic(t *testing.T) {
	classifier, err := classify.New(classify.Config{})
	require.NoError(t, err)
	key := digest.New()
	first, err := json.Marshal(inventory.Make(estate(), classifier, key, inventory.Options{}))
	require.NoError(t, err)
	second, err := json.Marshal(inventory.Make(estate(), classifier, key, inventory.Options{}))
	require.NoError(t, err)
	assert.Equal(t, string(first), string(second))
}
