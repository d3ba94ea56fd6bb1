package spec_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/sdk/spec"
)

func TestDatabaseKeepsWhatItDoesNotKnow(t *testing.T) {
	const doc = `{ "note" : {"b":1.0 , "a":[ 1e3,"\u00e4"]}, "port":"5432","engine":"postgres", "ssl":"True","host":"db.internal","\u0078":null,"username":"app","password":"a/\u0062","dbname":null}`
	d, err := spec.ParseDatabase(spec.ValueString(doc))
	require.NoError(t, err)
	assert.Equal(t, "postgres", d.Engine)
	assert.Equal(t, "db.internal", d.Host)
	assert.Equal(t, 5432, d.Port)
	assert.Equal(t, "app", d.Username)
	assert.Equal(t, "a/b", d.Password.RevealString())
	require.NotNil(t, d.SSL)
	assert.True(t, *d.SSL)
	require.NoError(t, d.Validate())

	same, err := d.Encode()
	require.NoError(t, err)
	assert.Equal(t, `{"note":{"b":1.0 , "a":[ 1e3,"\u00e4"]},"port":"5432","engine":"postgres","ssl":"True","host":"db.internal","\u0078":null,"username":"app","password":"a/\u0062","dbname":null}`, same.RevealString())

	d.Username, d.Password, d.SSL, d.MasterARN = "app_clone", spec.ValueString("<n&w>"), nil, "arn:aws:secretsmanager:us-east-1:123456789012:secret:m-abcdef"
	changed, err := d.Encode()
	require.NoError(t, err)
	assert.Equal(t, `{"note":{"b":1.0 , "a":[ 1e3,"\u00e4"]},"port":"5432","engine":"postgres","host":"db.internal","\u0078":null,"username":"app_clone","password":"<n&w>","dbname":null,"masterarn":"arn:aws:secretsmanager:us-east-1:123456789012:secret:m-abcdef"}`, changed.RevealString())
}

func TestDatabaseFromScratch(t *testing.T) {
	d := spec.Database{Engine: spec.EnginePostgres, Host: "h", Port: 5433, Username: "u", Password: spec.ValueString("p"), SSL: new(true)}
	v, err := d.Encode()
	require.NoError(t, err)
	assert.Equal(t, `{"engine":"postgres","host":"h","port":5433,"username":"u","password":"p","ssl":true}`, v.RevealString())
	empty, err := spec.Database{}.Encode()
	require.NoError(t, err)
	assert.Equal(t, `{}`, empty.RevealString())
}

func TestParseDatabaseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ doc, want string }{
		"plain text":      {canary, "isn't JSON: syntax error at byte 1"},
		"empty":           {"", "isn't JSON"},
		"array":           {`["` + canary + `"]`, "not an object"},
		"trailing":        {`{} ` + canary, "isn't JSON"},
		"twice":           {`{"password":"a","password":"` + canary + `"}`, `key "password" is there twice`},
		"number password": {`{"password":12345678}`, `key "password": not a JSON string`},
		"object host":     {`{"host":{"a":"` + canary + `"}}`, `key "host": not a JSON string`},
		"port":            {`{"port":"` + canary + `"}`, `key "port": not a port`},
		"port range":      {`{"port":65536}`, `key "port": not a port`},
		"ssl":             {`{"ssl":"` + canary + `"}`, `key "ssl": neither true nor false`},
		"lone surrogate":  {`{"password":"\ud800` + canary + `"}`, `key "password": not Unicode text`},
		"not UTF-8":       {"{\"password\":\"\xff" + canary + "\"}", "isn't UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := spec.ParseDatabase(spec.ValueString(c.doc))
			require.ErrorContains(t, err, c.want)
			assert.False(t, showsCanary(err.Error()))
			assert.NotContains(t, err.Error(), "12345678")
		})
	}
}

func TestDatabaseEncodeRefusesWhatJSONCannotHold(t *testing.T) {
	_, err := spec.Database{Password: spec.ValueString("\xff" + canary)}.Encode()
	require.ErrorContains(t, err, `key "password": not UTF-8 text`)
	assert.False(t, showsCanary(err.Error()))
}
