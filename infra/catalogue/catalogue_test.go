package catalogue_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/sdk/spec"
)

// valid is a configuration without a mistake, to be broken by the tests.
func valid() map[string]string {
	return map[string]string{
		catalogue.KeyRegion: "us-east-1",
		catalogue.KeySettings: `{"organization": "aistudio", "environment": "dev", "owner": "team-platform",
			"administrators": ["root", "role/ops/admin"], "recoveryWindowDays": 7, "logRetentionDays": 14}`,
		catalogue.KeyServices:  `{"orders": {"assumedBy": ["lambda.amazonaws.com", "root"]}, "billing": {"role": "role/apps/billing"}}`,
		catalogue.KeyDatabases: `{"main": {"engine": "postgres", "host": "db.internal", "port": 5432, "master": "aistudio/dev/platform/admin"}}`,
		catalogue.KeyRotators:  `{"database": {}}`,
		catalogue.KeyCatalogue: `{"orders/database": {"kind": "database", "owner": "team-orders", "dataClassification": "confidential",
			"readers": ["orders", "billing"], "database": {"server": "main", "username": "orders", "dbname": "orders"}}}`,
	}
}

func TestParse(t *testing.T) {
	stack, err := catalogue.Parse(valid())
	require.NoError(t, err)

	assert.Equal(t, "us-east-1", stack.Region)
	assert.Equal(t, "aistudio-dev", stack.Settings.Prefix())
	assert.Equal(t, []string{"lambda.amazonaws.com"}, stack.Services["orders"].Services())
	assert.Equal(t, []catalogue.Principal{"root"}, stack.Services["orders"].Principals())
	assert.Equal(t, catalogue.Rotator{Kind: spec.KindDatabase, Program: "database", Architecture: "arm64", MemoryMB: 128, TimeoutSeconds: 60, LogLevel: "info"}, stack.Rotators["database"])
	assert.Equal(t, catalogue.Cache{Architectures: []string{"arm64", "x86_64"}}, stack.Cache)
	assert.Equal(t, catalogue.Events{Architecture: "arm64"}, stack.Events)

	require.Len(t, stack.Secrets, 1)
	secret := stack.Secrets[0]
	assert.Equal(t, "aistudio/dev/orders/database", secret.Name.String())
	assert.Equal(t, "orders/database", secret.Path())
	assert.Equal(t, catalogue.ValueSeeded, secret.Value)
	assert.Equal(t, "rate(29 days)", secret.Schedule.Expression)
	assert.Equal(t, "database", secret.Rotator)
	assert.Empty(t, secret.Schedule.Duration())
	assert.True(t, secret.Rotates())
	assert.Equal(t, catalogue.DatabaseUser{Server: "main", Username: "orders", DBName: "orders"}, secret.Database)
	assert.NoError(t, spec.ValidateTags(secret.Name, secret.Tags()))
}

// entry replaces the catalogue by one entry, which is a database secret unless
// fields say otherwise. A nil field is left out.
func entry(t *testing.T, fields map[string]any) map[string]string {
	t.Helper()
	secret := map[string]any{
		"kind": "database", "owner": "team-orders", "dataClassification": "confidential",
		"database": map[string]any{"server": "main", "username": "orders"},
	}
	for key, value := range fields {
		secret[key] = value
		if value == nil {
			delete(secret, key)
		}
	}
	text, err := json.Marshal(map[string]any{"orders/secret": secret})
	require.NoError(t, err)
	return map[string]string{catalogue.KeyCatalogue: string(text)}
}

