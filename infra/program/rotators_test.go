package program_test

import (
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/infra/policy"
	"github.com/aistudio/secrets/sdk/spec"
)

// environmentOf returns a function's variables.
func environmentOf(record *recorder, function string) map[string]any {
	environment, _ := record.named("aws:lambda/function:Function")[function].Inputs.Mappable()["environment"].(map[string]any)
	variables, _ := environment["variables"].(map[string]any)
	return variables
}

// A stack may have several rotation functions of a kind, each with what its
// secrets need and no more.
func TestRotatorsByName(t *testing.T) {
	const issuer = `{"admin": {"secret": "aistudio/dev/platform/issuer-admin"}, "retries": 3}`
	const webhook = `{"url": "https://hooks.internal/set", "secret": "aistudio/dev/platform/hook-key"}`
	config := stackConfig(t, "dev")
	config[catalogue.KeyRotators] = `{
		"api-key": {"keyPrefix": "ais"},
		"partner": {"kind": "api-key", "issuer": ` + issuer + `},
		"custom": {"password": {"PasswordLength": 40}},
		"hook": {"kind": "custom", "webhook": ` + webhook + `, "timeoutSeconds": 600},
		"applier": {"kind": "custom", "applier": "arn:aws:lambda:us-east-1:123456789012:function:apply"},
		"own": {"kind": "custom", "program": "gate"},
		"oauth": {}, "database": {}}`
	entry := func(kind, more string) string {
		return `{"kind": "` + kind + `", "owner": "o", "dataClassification": "c"` + more + `}`
	}
	const monthly = `, "rotation": {"every": "30d"}`
	config[catalogue.KeyCatalogue] = `{
		"a/generated": ` + entry("api-key", "") + `,
		"a/issued": ` + entry("api-key", `, "rotator": "partner"`) + `,
		"a/generated2": ` + entry("custom", monthly) + `,
		"a/hooked": ` + entry("custom", monthly+`, "rotator": "hook"`) + `,
		"a/applied": ` + entry("custom", monthly+`, "rotator": "applier"`) + `,
		"a/own": ` + entry("custom", monthly+`, "rotator": "own"`) + `,
		"a/client": ` + entry("oauth", `, "value": "present"`) + `,
		"a/later": ` + entry("oauth", "") + `}`
	cloud := paperFor("dev")
	cloud.masters["aistudio/dev/platform/issuer-admin"] = ""
	cloud.masters["aistudio/dev/platform/hook-key"] = "arn:aws:kms:us-east-1:" + accountID + ":key/hooks"
	record := &recorder{next: cloud}
	folder := artifacts(t)
	require.ErrorContains(t, deploy(record, config, folder), "the archive of rotate-gate isn't there")
	gate := filepath.Join(folder, "rotate-gate_linux_arm64.zip")
	writeFile(t, gate, nil)
	require.NoError(t, deploy(record, config, folder))

	functions := record.named("aws:lambda/function:Function")
	assert.Equal(t, gate, functions["rotate-own"].Inputs["code"].ArchiveValue().Path)
	assert.Len(t, functions, 10, "one for each rotator that has something to do, the feed's, the audit's and the scan's")
	assert.NotContains(t, functions, "rotate-database")
	assert.InDelta(t, 180, functions["rotate-partner"].Inputs["timeout"].NumberValue(), 0)
	assert.InDelta(t, 60, functions["rotate-oauth"].Inputs["timeout"].NumberValue(), 0)
	assert.InDelta(t, 600, functions["rotate-hook"].Inputs["timeout"].NumberValue(), 0)

	common := map[string]any{spec.EnvLogLevel: "info", spec.EnvFeedTable: "aistudio-dev-rotation-feed"}
	for rotator, want := range map[string]map[string]string{
		"api-key": {spec.EnvAPIKeyPrefix: "ais"},
		"partner": {spec.EnvAPIKeyIssuer: issuer},
		"custom":  {spec.EnvPasswordOptions: `{"PasswordLength": 40}`},
		"hook":    {spec.EnvWebhook: webhook},
		"applier": {spec.EnvApplier: `"arn:aws:lambda:us-east-1:123456789012:function:apply"`},
		"own":     {},
		"oauth":   {},
	} {
		variables := environmentOf(record, "rotate-"+rotator)
		assert.Len(t, variables, len(common)+len(want), rotator)
		for name, text := range want {
			got, _ := variables[name].(string)
			if !json.Valid([]byte(got)) {
				got = `"` + got + `"`
			}
			if !json.Valid([]byte(text)) {
				text = `"` + text + `"`
			}
			assert.JSONEq(t, text, got, "%s of %s", name, rotator)
		}
		remaining := maps.Clone(variables)
		for name := range want {
			delete(remaining, name)
		}
		assert.Equal(t, common, remaining, rotator)
	}

	policies := record.named("aws:iam/rolePolicy:RolePolicy")
	const secretARN = "arn:aws:service:region:123456789012:Secret/a-"
	for rotator, want := range map[string]struct {
		secret string
		sids   []string
	}{
		"api-key": {"generated", []string{"Rotate", "Encrypt", "TellFeed", "Log", "Trace"}},
		"partner": {"issued", []string{"Rotate", "Encrypt", "ReadCredentials", "TellFeed", "Log", "Trace"}},
		"custom":  {"generated2", []string{"Rotate", "Encrypt", "TellFeed", "Log", "Trace"}},
		"hook":    {"hooked", []string{"Rotate", "Encrypt", "ReadCredentials", "DecryptCredentials", "TellFeed", "Log", "Trace"}},
		"applier": {"applied", []string{"Rotate", "Encrypt", "Apply", "TellFeed", "Log", "Trace"}},
		"oauth":   {"client", []string{"Rotate", "Encrypt", "TellFeed", "Log", "Trace"}},
	} {
		allowed := statements(t, policies["rotate-"+rotator].Inputs["policy"])
		assert.ElementsMatch(t, want.sids, sorted(allowed), rotator)
		assert.Equal(t, []string{secretARN + want.secret}, allowed["Rotate"].Resource, rotator)
	}
	assert.Equal(t, []string{"arn:aws:lambda:us-east-1:123456789012:function:apply"}, statements(t, policies["rotate-applier"].Inputs["policy"])["Apply"].Resource)

	// What awaits its value is neither seeded nor rotated, and nobody but
	// administrators writes it.
	assert.NotContains(t, record.named("aws:secretsmanager/secretRotation:SecretRotation"), "a-later")
	assert.NotContains(t, record.named("aws:lambda/invocation:Invocation"), "a-later-seed")
	assert.NotContains(t, record.named("aws:lambda/invocation:Invocation"), "a-client-seed")
	assert.Contains(t, record.named("aws:secretsmanager/secretRotation:SecretRotation"), "a-client")
	assert.NotContains(t, record.named("aws:secretsmanager/secretPolicy:SecretPolicy")["a-later"].Inputs["policy"].StringValue(), "rotate-oauth")
}

