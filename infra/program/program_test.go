package program_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/infra/program"
	"github.com/aistudio/secrets/sdk/spec"
)

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, content, 0o600))
}

// A mistake, a missing part or the wrong deployer is reported before anything is
// registered.
func TestNothingIsDeployed(t *testing.T) {
	tests := map[string]struct {
		config    map[string]string
		cloud     paper
		artifacts string
		want      []string
	}{
		"mistakes": {
			config: map[string]string{catalogue.KeyCatalogue: `{"orders/database": {"kind": "database"}, "x": {}}`},
			want:   []string{"aistudio-secrets:catalogue.orders/database.owner: is missing", "aistudio-secrets:catalogue.x: is no name"},
		},
		"deployer": {
			cloud: paper{caller: "arn:aws:sts::123456789012:assumed-role/pipeline/me"},
			want:  []string{"assumed-role/pipeline/me would shut itself out", "aistudio-secrets:settings.administrators"},
		},
		"role that only begins alike": {
			config: settings(t, map[string]any{"administrators": []string{"role/ops/pipeline"}}),
			cloud:  paper{caller: "arn:aws:sts::123456789012:assumed-role/pipeline-2/me"},
			want:   []string{"would shut itself out"},
		},
		"no archive": {
			artifacts: t.TempDir(),
			want: []string{"rotate-database_linux_arm64.zip", "rotate-api-key_linux_arm64.zip", "rotate-custom_linux_arm64.zip", "rotation-feed_linux_arm64.zip",
				"auditor_linux_arm64.zip", "migration-scan_linux_arm64.zip", "secrets-extension-layer_linux_arm64.zip", "secrets-extension-layer_linux_amd64.zip", "go tool mage build"},
		},
		"no master": {
			cloud: paper{caller: root},
			want:  []string{"aistudio-secrets:databases.main.master", "look up the secret aistudio/dev/platform/postgres-admin"},
		},
		"master with the alias of a key": {
			cloud: paper{caller: root, masters: map[string]string{"aistudio/dev/platform/postgres-admin": "alias/mine"}},
			want:  []string{"aistudio-secrets:databases.main.master", "alias/mine"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := stackConfig(t, "dev")
			maps.Copy(config, test.config)
			if test.cloud.caller == "" {
				test.cloud = paperFor("dev")
			}
			if test.artifacts == "" {
				test.artifacts = artifacts(t)
			}
			record := &recorder{next: test.cloud}
			err := deploy(record, config, test.artifacts)
			require.Error(t, err)
			for _, want := range test.want {
				assert.ErrorContains(t, err, want)
			}
			assert.Empty(t, record.resources)
		})
	}
}

// settings changes the settings of the dev stack.
func settings(t *testing.T, change map[string]any) map[string]string {
	t.Helper()
	var all map[string]any
	require.NoError(t, json.Unmarshal([]byte(stackConfig(t, "dev")[catalogue.KeySettings]), &all))
	maps.Copy(all, change)
	text, err := json.Marshal(all)
	require.NoError(t, err)
	return map[string]string{catalogue.KeySettings: string(text)}
}

func TestDeployers(t *testing.T) {
	for name, test := range map[string]struct{ administrator, caller string }{
		"root":                    {"root", root},
		"user":                    {"user/ops/jo", "arn:aws:iam::123456789012:user/ops/jo"},
		"session of a role":       {"role/pipeline", "arn:aws:sts::123456789012:assumed-role/pipeline/run-1"},
		"role with a path":        {"role/ops/pipeline", "arn:aws:sts::123456789012:assumed-role/pipeline/run-1"},
		"another partition's too": {"role/pipeline", "arn:aws-us-gov:sts::123456789012:assumed-role/pipeline/run-1"},
	} {
		t.Run(name, func(t *testing.T) {
			config := stackConfig(t, "dev")
			maps.Copy(config, settings(t, map[string]any{"administrators": []string{test.administrator}}))
			cloud := paperFor("dev")
			cloud.caller = test.caller
			assert.NoError(t, deploy(&recorder{next: cloud}, config, artifacts(t)))
		})
	}
}

// The seed holds where the user lives and no password; nothing that Pulumi keeps
// does.
func TestSeed(t *testing.T) {
	record := deployOnPaper(t, "dev")
	seeds := record.named("aws:lambda/invocation:Invocation")
	require.Len(t, seeds, 3)
	assert.JSONEq(t, `{"Step": "seedSecret", "SecretId": "arn:aws:service:region:123456789012:Secret/inference-gateway-key"}`,
		seeds["inference-gateway-key-seed"].Inputs["input"].StringValue())
	var request spec.SeedRequest
	require.NoError(t, json.Unmarshal([]byte(seeds["orders-database-seed"].Inputs["input"].StringValue()), &request))
	assert.NoError(t, request.Validate())
	assert.Equal(t, spec.SeedRequest{
		Step:     "seedSecret",
		SecretID: "arn:aws:service:region:123456789012:Secret/orders-database",
		Database: &spec.DatabaseSeed{
			Engine: "postgres", Host: "postgres.dev.aistudio.internal", Port: 5432, DBName: "orders", Username: "orders",
			MasterSecretARN: "arn:aws:secretsmanager:us-east-1:123456789012:secret:aistudio/dev/platform/postgres-admin-AbCdEf",
		},
	}, request)
}

