package spec_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/sdk/spec"
)

// document draws a JSON object of members that aren't ours, as they may have
// been written by anyone, and returns it with the members' text.
func document(t *rapid.T, ours []string) (doc string, foreign []string) {
	space := rapid.SampledFrom([]string{"", " ", "\n\t", "\r\n "})
	keys := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zA-Z_]{1,8}|\\u00e4[a-z]?`), 0, 6, func(s string) string { return s }).Draw(t, "keys")
	values := rapid.SampledFrom([]string{
		`null`, `true`, `-1.50e+10`, `0`, `"text"`, `"\u00e4\/\n"`, `"ä"`, `[]`, `[1, 2 ,"x"]`, `{"a" : {"b":[null ]}}`, `12345678901234567890`, `""`,
	})
	members := append([]string(nil), ours...)
	for _, key := range keys {
		switch key {
		case "engine", "host", "port", "username", "password", "dbname", "ssl":
			continue
		}
		text := `"` + key + `":` + values.Draw(t, "value")
		foreign = append(foreign, text)
		members = append(members, text)
	}
	members = rapid.Permutation(members).Draw(t, "order")
	var out strings.Builder
	out.WriteString(space.Draw(t, "space") + "{" + space.Draw(t, "space"))
	for i, member := range members {
		if i > 0 {
			out.WriteString(space.Draw(t, "space") + "," + space.Draw(t, "space"))
		}
		out.WriteString(member)
	}
	out.WriteString(space.Draw(t, "space") + "}" + space.Draw(t, "space"))
	return out.String(), foreign
}

func TestUnknownKeysSurviveByteForByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc, foreign := document(t, []string{`"username":"app"`, `"password":"old"`})
		d, err := spec.ParseDatabase(spec.ValueString(doc))
		require.NoError(t, err)
		d.Username = rapid.String().Draw(t, "username")
		password := rapid.StringN(1, 40, -1).Draw(t, "password")
		d.Password = spec.ValueString(password)
		d.Port = rapid.IntRange(0, 65535).Draw(t, "port")
		encoded, err := d.Encode()
		require.NoError(t, err)
		text := encoded.RevealString()
		require.True(t, json.Valid([]byte(text)), "%q", text)
		at := 0
		for _, member := range order(foreign, doc) {
			i := strings.Index(text[at:], member)
			require.GreaterOrEqual(t, i, 0, "%s is missing, or not in its order, in %s", member, text)
			at += i + len(member)
		}

		again, err := spec.ParseDatabase(encoded)
		require.NoError(t, err)
		require.Equal(t, d.Username, again.Username)
		require.Equal(t, password, again.Password.RevealString())
		require.Equal(t, d.Port, again.Port)
		same, err := again.Encode()
		require.NoError(t, err)
		require.Equal(t, text, same.RevealString())
	})
}

// order sorts members as they stand in the document.
func order(members []string, doc string) []string {
	var sorted []string
	for len(members) > 0 {
		first := 0
		for i := range members {
			if strings.Index(doc, members[i]) < strings.Index(doc, members[first]) {
				first = i
			}
		}
		sorted = append(sorted, members[first])
		members = append(members[:first:first], members[first+1:]...)
	}
	return sorted
}

func FuzzParseDatabase(f *testing.F) {
	for _, seed := range []string{
		`{"engine":"postgres","host":"h","port":5432,"username":"u","password":"p","ssl":true}`,
		`{"port":"5432","ssl":"false","x":{"y":[1,2]},"\u0078":1}`, `{"password":"\ud800"}`, `{"a":1,"a":2}`, `{} {}`, `[`, "{\"a\":\"\xff\"}", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := spec.ParseDatabase(spec.NewValue(doc))
		if err != nil {
			return
		}
		require.True(t, json.Valid(doc))
		require.True(t, utf8.ValidString(d.Password.RevealString()))
		encoded, err := d.Encode()
		require.NoError(t, err)
		var before, after map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(doc, &before))
		require.NoError(t, json.Unmarshal(encoded.Reveal(), &after))
		require.Equal(t, before, after)
		again, err := spec.ParseDatabase(encoded)
		require.NoError(t, err)
		require.True(t, d.Password.Equal(again.Password))
		require.Equal(t, d.Username, again.Username)
		require.Equal(t, d.Port, again.Port)
	})
}

func FuzzValueJSON(f *testing.F) {
	f.Add([]byte(`"a\u00e4\ud83d\ude00"`))
	f.Add([]byte(`"[redacted]"`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v spec.Value
		if json.Unmarshal(data, &v) != nil {
			return
		}
		var want string
		require.NoError(t, json.Unmarshal(data, &want))
		require.Equal(t, want, v.RevealString())
	})
}

func TestAPIKey(t *testing.T) {
	for label, c := range map[string]struct{ doc, id, key, encoded, err string }{
		"plain":          {doc: " k3y\n", key: " k3y\n", encoded: " k3y\n"},
		"plain bytes":    {doc: "\xff\x00", key: "\xff\x00", encoded: "\xff\x00"},
		"JSON string":    {doc: `"k3y"`, key: `"k3y"`, encoded: `"k3y"`},
		"object":         {doc: `{"z":1,"key":"k3y","id":"a"}`, id: "a", key: "k3y", encoded: `{"z":1,"key":"k3y","id":"a"}`},
		"no key":         {doc: `{"id":"a"}`, err: `key "key" is missing`},
		"number":         {doc: `{"key":12345678}`, err: `key "key": not a JSON string`},
		"broken object":  {doc: `{"key":"k3y"`, err: "isn't JSON"},
		"empty":          {doc: "", err: "empty"},
		"object, spaced": {doc: ` {"key":"k3y"}`, key: "k3y", encoded: `{"key":"k3y"}`},
	} {
		t.Run(label, func(t *testing.T) {
			k, err := spec.ParseAPIKey(spec.ValueString(c.doc))
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				assert.NotContains(t, err.Error(), "k3y")
				assert.NotContains(t, err.Error(), "12345678")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.id, k.ID)
			assert.Equal(t, c.key, k.Key.RevealString())
			encoded, err := k.Encode()
			require.NoError(t, err)
			assert.Equal(t, c.encoded, encoded.RevealString())
		})
	}
	k, err := spec.ParseAPIKey(spec.ValueString("old"))
	require.NoError(t, err)
	k.Key = spec.ValueString("new")
	encoded, err := k.Encode()
	require.NoError(t, err)
	assert.Equal(t, "new", encoded.RevealString())
	k.ID = "k2"
	encoded, err = k.Encode()
	require.NoError(t, err)
	assert.Equal(t, `{"id":"k2","key":"new"}`, encoded.RevealString())
	_, err = spec.APIKey{ID: "k2"}.Encode()
	require.Error(t, err)
}

func TestOAuth(t *testing.T) {
	const doc = `{"audience":"x","client_id":"shop","client_secret":"s3cret","token_url":"https://idp/token","scope":"a b","access_token":"t0","expires_at":"2026-01-02T03:04:05+01:00","refresh_token":"r0"}`
	o, err := spec.ParseOAuth(spec.ValueString(doc))
	require.NoError(t, err)
	assert.Equal(t, "https://idp/token", o.TokenURL)
	assert.Equal(t, "shop", o.ClientID)
	assert.Equal(t, "s3cret", o.ClientSecret.RevealString())
	assert.Equal(t, "a b", o.Scope)
	assert.Equal(t, "t0", o.AccessToken.RevealString())
	assert.Equal(t, "r0", o.RefreshToken.RevealString())
	assert.True(t, time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC).Equal(o.ExpiresAt))
	same, err := o.Encode()
	require.NoError(t, err)
	assert.Equal(t, doc, same.RevealString())

	o.AccessToken, o.RefreshToken, o.ExpiresAt = spec.ValueString("t1"), spec.Value{}, time.Date(2026, 1, 9, 2, 4, 5, 0, time.UTC)
	changed, err := o.Encode()
	require.NoError(t, err)
	assert.Equal(t, `{"audience":"x","client_id":"shop","client_secret":"s3cret","token_url":"https://idp/token","scope":"a b","access_token":"t1","expires_at":"2026-01-09T02:04:05Z"}`, changed.RevealString())

	for doc, want := range map[string]string{
		`s3cret`:                   "isn't JSON",
		`{"client_secret":["s3"]}`: `key "client_secret": not a JSON string`,
		`{"expires_at":"s3cret"}`:  `key "expires_at": not an RFC 3339 time`,
	} {
		_, err := spec.ParseOAuth(spec.ValueString(doc))
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "s3")
	}
	_, err = spec.OAuth{ClientSecret: spec.ValueString("\xff")}.Encode()
	require.ErrorContains(t, err, `key "client_secret": not UTF-8`)
}

func TestSeed(t *testing.T) {
	request := spec.SeedRequest{Step: spec.StepSeed, SecretID: "acme/dev/shop/db", Database: &spec.DatabaseSeed{
		Engine: "postgres", Host: "h", Port: 5433, DBName: "shop", Username: "shop", MasterSecretARN: "arn:m", SSL: new(false),
	}}
	require.NoError(t, request.Validate())
	text, err := json.Marshal(request)
	require.NoError(t, err)
	assert.JSONEq(t, `{"Step":"seedSecret","SecretId":"acme/dev/shop/db","Database":{"engine":"postgres","host":"h","port":5433,"dbname":"shop","username":"shop","masterarn":"arn:m","ssl":false}}`, string(text))
	var back spec.SeedRequest
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, request, back)

	text, err = json.Marshal(spec.SeedResult{SecretID: "a", VersionID: "b", Seeded: true})
	require.NoError(t, err)
	assert.JSONEq(t, `{"SecretId":"a","VersionId":"b","Seeded":true}`, string(text))

	err = spec.SeedRequest{Step: "createSecret", Database: &spec.DatabaseSeed{Engine: "oracle", Port: -1}}.Validate()
	for _, want := range []string{"step is", "SecretId is missing", `unknown engine "oracle"`, `"host" is missing`, `"username" is missing`, `"masterarn" is missing`, "not a port"} {
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, spec.SeedRequest{Step: spec.StepSeed, SecretID: "a"}.Validate())
}

func TestDatabaseValidate(t *testing.T) {
	good := spec.Database{Engine: "mysql", Host: "h", Username: "u", Password: spec.ValueString("p")}
	require.NoError(t, good.Validate())
	for _, want := range []string{`"engine" is missing`, `"host" is missing`, `"username" is missing`, `"password" is missing`} {
		require.ErrorContains(t, spec.Database{}.Validate(), want)
	}
	for _, engine := range spec.Engines() {
		assert.NotZero(t, spec.DefaultPort(engine))
	}
	assert.Zero(t, spec.DefaultPort("oracle"))
	_, err := spec.Database{Port: 70000}.Encode()
	require.ErrorContains(t, err, "70000 is not a port")
}
