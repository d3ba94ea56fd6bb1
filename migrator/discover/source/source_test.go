package source_test

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/discover/source"
)

// Made-up credentials, put together so that none stands in this file.
var (
	token  = "gh" + "p_" + strings.Repeat("aB3dE5fG7h", 4)[:36]
	key    = "sk" + "_live_" + strings.Repeat("Zq7Rk2m9Xw", 3)[:24]
	random = "Zq7Rk2m9Xw" + "3Jt8f5Kv1Bd6Hp4Ls0Nc7Ga"
	begin  = "-----BEGIN RSA " + "PRIVATE KEY-----"
	pem    = strings.Repeat("MIIEowIBAAKCAQEA", 4)
)

// tree is files of many formats. A line that ends in a mark of a comment and
// "bad" holds a credential; of those without, none does.
func tree() fstest.MapFS {
	files := map[string]string{
		"main.go": `package main
const dbPassword = "hunter2-prod" // bad
var apiKey string = "` + random + `" // bad
cfg := Config{Password: "s3cr3t!pw", User: "app"} // bad
os.Setenv("STRIPE_KEY", "` + key + `") // bad
dsn := "postgres://app:hunter2@db.internal:5432/shop" // bad
client.Auth("` + token + `") // bad
const passwordKey = "password"
log.Printf("password: %s", "token")
secret := os.Getenv("DB_PASSWORD")
var tokenHeader = "X-Api-Token"
errors.New("the password is missing")
PasswordField: "new-password",
id := "` + strings.Repeat("0123456789abcdef", 4) + `"
url := "https://user:password@example.com/" // a document's
const envPassword = "DB_PASSWORD"
token := "test"
password := "demo-password-1" // migrate:allow made up
`,
		"settings.py": `SECRET_KEY = 'django-insecure-` + random + `' # bad
DATABASES = {'default': {'USER': 'app', 'PASSWORD': 'tr0ub4dor&3'}} # bad
PASSWORD_HASHERS = ['django.contrib.auth.hashers.Argon2PasswordHasher']
AUTH_TOKEN = os.environ["AUTH_TOKEN"]
def login(password: str = "none"): pass
headers = {"Authorization": "Bearer ` + random + `"} # bad
`,
		"app.ts": `const apiToken: string = '` + random + `'; // bad
const password = process.env.PASSWORD;
const label = { password: 'Password', token: 'Enter your token' };
` + "const url = `https://${user}:${password}@host/`" + `;
input.type = 'password';
`,
		"Main.java": `String password = "Summer2024"; // bad
props.put("password", "w1nter!99"); // bad
@Value("${db.password}") private String password;
`,
		".env": `DB_PASSWORD=letmein # bad
LOG_LEVEL=debug
export API_KEY=` + random + ` # bad
PUBLIC_URL=https://example.com
TOKEN=${OTHER_TOKEN}
`,
		"deploy.yaml": `env:
  - name: DB_PASSWORD
    value: "hunter2" # bad
  - name: DB_HOST
    value: db.internal
  - name: API_KEY
    valueFrom:
      secretKeyRef: {name: api, key: token}
password: hunter2 # bad
secretName: shop-tls
schema:
  password: string
  description: The password of the user
token: ${{ secrets.GITHUB_TOKEN }}
image: app@sha256:` + strings.Repeat("0123456789abcdef", 4) + `
`,
		"main.tf": `variable "db_password" {}
resource "aws_db_instance" "db" {
  username = "app"
  password = "hunter2-prod" # bad
  kms_key_id = "arn:aws:kms:us-east-1:123456789012:key/0"
}
resource "x" "y" {
  password = var.db_password
}
`,
		"appsettings.json": `{
  "ConnectionStrings": { "Default": "Server=db;Database=shop;User Id=app;Password=hunter2" }, "x": "bad",
  "Environment": [ { "name": "API_TOKEN", "value": "` + random + `" } ], "x": "bad",
  "Logging": { "LogLevel": "Information" },
  "integrity": "sha512-` + strings.Repeat("aB3dE5fG7h", 8) + `=="
}
`,
		"web.config": `<add key="ApiPassword" value="hunter2" /> <!-- bad -->
<password>hunter2</password> <!-- bad -->
<name>shop</name>
`,
		"Dockerfile": `FROM alpine
ENV DB_PASSWORD hunter2 # bad
ARG VERSION=1.2.3
RUN curl --token=` + random + ` https://example.com # bad
`,
		"run":         "#!/usr/bin/env python\nPASSWORD = ask\n",
		".netrc":      "machine db.internal login bad password hunter22\n",
		"id.ppk":      "PuTTY-User-Key-File-2: ssh-rsa bad\nEncryption: none\n",
		"servers.xml": "<Pass encoding=\"base64\">hunter2</Pass> <!-- bad -->\n",
		"wp-config.php": `<?php
define('AUTH_SALT', 'a1B2$(c3)D4 e5F6{g7H8}i9J0%k1L2~m3N4^o5P6|q7R8<s9T0>u1V2'); // bad
define('DB_HOST', 'localhost');
`,
		"README.md": "Set `DB_PASSWORD=hunter2` first.\nOr use " + token + " for it. bad\n",
		"key.pem":   begin + " bad\n" + pem + "\n",
		"parse.go":  "if strings.HasPrefix(text, \"" + begin + "\") {\n\treturn nil\n}\n",

		".gitignore":              "*.local\n/build/\n!kept.local\n",
		"secret.local":            "DB_PASSWORD=hunter2\n",
		"kept.local":              "x\n",
		"build/out.env":           "DB_PASSWORD=hunter2\n",
		"sub/.gitignore":          "dev.env\n",
		"sub/dev.env":             "DB_PASSWORD=hunter2\n",
		"sub/prod.env":            "DB_PASSWORD=hunter2 # bad\n",
		"node_modules/x/index.js": "const password = 'hunter2-prod'\n",
		"vendor/x/x.go":           "const password = \"hunter2-prod\"\n",
		"logo.png":                "\x89PNG\x00 password=hunter2 " + token,
		"go.sum":                  "x v1 h1:" + random + "=\n",
		"allowed/dev.env":         "DB_PASSWORD=hunter2\n",
		"pkg/thing_test.go":       "const password = \"hunter2-prod\"\n",
	}
	out := fstest.MapFS{}
	for name, text := range files {
		out[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	out["big.sql"] = &fstest.MapFile{Data: []byte(strings.Repeat("insert into a values (1);\n", 50000)), Mode: 0o644}
	return out
}

func scan(t *testing.T, files fs.FS, options source.Options) source.Result {
	t.Helper()
	classifier, err := classify.New(classify.Config{})
	require.NoError(t, err)
	result, err := source.Scan(t.Context(), files, classifier, options)
	require.NoError(t, err)
	return result
}

func TestCredentialsAreFoundWhereTheyStand(t *testing.T) {
	files := tree()
	result := scan(t, files, source.Options{Allow: []string{"allowed/**", "*_test.go"}})
	found := map[string]bool{}
	for _, f := range result.Findings {
		found[fmt.Sprintf("%s:%d", f.File, f.Line)] = true
		assert.True(t, f.Verdict.Secret)
		assert.NotEmpty(t, f.Verdict.Reasons)
	}
	for name, file := range files {
		for i, line := range strings.Split(string(file.Data), "\n") {
			place := fmt.Sprintf("%s:%d", name, i+1)
			assert.Equal(t, strings.Contains(line, "bad"), found[place], "%s: %s", place, line)
		}
	}
	assert.Equal(t, []source.Unread{{File: "big.sql", Reason: "it has more than 1 MB"}}, result.Unread)
	text := fmt.Sprintf("%+v", result)
	for _, value := range []string{"hunter2", token, random, key} {
		assert.NotContains(t, text, value)
	}
}

// One name and value is one finding, however many ways lead to it.
func TestAValueIsFoundOnceALine(t *testing.T) {
	result := scan(t, fstest.MapFS{"a.env": {Data: []byte("GITHUB_TOKEN=" + token + "\n")}, "b.go": {Data: []byte(`x := "postgres://app:hunter2@db/shop?password=` + random + `"`)}}, source.Options{})
	require.Len(t, result.Findings, 2)
	assert.Equal(t, "GITHUB_TOKEN", result.Findings[0].Name)
	assert.Equal(t, token, result.Findings[0].Value.RevealString())
}

func TestMalformedPatternsAreRefused(t *testing.T) {
	classifier, err := classify.New(classify.Config{})
	require.NoError(t, err)
	_, err = source.Scan(t.Context(), tree(), classifier, source.Options{Allow: []string{"a[/**"}})
	require.ErrorContains(t, err, `"a[/**"`)
	_, err = source.Scan(t.Context(), os.DirFS("testdata/none"), classifier, source.Options{})
	require.Error(t, err)
}

// This project's own files hold no credentials but made-up ones of tests and
// documents.
func TestThisProjectHoldsNone(t *testing.T) {
	result := scan(t, os.DirFS("../../.."), source.Options{Allow: []string{"testdata", "*_test.go"}})
	for _, f := range result.Findings {
		t.Errorf("%s:%d: %s (%s)", f.File, f.Line, f.Name, strings.Join(f.Verdict.Reasons, ", "))
	}
	assert.Greater(t, result.Files, 500)
}

// What a line of configuration has beyond what is looked at isn't clean.
func TestALineThatIsTooLongIsTold(t *testing.T) {
	long := `{"data":"` + strings.Repeat("a b ", 1100) + `","password":"` + random + `"}`
	result := scan(t, fstest.MapFS{"a.json": {Data: []byte("{}\n" + long)}, "a.js": {Data: []byte(long)}, "b.json": {Data: []byte("{}")}}, source.Options{})
	assert.Equal(t, []source.Unread{{File: "a.json", Reason: "line 2 has more than 4096 bytes, and isn't looked at beyond"}}, result.Unread)
	assert.Equal(t, 3, result.Files)
}