func TestMistakes(t *testing.T) {
	rotation := func(fields map[string]any) map[string]string {
		return entry(t, map[string]any{"rotation": fields})
	}
	settings := func(change string) map[string]string {
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(valid()[catalogue.KeySettings]), &fields))
		require.NoError(t, json.Unmarshal([]byte(change), &fields))
		text, err := json.Marshal(fields)
		require.NoError(t, err)
		return map[string]string{catalogue.KeySettings: string(text)}
	}
	const at = "aistudio-secrets:catalogue.orders/secret"
	tests := map[string]struct {
		change map[string]string
		want   []string // "<path>: <part of the problem>", all there are
	}{
		"region":                   {map[string]string{catalogue.KeyRegion: "mars"}, []string{`aws:region: "mars" is no region`}},
		"no settings":              {map[string]string{catalogue.KeySettings: ""}, []string{"aistudio-secrets:settings: is missing", ".organization: ", ".environment: ", ".owner: is missing", ".administrators: is missing", ".recoveryWindowDays: 0", ".logRetentionDays: 0"}},
		"organization":             {settings(`{"organization": "AI Studio"}`), []string{`aistudio-secrets:settings.organization: "AI Studio"`}},
		"administrators":           {settings(`{"administrators": ["arn:aws:iam::1:role/x"]}`), []string{"aistudio-secrets:settings.administrators: "}},
		"recovery window":          {settings(`{"recoveryWindowDays": 31}`), []string{"aistudio-secrets:settings.recoveryWindowDays: 31"}},
		"half a day":               {settings(`{"recoveryWindowDays": 7.5}`), []string{"aistudio-secrets:settings.recoveryWindowDays: cannot parse"}},
		"log retention":            {settings(`{"logRetentionDays": 15}`), []string{"aistudio-secrets:settings.logRetentionDays: 15"}},
		"replica region":           {settings(`{"replicaRegion": "us-east-1"}`), []string{"aistudio-secrets:settings.replicaRegion: is the region of the secrets"}},
		"unknown setting":          {settings(`{"protekt": true}`), []string{"aistudio-secrets:settings: has unknown keys: protekt"}},
		"case of a key":            {settings(`{"Protect": true}`), []string{"aistudio-secrets:settings: has unknown keys: Protect"}},
		"type of a key":            {settings(`{"protect": "yes"}`), []string{"aistudio-secrets:settings.protect: expected type 'bool'"}},
		"no object":                {map[string]string{catalogue.KeyServices: `["orders"]`}, []string{"aistudio-secrets:services: is not an object", `readers: "orders" is no service`, `readers: "billing" is no service`}},
		"service":                  {map[string]string{catalogue.KeyServices: `{"orders": {}}`, catalogue.KeyCatalogue: "{}"}, []string{"aistudio-secrets:services.orders: write either assumedBy"}},
		"service's role":           {map[string]string{catalogue.KeyServices: `{"orders": {"role": "user/x"}}`, catalogue.KeyCatalogue: "{}"}, []string{"aistudio-secrets:services.orders.role: "}},
		"who assumes":              {map[string]string{catalogue.KeyServices: `{"orders": {"assumedBy": ["everyone", "*.amazonaws.com"]}}`, catalogue.KeyCatalogue: "{}"}, []string{`services.orders.assumedBy: "*.amazonaws.com"`, `services.orders.assumedBy: "everyone"`}},
		"server":                   {map[string]string{catalogue.KeyDatabases: `{"main": {"engine": "oracle", "port": 70000}}`}, []string{`databases.main.engine: "oracle"`, "databases.main.host: is missing", "databases.main.port: 70000", "databases.main.master: is missing"}},
		"own master":               {map[string]string{catalogue.KeyDatabases: `{"main": {"engine": "mysql", "host": "h", "master": "aistudio/dev/orders/database"}}`}, []string{"databases.main.master: aistudio/dev/orders/database is in the catalogue"}},
		"rotator's kind":           {map[string]string{catalogue.KeyRotators: `{"database": {}, "oauth": {}, "ssh": {}}`}, []string{`rotators.ssh.kind: unknown kind`}},
		"standby without a region": {map[string]string{catalogue.KeyRotators: `{"database": {"standby": {"layers": ["arn:aws:lambda:us-west-2:123456789012:layer:ca:1"]}}}`}, []string{"rotators.database.standby: is of a second region, and there is none"}},
		"layers elsewhere": {
			map[string]string{
				catalogue.KeySettings: settings(`{"replicaRegion": "us-west-2"}`)[catalogue.KeySettings],
				catalogue.KeyRotators: `{"database": {"layers": ["arn:aws:lambda:us-west-2:123456789012:layer:ca:1"], "standby": {"layers": ["x", "arn:aws:lambda:us-east-1:123456789012:layer:ca:1"], "vpc": {"endpoints": ["s3"]}}}}`,
			},
			[]string{
				`rotators.database.standby.layers: "x" is no ARN`, "rotators.database.standby.vpc.subnetIds: is missing", "rotators.database.standby.vpc.routeTableIds", "rotators.database.standby.vpc.id",
				"rotators.database.layers: arn:aws:lambda:us-west-2:123456789012:layer:ca:1 isn't of us-east-1", "rotators.database.standby.layers: arn:aws:lambda:us-east-1:123456789012:layer:ca:1 isn't of us-west-2",
			},
		},
		"task": {
			map[string]string{catalogue.KeyServices: `{"orders": {"assumedBy": ["ecs-tasks.amazonaws.com"], "injected": true, "repositories": ["Orders"], "logGroups": ["a b"]}, "billing": {"assumedBy": ["lambda.amazonaws.com"], "logGroups": ["/x"]}}`},
			[]string{"services.billing.logGroups: is for the execution role", `services.orders.repositories: "Orders"`, `services.orders.logGroups: "a b"`},
		},
		"rotator's values": {map[string]string{catalogue.KeyRotators: `{"database": {"architecture": "arm", "memoryMb": 1, "timeoutSeconds": 901, "reservedConcurrency": 0, "logLevel": "all", "layers": ["x"], "vpc": {"endpoints": ["sqs"]}}}`}, []string{".architecture: ", ".memoryMb: 1", ".timeoutSeconds: 901", ".reservedConcurrency: 0", ".logLevel: ", ".layers: ", ".vpc.subnetIds: is missing", `.vpc.id: "" is no ID`, `.vpc.endpoints: "sqs"`}},
		"no rotator":       {map[string]string{catalogue.KeyRotators: "{}"}, []string{"catalogue.orders/database: needs the rotation function"}},

		"key without a service":   {map[string]string{catalogue.KeyCatalogue: `{"orders": {"kind": "custom", "owner": "o", "dataClassification": "c", "rotation": {"disabled": "r"}}}`}, []string{"aistudio-secrets:catalogue.orders: is no name"}},
		"name like an ARN":        {map[string]string{catalogue.KeyCatalogue: `{"orders/api-secret": {"kind": "custom", "owner": "o", "dataClassification": "c", "rotation": {"disabled": "r"}}}`}, []string{"catalogue.orders/api-secret: it ends in a hyphen and six characters"}},
		"same resource names":     {map[string]string{catalogue.KeyCatalogue: `{"a-b/c": {"kind": "custom", "owner": "o", "dataClassification": "c", "rotation": {"disabled": "r"}}, "a/b-c": {"kind": "custom", "owner": "o", "dataClassification": "c", "rotation": {"disabled": "r"}}}`}, []string{"catalogue.a/b-c: would have the same resource names as a-b/c"}},
		"kind":                    {entry(t, map[string]any{"kind": "ssh"}), []string{at + `.kind: unknown kind of secret "ssh"`}},
		"owner":                   {entry(t, map[string]any{"owner": nil}), []string{at + ".owner: is missing"}},
		"owner as a tag":          {entry(t, map[string]any{"owner": "team <x>"}), []string{at + `: tag "Owner" holds a character`}},
		"classification":          {entry(t, map[string]any{"dataClassification": ""}), []string{at + ".dataClassification: is missing"}},
		"unknown key":             {entry(t, map[string]any{"pasword": "hunter2"}), []string{at + ": has unknown keys: pasword"}},
		"unknown key in rotation": {rotation(map[string]any{"evry": "30d"}), []string{at + ".rotation: has unknown keys: evry"}},
		"type of readers":         {entry(t, map[string]any{"readers": "orders"}), []string{at + ".readers: "}},
		"reader":                  {entry(t, map[string]any{"readers": []string{"nobody"}}), []string{at + `.readers: "nobody" is no service`}},
		"reader twice":            {entry(t, map[string]any{"readers": []string{"orders", "orders"}}), []string{at + `.readers: "orders" is there twice`}},
		"value":                   {entry(t, map[string]any{"value": "hunter2"}), []string{at + `.value: "hunter2" is unknown`}},
		"seed of an OAuth client": {entry(t, map[string]any{"kind": "oauth", "database": nil, "value": "seeded"}), []string{at + ".value: oauth secrets can't be seeded"}},
		"rotator of another kind": {entry(t, map[string]any{"kind": "api-key", "database": nil, "rotator": "database"}), []string{at + ".rotator: database rotates database secrets"}},
		"unknown rotator":         {entry(t, map[string]any{"rotator": "mysql"}), []string{at + `.rotator: "mysql" is no rotator of`}},
		"lifetime of an API key":  {entry(t, map[string]any{"kind": "api-key", "database": nil, "rotation": map[string]any{"disabled": "r"}, "oauth": map[string]any{"tokenLifetime": "8h"}}), []string{at + ".oauth: belongs to oauth secrets"}},
		"lifetime of an hour":     {entry(t, map[string]any{"kind": "oauth", "database": nil, "oauth": map[string]any{"tokenLifetime": "1h"}}), []string{at + ".oauth.tokenLifetime: tokens that live 1h can't be kept fresh by rotation"}},
		"lifetime under the rate": {entry(t, map[string]any{"kind": "oauth", "database": nil, "oauth": map[string]any{"tokenLifetime": "3d"}, "rotation": map[string]any{"schedule": "rate(3 days)"}}), []string{at + ".rotation.schedule: rate(3 days) can leave 4d between two rotations, and the tokens live 3d"}},
		"lifetime":                {entry(t, map[string]any{"kind": "oauth", "database": nil, "oauth": map[string]any{"tokenLifetime": "an hour"}}), []string{at + `.oauth.tokenLifetime: "an hour" is no interval`}},
		"what no kind has": {
			map[string]string{catalogue.KeyRotators: `{"database": {"keyPrefix": "k", "issuer": {}, "applier": "a", "password": {}, "webhook": {"secret": "s"}}, "api-key": {"caFile": "f", "caBundle": "b", "keyPrefix": "k", "issuer": {"admin": {"secret": "s"}}}}`},
			[]string{"rotators.api-key.caFile: belongs", "rotators.api-key.caBundle: belongs", "rotators.api-key: has both caFile and caBundle", "rotators.api-key: has both keyPrefix and issuer",
				"rotators.database.keyPrefix: belongs", "rotators.database.issuer: belongs", "rotators.database.password: belongs", "rotators.database.webhook: belongs", "rotators.database.applier: belongs",
				"rotators.database: has both keyPrefix and issuer", "rotators.database: has both webhook and applier", "rotators.database.issuer.admin.secret: is missing", `rotators.database.applier: "a" is no ARN`},
		},
		"rotator's program":    {map[string]string{catalogue.KeyRotators: `{"database": {}, "own": {"kind": "custom", "program": "../gate"}}`}, []string{`rotators.own.program: "../gate" is no name of a program`}},
		"rotator's name":       {map[string]string{catalogue.KeyRotators: `{"database": {}, "The_Issuer": {"kind": "api-key"}}`}, []string{"rotators.The_Issuer: is no name of a rotator"}},
		"own credential":       {map[string]string{catalogue.KeyRotators: `{"database": {}, "hook": {"kind": "custom", "webhook": {"secret": "aistudio/dev/orders/database"}}}`}, []string{"rotators.hook.webhook.secret: aistudio/dev/orders/database is in the catalogue"}},
		"group without a VPC":  {map[string]string{catalogue.KeyRotators: `{"database": {"vpc": {"subnetIds": ["subnet-1", "net"], "securityGroupIds": ["group"], "endpoints": ["lambda", "lambda"]}}}`}, []string{`vpc.subnetIds: "net"`, `vpc.securityGroupIds: "group"`, "vpc.id: ", `vpc.endpoints: "lambda"`}},
		"cache":                {map[string]string{catalogue.KeyCache: `{"architectures": ["arm64", "arm64", "386"], "ttl": "25h", "maxStale": "-1h", "sharedWith": {"accounts": ["1"], "organization": "acme"}}`}, []string{`cache.architectures: "arm64" is there twice`, `cache.architectures: "386"`, "cache.ttl: 25h0m0s", "cache.maxStale: -1h0m0s", `cache.sharedWith.accounts: "1"`, `cache.sharedWith.organization: "acme"`}},
		"access":               {map[string]string{catalogue.KeyServices: `{"orders": {"assumedBy": ["lambda.amazonaws.com"], "access": "all", "injected": true}, "billing": {"role": "role/apps/billing"}}`}, []string{`services.orders.access: "all"`, "services.orders.injected: is for tasks of ECS"}},
		"budget":               {map[string]string{catalogue.KeyBudget: `{"monthlyUSD": -3, "emails": ["me", "a@b", "a@b"]}`}, []string{"budget.monthlyUSD: -3", `budget.emails: "me" is no address`, `"a@b" is there twice`}},
		"scan":                 {map[string]string{catalogue.KeyAudit: `{"scan": {"memoryMb": 64, "regions": ["here", "us-east-1", "us-east-1"], "keys": ["alias/mine"]}}`}, []string{"audit.scan.memoryMb: 64", `audit.scan.regions: "here" is no region`, `"us-east-1" is there twice`, `audit.scan.keys: "alias/mine"`}},
		"own trail":            {map[string]string{catalogue.KeyAudit: `{"trail": {"logGroup": "a b", "retentionDays": -1}}`}, []string{"audit.trail.logGroup: is of a trail that exists", `audit.trail.logGroup: "a b" is no name`, "audit.trail.retentionDays: -1"}},
		"existing trail":       {map[string]string{catalogue.KeyAudit: `{"trail": {"existing": true, "retentionDays": 30}}`}, []string{"audit.trail.retentionDays: is for the stack's own trail"}},
		"duration of a number": {map[string]string{catalogue.KeyCache: `{"ttl": 3600, "maxStale": "a day"}`}, []string{"cache.ttl: is no duration", "cache.maxStale: is no duration"}},
		"events": {
			map[string]string{catalogue.KeyEvents: `{"architecture": "386", "subscriptions": [{"protocol": "sms", "endpoint": "+1"}, {"protocol": "email", "endpoint": "me"}, {"protocol": "https", "endpoint": "http://a"}, {"protocol": "email", "endpoint": "me"}]}`},
			[]string{"events.architecture: ", `events.subscriptions[0].protocol: "sms"`, `events.subscriptions[1].endpoint: "me" is no address`, "events.subscriptions[2].endpoint: ", "events.subscriptions[3].endpoint: ", "events.subscriptions[3]: is there twice"},
		},
		"database of an API key":  {entry(t, map[string]any{"kind": "api-key", "rotation": map[string]any{"disabled": "r"}}), []string{at + ".database: belongs to database secrets"}},
		"no database":             {entry(t, map[string]any{"database": nil}), []string{at + ".database: is missing"}},
		"unknown server":          {entry(t, map[string]any{"database": map[string]any{"server": "x"}}), []string{at + ".database.username: is missing", at + `.database.server: "x" is no server`}},
		"under four hours":        {rotation(map[string]any{"every": "3h"}), []string{at + ".rotation.every: rate(3 hours) rotates after 3h0m0s"}},
		"cron under four hours":   {rotation(map[string]any{"schedule": "cron(0 */2 * * ? *)"}), []string{at + ".rotation.schedule: cron(0 */2 * * ? *) rotates after 2h0m0s"}},
		"cron over midnight":      {rotation(map[string]any{"schedule": "cron(0 1,22 * * ? *)"}), []string{at + ".rotation.schedule: cron(0 1,22 * * ? *) rotates after 3h0m0s"}},
		"too seldom":              {rotation(map[string]any{"every": "60d"}), []string{at + ".rotation.every: rate(60 days) leaves 60 days"}},
		"interval":                {rotation(map[string]any{"every": "monthly"}), []string{at + ".rotation.every: "}},
		"schedule":                {rotation(map[string]any{"schedule": "daily"}), []string{at + ".rotation.schedule: "}},
		"cron minutes and year":   {rotation(map[string]any{"schedule": "cron(30 3 ? * SUN 2030)"}), []string{at + ".rotation.schedule: ", at + ".rotation.schedule: "}},
		"cron fields":             {rotation(map[string]any{"schedule": "cron(0 3 * * *)"}), []string{at + ".rotation.schedule: "}},
		"cron both days":          {rotation(map[string]any{"schedule": "cron(0 3 1 * SUN *)"}), []string{at + ".rotation.schedule: "}},
		"cron that never comes":   {rotation(map[string]any{"schedule": "cron(0 3 31 2 ? *)"}), []string{at + ".rotation.schedule: "}},
		"every and schedule":      {rotation(map[string]any{"every": "1d", "schedule": "rate(1 day)"}), []string{at + ".rotation: has both"}},
		"disabled and every":      {rotation(map[string]any{"every": "1d", "disabled": "r"}), []string{at + ".rotation: is both disabled"}},
		"window":                  {rotation(map[string]any{"window": "3 hours"}), []string{at + ".rotation.window: "}},
		"window into the next":    {rotation(map[string]any{"every": "4h", "window": "5h"}), []string{at + ".rotation.window: a window of 5h reaches into the next one"}},
		"window over midnight":    {rotation(map[string]any{"schedule": "cron(0 22 ? * SUN *)", "window": "3h"}), []string{at + ".rotation.window: a window of 3h that opens at 22:00 UTC"}},
		"custom without interval": {entry(t, map[string]any{"kind": "custom", "database": nil}), []string{at + ".rotation: is missing", "catalogue.orders/secret: needs the rotation function"}},

		"all at once": {
			map[string]string{
				catalogue.KeySettings: `{"organization": "aistudio", "environment": "dev", "administrators": ["root"], "recoveryWindowDays": 1, "logRetentionDays": 14}`,
				catalogue.KeyCatalogue: `{"orders/one": {"kind": "ssh", "owner": "o", "dataClassification": "c"},
					"orders/two": {"kind": "database", "dataClassification": "c", "database": {"server": "main", "username": "u"}, "rotation": {"every": "1h"}}}`,
			},
			[]string{"settings.owner: is missing", "settings.recoveryWindowDays: 1", "catalogue.orders/one.kind: ", "catalogue.orders/two.owner: ", "catalogue.orders/two.rotation.every: "},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			values := valid()
			maps.Copy(values, test.change)
			_, err := catalogue.Parse(values)

			var mistakes catalogue.MistakesError
			require.ErrorAs(t, err, &mistakes)
			require.Len(t, mistakes, len(test.want), "%v", err)
			for i, want := range test.want {
				assert.Contains(t, mistakes[i].Path+": "+mistakes[i].Problem, want)
			}
			assert.NotContains(t, err.Error(), "%!", "a format went wrong")
		})
	}
}