// A function in a VPC gets what it needs there and isn't given.
func TestNetworks(t *testing.T) {
	config := stackConfig(t, "dev")
	config[catalogue.KeyDatabases] = `{
		"main": {"engine": "postgres", "host": "db", "port": 6432, "master": "aistudio/dev/platform/postgres-admin", "serverName": "db-1.example"},
		"other": {"engine": "mysql", "host": "db2", "master": "aistudio/dev/platform/postgres-admin"}}`
	config[catalogue.KeyRotators] = `{"database": {"vpc": {"id": "vpc-1", "subnetIds": ["subnet-1", "subnet-2"], "endpoints": ["secretsmanager", "dynamodb"], "routeTableIds": ["rtb-1"]}}}`
	entry := func(server string) string {
		return `{"kind": "database", "owner": "o", "dataClassification": "c", "database": {"server": "` + server + `", "username": "u"}}`
	}
	config[catalogue.KeyCatalogue] = `{"a/one": ` + entry("main") + `, "a/two": ` + entry("other") + `}`
	record := &recorder{next: paperFor("dev")}
	require.NoError(t, deploy(record, config, artifacts(t)))

	groups := record.named("aws:ec2/securityGroup:SecurityGroup")
	require.Len(t, groups, 2)
	var ports []float64
	for _, rule := range groups["rotate-database"].Inputs["egress"].ArrayValue() {
		assert.Equal(t, "tcp", rule.ObjectValue()["protocol"].StringValue())
		ports = append(ports, rule.ObjectValue()["toPort"].NumberValue())
	}
	assert.Equal(t, []float64{443, 3306, 6432}, ports)
	assert.NotContains(t, groups["rotate-database"].Inputs, "ingress")
	entrance := groups["rotate-database-endpoints"].Inputs["ingress"].ArrayValue()[0].ObjectValue()
	assert.Equal(t, []any{"rotate-database-id"}, entrance["securityGroups"].Mappable())
	assert.NotContains(t, entrance, "cidrBlocks")

	endpoints := record.named("aws:ec2/vpcEndpoint:VpcEndpoint")
	require.Len(t, endpoints, 2)
	for _, endpoint := range endpoints {
		let := statements(t, endpoint.Inputs["policy"])["OfTheAccount"]
		assert.Equal(t, policy.Condition{"StringEquals": {"aws:PrincipalAccount": {accountID}}}, let.Condition)
	}
	secrets := endpoints["rotate-database-secretsmanager"].Inputs
	assert.Equal(t, "com.amazonaws.us-east-1.secretsmanager", secrets["serviceName"].StringValue())
	assert.Equal(t, "Interface", secrets["vpcEndpointType"].StringValue())
	assert.True(t, secrets["privateDnsEnabled"].BoolValue())
	assert.Equal(t, "Gateway", endpoints["rotate-database-dynamodb"].Inputs["vpcEndpointType"].StringValue())

	function := record.named("aws:lambda/function:Function")["rotate-database"].Inputs.Mappable()
	assert.Equal(t, map[string]any{"subnetIds": []any{"subnet-1", "subnet-2"}, "securityGroupIds": []any{"rotate-database-id"}}, function["vpcConfig"])
	assert.Equal(t, `{"db":"db-1.example"}`, environmentOf(record, "rotate-database")[spec.EnvDatabaseServerNames])
}

