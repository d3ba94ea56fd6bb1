package catalogue_test

import (
	"encoding/json"
	"maps"
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
	assert.Equal(t, catalogue.Rotator{Architecture: "arm64", MemoryMB: 128, TimeoutSeconds: 60, LogLevel: "info"}, stack.Rotators[spec.KindDatabase])

	require.Len(t, stack.Secrets, 1)
	secret := stack.Secrets[0]
	assert.Equal(t, "aistudio/dev/orders/database", secret.Name.String())
	assert.Equal(t, "orders/database", secret.Path())
	assert.Equal(t, catalogue.ValueSeeded, secret.Value)
	assert.Equal(t, "rate(30 days)", secret.Schedule.Expression)
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
		"region":           {map[string]string{catalogue.KeyRegion: "mars"}, []string{`aws:region: "mars" is no region`}},
		"no settings":      {map[string]string{catalogue.KeySettings: ""}, []string{"aistudio-secrets:settings: is missing", ".organization: ", ".environment: ", ".owner: is missing", ".administrators: is missing", ".recoveryWindowDays: 0", ".logRetentionDays: 0"}},
		"organization":     {settings(`{"organization": "AI Studio"}`), []string{`aistudio-secrets:settings.organization: "AI Studio"`}},
		"administrators":   {settings(`{"administrators": ["arn:aws:iam::1:role/x"]}`), []string{"aistudio-secrets:settings.administrators: "}},
		"recovery window":  {settings(`{"recoveryWindowDays": 31}`), []string{"aistudio-secrets:settings.recoveryWindowDays: 31"}},
		"half a day":       {settings(`{"recoveryWindowDays": 7.5}`), []string{"aistudio-secrets:settings.recoveryWindowDays: cannot parse"}},
		"log retention":    {settings(`{"logRetentionDays": 15}`), []string{"aistudio-secrets:settings.logRetentionDays: 15"}},
		"replica region":   {settings(`{"replicaRegion": "us-east-1"}`), []string{"aistudio-secrets:settings.replicaRegion: is the region of the secrets"}},
		"unknown setting":  {settings(`{"protekt": true}`), []string{"aistudio-secrets:settings: has unknown keys: protekt"}},
		"case of a key":    {settings(`{"Protect": true}`), []string{"aistudio-secrets:settings: has unknown keys: Protect"}},
		"type of a key":    {settings(`{"protect": "yes"}`), []string{"aistudio-secrets:settings.protect: expected type 'bool'"}},
		"no object":        {map[string]string{catalogue.KeyServices: `["orders"]`}, []string{"aistudio-secrets:services: is not an object", `readers: "orders" is no service`, `readers: "billing" is no service`}},
		"service":          {map[string]string{catalogue.KeyServices: `{"orders": {}}`, catalogue.KeyCatalogue: "{}"}, []string{"aistudio-secrets:services.orders: write either assumedBy"}},
		"service's role":   {map[string]string{catalogue.KeyServices: `{"orders": {"role": "user/x"}}`, catalogue.KeyCatalogue: "{}"}, []string{"aistudio-secrets:services.orders.role: "}},
		"who assumes":      {map[string]string{catalogue.KeyServices: `{"orders": {"assumedBy": ["everyone", "*.amazonaws.com"]}}`, catalogue.KeyCatalogue: "{}"}, []string{`services.orders.assumedBy: "*.amazonaws.com"`, `services.orders.assumedBy: "everyone"`}},
		"server":           {map[string]string{catalogue.KeyDatabases: `{"main": {"engine": "oracle", "port": 70000}}`}, []string{`databases.main.engine: "oracle"`, "databases.main.host: is missing", "databases.main.port: 70000", "databases.main.master: is missing"}},
		"own master":       {map[string]string{catalogue.KeyDatabases: `{"main": {"engine": "mysql", "host": "h", "master": "aistudio/dev/orders/database"}}`}, []string{"databases.main.master: aistudio/dev/orders/database is in the catalogue"}},
		"rotator's kind":   {map[string]string{catalogue.KeyRotators: `{"database": {}, "oauth": {}, "ssh": {}}`}, []string{"rotators.oauth: there is no rotation function", `rotators.ssh: unknown kind`}},
		"rotator's values": {map[string]string{catalogue.KeyRotators: `{"database": {"architecture": "arm", "memoryMb": 1, "timeoutSeconds": 901, "reservedConcurrency": 0, "logLevel": "all", "layers": ["x"], "subnetIds": ["s"]}}`}, []string{".architecture: ", ".memoryMb: 1", ".timeoutSeconds: 901", ".reservedConcurrency: 0", ".logLevel: ", ".layers: ", "rotators.database: write both"}},
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
		"seed of a custom secret": {entry(t, map[string]any{"kind": "custom", "database": nil, "value": "seeded", "rotation": map[string]any{"disabled": "r"}}), []string{at + ".value: only database secrets"}},
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
		"kind without a rotator":  {entry(t, map[string]any{"kind": "api-key", "database": nil}), []string{at + ".rotation: there is no rotation function for api-key secrets"}},
		"custom without interval": {entry(t, map[string]any{"kind": "custom", "database": nil}), []string{at + ".rotation: there is no rotation function", at + ".rotation: is missing"}},

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
	assert.ErrorContains(t, err, "aistudio-secrets:catalogue: has too many database secrets")
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
		"hours":           {`{"every": "4h"}`, "rate(4 hours)", "", 4 * hour, 4 * hour},
		"a day in hours":  {`{"every": "24h"}`, "rate(1 day)", "", day, day},
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