func TestTooManyFor(t *testing.T) {
	many := func(n int, readers string) map[string]string {
		entries := make([]string, 0, n)
		for i := range n {
			entries = append(entries, `"orders/user`+strings.Repeat("x", i)+`": {"kind": "database", "owner": "o", "dataClassification": "c",
				"readers": [`+readers+`], "database": {"server": "main", "username": "u"}}`)
		}
		values := valid()
		values[catalogue.KeyCatalogue] = "{" + strings.Join(entries, ",") + "}"
		return values
	}
	_, err := catalogue.Parse(many(10, `"orders"`))
	assert.NoError(t, err, "a role takes ten policies")
	_, err = catalogue.Parse(many(11, `"orders"`))
	assert.ErrorContains(t, err, "aistudio-secrets:services.orders: reads 11 secrets")
	_, err = catalogue.Parse(many(60, ""))
	assert.NoError(t, err)
	_, err = catalogue.Parse(many(120, ""))
	assert.ErrorContains(t, err, "aistudio-secrets:catalogue: has too many secrets and servers for the policy of one rotation function, database")

	// Each server's credential is in three statements.
	values := many(20, "")
	servers, entries := map[string]any{}, map[string]any{}
	for i := range 20 {
		server := fmt.Sprintf("server-%d", i)
		servers[server] = map[string]any{"engine": "postgres", "host": "h", "master": "platform/" + server + "-admin"}
		entries[fmt.Sprintf("orders/user%d", i)] = map[string]any{"kind": "database", "owner": "o", "dataClassification": "c", "database": map[string]any{"server": server, "username": "u"}}
	}
	for key, object := range map[string]any{catalogue.KeyDatabases: servers, catalogue.KeyCatalogue: entries} {
		text, err := json.Marshal(object)
		require.NoError(t, err)
		values[key] = string(text)
	}
	_, err = catalogue.Parse(values)
	assert.ErrorContains(t, err, "aistudio-secrets:catalogue: has too many secrets and servers for the policy of one rotation function, database")
}