// A bundle of authorities is deployed beside the function, in a layer.
func TestCABundle(t *testing.T) {
	folder := t.TempDir()
	bundle := filepath.Join(folder, "rds.pem")
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	writeFile(t, bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	writeFile(t, filepath.Join(folder, "empty.pem"), nil)
	config := stackConfig(t, "dev")
	with := func(path string) map[string]string {
		changed := maps.Clone(config)
		changed[catalogue.KeyRotators] = `{"database": {"caBundle": "` + path + `"}, "api-key": {}, "custom": {}}`
		return changed
	}
	record := &recorder{next: paperFor("dev")}
	require.NoError(t, deploy(record, with(bundle), artifacts(t)))
	layer := record.named("aws:lambda/layerVersion:LayerVersion")["rotate-database-authorities"].Inputs
	assert.Contains(t, layer["code"].ArchiveValue().Assets, "ca.pem")
	assert.Equal(t, "/opt/ca.pem", environmentOf(record, "rotate-database")[spec.EnvDatabaseCAFile])
	assert.Equal(t, []any{"arn:aws:service:region:123456789012:LayerVersion/rotate-database-authorities"},
		record.named("aws:lambda/function:Function")["rotate-database"].Inputs["layers"].Mappable())

	for path, want := range map[string]string{filepath.Join(folder, "empty.pem"): "holds no certificate", filepath.Join(folder, "none.pem"): "no such file"} {
		record := &recorder{next: paperFor("dev")}
		err := deploy(record, with(path), artifacts(t))
		require.ErrorContains(t, err, "aistudio-secrets:rotators.database.caBundle")
		require.ErrorContains(t, err, want)
		assert.Empty(t, record.resources)
	}
}

// A master secret that RDS manages names its server by a tag.
func TestManagedMaster(t *testing.T) {
	const name = "rds!cluster-4f1c"
	config := stackConfig(t, "dev")
	config[catalogue.KeyDatabases] = `{"main": {"engine": "aurora-postgresql", "host": "db", "master": "` + name + `"}}`
	cloud := paperFor("dev")
	cloud.masters[name] = ""
	record := &recorder{next: cloud}
	require.NoError(t, deploy(record, config, artifacts(t)))
	allowed := statements(t, record.named("aws:iam/rolePolicy:RolePolicy")["rotate-database"].Inputs["policy"])
	assert.Equal(t, []string{"arn:aws:rds:us-east-1:123456789012:cluster:*"}, allowed["FindServers"].Resource)
	assert.Equal(t, []string{"secretsmanager:DescribeSecret"}, allowed["ReadTags"].Action)
}