// What differs between entries of the catalogue.
func TestEntries(t *testing.T) {
	config := stackConfig(t, "dev")
	config[catalogue.KeyRotators] = `{"database": {"architecture": "x86_64", "memoryMb": 512, "timeoutSeconds": 30, "reservedConcurrency": 3,
		"logLevel": "debug", "caFile": "/opt/rds.pem", "layers": ["arn:aws:lambda:us-east-1:123456789012:layer:rds:1"],
		"vpc": {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]}}}`
	entry := func(more string) string {
		return `{"kind": "database", "owner": "o", "dataClassification": "c", "database": {"server": "main", "username": "u"}` + more + `}`
	}
	config[catalogue.KeyCatalogue] = `{
		"a/seeded": ` + entry(`, "rotation": {"schedule": "cron(0 3 ? * SUN *)", "window": "2h"}`) + `,
		"a/present": ` + entry(`, "value": "present"`) + `,
		"a/awaited": ` + entry(`, "value": "awaited"`) + `,
		"a/unrotated": ` + entry(`, "rotation": {"disabled": "r"}`) + `}`
	record := &recorder{next: paperFor("dev")}
	require.NoError(t, deploy(record, config, artifacts(t)))

	seeds := record.named("aws:lambda/invocation:Invocation")
	assert.Len(t, seeds, 2)
	assert.Contains(t, seeds, "a-seeded-seed")
	assert.Contains(t, seeds, "a-unrotated-seed")

	rotations := record.named("aws:secretsmanager/secretRotation:SecretRotation")
	assert.Len(t, rotations, 2)
	assert.Contains(t, rotations, "a-present")
	rules := rotations["a-seeded"].Inputs["rotationRules"].ObjectValue()
	assert.Equal(t, "cron(0 3 ? * SUN *)", rules["scheduleExpression"].StringValue())
	assert.Equal(t, "2h", rules["duration"].StringValue())
	assert.False(t, rotations["a-seeded"].Inputs["rotateImmediately"].BoolValue())

	function := record.named("aws:lambda/function:Function")["rotate-database"].Inputs.Mappable()
	assert.Equal(t, "aistudio-dev-rotate-database", function["name"])
	assert.Equal(t, []any{"x86_64"}, function["architectures"])
	assert.Equal(t, "provided.al2023", function["runtime"])
	assert.Equal(t, "bootstrap", function["handler"])
	assert.InEpsilon(t, 512, function["memorySize"], 0)
	assert.InEpsilon(t, 30, function["timeout"], 0)
	assert.InEpsilon(t, 3, function["reservedConcurrentExecutions"], 0)
	assert.Equal(t, map[string]any{"mode": "Active"}, function["tracingConfig"])
	assert.Equal(t, map[string]any{"variables": map[string]any{
		spec.EnvLogLevel: "debug", spec.EnvDatabaseCAFile: "/opt/rds.pem", spec.EnvFeedTable: "aistudio-dev-rotation-feed",
	}}, function["environment"])
	assert.Equal(t, map[string]any{"subnetIds": []any{"subnet-1"}, "securityGroupIds": []any{"sg-1"}}, function["vpcConfig"])

	permission := record.named("aws:lambda/permission:Permission")["rotate-database"].Inputs
	assert.Equal(t, "secretsmanager.amazonaws.com", permission["principal"].StringValue())
	assert.Equal(t, accountID, permission["sourceAccount"].StringValue())

	// The function reaches the secrets that it works on and no other.
	access := record.named("aws:iam/rolePolicy:RolePolicy")["rotate-database"].Inputs["policy"].StringValue()
	for secret, reached := range map[string]bool{"a-seeded": true, "a-present": true, "a-unrotated": true, "a-awaited": false} {
		assert.Equal(t, reached, strings.Contains(access, `Secret/`+secret+`"`), "access to %s", secret)
	}
	assert.Contains(t, access, `"ec2:CreateNetworkInterface"`)
}

// The second region's provider deploys as the first one does.
func TestReplicaProvider(t *testing.T) {
	config := stackConfig(t, "prod")
	config["aws:profile"] = "prod"
	config["aws:allowedAccountIds"] = `["123456789012"]`
	config["aws:assumeRole"] = `{"roleArn": "arn:aws:iam::123456789012:role/secrets-deployer", "sessionName": "pipeline"}`
	record := &recorder{next: paperFor("prod")}
	require.NoError(t, deploy(record, config, artifacts(t)))

	provider := record.named("pulumi:providers:aws")["replica"].Inputs
	assert.Equal(t, "us-west-2", provider["region"].StringValue())
	assert.Equal(t, "prod", provider["profile"].StringValue())
	assert.Equal(t, []any{"123456789012"}, provider["allowedAccountIds"].Mappable())
	assert.Equal(t, map[string]any{"roleArn": "arn:aws:iam::123456789012:role/secrets-deployer", "sessionName": "pipeline"}, provider["assumeRole"].Mappable())
	replica := record.named("aws:kms/replicaKey:ReplicaKey")["secrets-replica"]
	assert.Contains(t, replica.Provider, "replica-id")
}

func TestReadStackFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "Pulumi.x.yaml")
	writeFile(t, path, []byte("config:\n  aws:region: us-east-1\n  p:number: 7\n  p:object: {list: [a, 1, true]}\n"))
	config, err := program.ReadStackFile(path)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"aws:region": "us-east-1", "p:number": "7", "p:object": `{"list":["a",1,true]}`}, config)

	_, err = program.ReadStackFile(path + ".none")
	assert.ErrorIs(t, err, os.ErrNotExist)
}