func TestSchedules(t *testing.T) {
	hour, day := time.Hour, 24*time.Hour
	tests := map[string]struct {
		rotation          string
		expression        string
		duration          string
		shortest, longest time.Duration
	}{
		"default":         {`{}`, "rate(30 days)", "", 30 * day, 30 * day},
		"hours":           {`{"every": "6h"}`, "cron(0 2/6 * * ? *)", "", 6 * hour, 6 * hour},
		"odd hours":       {`{"every": "5h"}`, "rate(5 hours)", "", 5 * hour, 5 * hour},
		"a day in hours":  {`{"every": "24h"}`, "cron(0 8 * * ? *)", "", day, day},
		"a week":          {`{"every": "7d", "window": "6h"}`, "cron(0 1 ? * 7 *)", "6h", 7 * day, 7 * day},
		"days":            {`{"every": "9d"}`, "rate(9 days)", "", 9 * day, 9 * day},
		"rate":            {`{"schedule": "rate(10 days)", "window": "24h"}`, "rate(10 days)", "24h", 10 * day, 10 * day},
		"first Sunday":    {`{"schedule": "cron(0 2 ? * SUN#1 *)"}`, "cron(0 2 ? * SUN#1 *)", "", 28 * day, 35 * day},
		"last of a month": {`{"schedule": "cron(0 16 L * ? *)", "window": "8h"}`, "cron(0 16 L * ? *)", "8h", 28 * day, 31 * day},
		"every 8 hours":   {`{"schedule": "cron(0 0/8 * * ? *)"}`, "cron(0 0/8 * * ? *)", "", 8 * hour, 8 * hour},
		"weekdays":        {`{"schedule": "cron(0 3 ? * 2-6 *)"}`, "cron(0 3 ? * 2-6 *)", "", day, 3 * day},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			values := valid()
			values[catalogue.KeyCatalogue] = `{"orders/x": {"kind": "database", "owner": "o", "dataClassification": "c",
				"database": {"server": "main", "username": "u"}, "rotation": ` + test.rotation + `}}`
			stack, err := catalogue.Parse(values)
			require.NoError(t, err)
			schedule := stack.Secrets[0].Schedule
			assert.Equal(t, test.expression, schedule.Expression)
			assert.Equal(t, test.duration, schedule.Duration())
			assert.Equal(t, test.shortest, schedule.Shortest)
			assert.Equal(t, test.longest, schedule.Longest)
		})
	}
}

// A schedule that is chosen by a secret's name is never longer than what is
// written, is what AWS reads, stays the same, and differs between names.
func TestSpread(t *testing.T) {
	read := func(t require.TestingT, name, rotation string) catalogue.Schedule {
		values := valid()
		values[catalogue.KeyRotators] = `{"custom": {}}`
		values[catalogue.KeyCatalogue] = `{"orders/` + name + `": {"kind": "custom", "owner": "o", "dataClassification": "c", "rotation": ` + rotation + `}}`
		stack, err := catalogue.Parse(values)
		require.NoError(t, err)
		return *stack.Secrets[0].Schedule
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z]{1,5}`).Draw(t, "name")
		every := rapid.Custom(func(t *rapid.T) string {
			if rapid.Bool().Draw(t, "in days") {
				return fmt.Sprintf("%dd", rapid.IntRange(1, 400).Draw(t, "days"))
			}
			return fmt.Sprintf("%dh", rapid.IntRange(4, 60).Draw(t, "hours"))
		}).Draw(t, "every")
		window := rapid.SampledFrom([]string{"", "1h", "3h", "4h"}).Draw(t, "window")
		fields := `"every": "` + every + `"`
		if window != "" {
			fields += `, "window": "` + window + `"`
		}
		schedule := read(t, name, "{"+fields+"}")

		number, unit := every[:len(every)-1], time.Hour
		if strings.HasSuffix(every, "d") {
			unit *= 24
		}
		n, err := strconv.Atoi(number)
		require.NoError(t, err)
		interval := time.Duration(n) * unit
		assert.LessOrEqual(t, schedule.Longest, interval)
		assert.GreaterOrEqual(t, schedule.Longest, interval*9/10)
		assert.Equal(t, schedule, read(t, name, "{"+fields+"}"))
		written := strings.Replace(fields, `"every": "`+every+`"`, `"schedule": "`+schedule.Expression+`"`, 1)
		assert.Equal(t, schedule, read(t, name, "{"+written+"}"), "AWS reads it otherwise")
	})
	for every, least := range map[string]int{"90d": 10, "30d": 4, "7d": 60, "1d": 20, "12h": 11} {
		different := map[string]bool{}
		for i := range 100 {
			different[read(t, fmt.Sprintf("secret%d", i), `{"every": "`+every+`"}`).Expression] = true
		}
		assert.GreaterOrEqual(t, len(different), least, "times of 100 secrets that rotate every %s", every)
	}
}

// An OAuth secret's rotation follows its tokens' lifetime, with the time that a
// rotation may wait in its window.
func TestTokenLifetime(t *testing.T) {
	for lifetime, longest := range map[string]time.Duration{
		"5h": 4 * time.Hour, "8h": 6 * time.Hour, "12h": 8 * time.Hour, "2d": 24 * time.Hour, "7d": 6 * 24 * time.Hour, "90d": 7 * 24 * time.Hour,
	} {
		t.Run(lifetime, func(t *testing.T) {
			values := valid()
			values[catalogue.KeyRotators] = `{"oauth": {}}`
			values[catalogue.KeyCatalogue] = `{"orders/client": {"kind": "oauth", "owner": "o", "dataClassification": "c", "value": "present", "oauth": {"tokenLifetime": "` + lifetime + `"}}}`
			stack, err := catalogue.Parse(values)
			require.NoError(t, err)
			assert.Equal(t, longest, stack.Secrets[0].Schedule.Longest)
		})
	}
}

func TestFirstValueAndRotation(t *testing.T) {
	tests := map[string]struct {
		fields                string
		rotates, needsRotator bool
	}{
		"seeded":                    {`"value": "seeded"`, true, true},
		"present":                   {`"value": "present"`, true, true},
		"awaited":                   {`"value": "awaited"`, false, false},
		"seeded, rotation disabled": {`"value": "seeded", "rotation": {"disabled": "r"}`, false, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			values := valid()
			values[catalogue.KeyCatalogue] = `{"orders/x": {"kind": "database", "owner": "o", "dataClassification": "c",
				"database": {"server": "main", "username": "u"}, ` + test.fields + `}}`
			stack, err := catalogue.Parse(values)
			require.NoError(t, err)
			assert.Equal(t, test.rotates, stack.Secrets[0].Rotates())
			assert.Equal(t, test.needsRotator, stack.Secrets[0].NeedsRotator())
		})
	}
}

func TestPrincipal(t *testing.T) {
	assert.Equal(t, "arn:aws:iam::123456789012:root", catalogue.Principal("root").ARN("aws", "123456789012"))
	assert.Equal(t, "arn:aws-us-gov:iam::123456789012:role/a/b", catalogue.Principal("role/a/b").ARN("aws-us-gov", "123456789012"))
	assert.Equal(t, "b", catalogue.Principal("role/a/b").Name())
}

// Whatever stands in a catalogue, Parse either takes it or says where it is
// wrong; and it never repeats a value under a key that it doesn't know.
func TestParseProperty(t *testing.T) {
	const planted = "hunter2-hunter2"
	rapid.Check(t, func(t *rapid.T) {
		scalar := rapid.OneOf(rapid.Just[any]("database"), rapid.Just[any](3), rapid.Just[any](true), rapid.Just[any](nil),
			rapid.Just[any]([]any{"orders"}), rapid.Just[any](map[string]any{"every": "1h", "server": "main"}))
		entry := rapid.MapOf(rapid.SampledFrom([]string{"kind", "owner", "dataClassification", "readers", "value", "database", "rotation"}), scalar).Draw(t, "entry")
		entry["password"] = planted
		text, err := json.Marshal(map[string]any{rapid.StringMatching(`[a-z/\[\].]{0,12}`).Draw(t, "key"): entry})
		if err != nil {
			t.Fatal(err)
		}
		values := valid()
		values[catalogue.KeyCatalogue] = string(text)
		_, err = catalogue.Parse(values)
		if err == nil || !strings.Contains(err.Error(), catalogue.KeyCatalogue) {
			t.Fatalf("the unknown key isn't reported: %v", err)
		}
		if strings.Contains(err.Error(), planted) {
			t.Fatalf("the error repeats the value of an unknown key: %v", err)
		}
	})
}
