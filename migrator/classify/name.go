package classify

import (
	"slices"
	"strings"
	"unicode"
)

// name is a setting's name in lower-case words: DB_PASSWORD, dbPassword and
// /shop/db/password are all [… db password].
type name struct {
	words []string
}

func parseName(s string) name {
	var words []string
	var word []rune
	end := func() {
		if len(word) > 0 {
			words = append(words, splitCompound(strings.ToLower(string(word)))...)
			word = word[:0]
		}
	}
	runes := []rune(s)
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			end()
			continue
		case i > 0 && unicode.IsUpper(r) && unicode.IsLower(runes[i-1]):
			end() // dbPassword
		case i > 0 && i+1 < len(runes) && unicode.IsUpper(r) && unicode.IsUpper(runes[i-1]) && unicode.IsLower(runes[i+1]):
			end() // APIKey
		}
		word = append(word, r)
	}
	end()
	return name{words: words}
}

// compounds are words that people write together.
var compounds = []struct{ together, first, second string }{
	{"apikey", "api", "key"}, {"apitoken", "api", "token"}, {"apisecret", "api", "secret"},
	{"secretkey", "secret", "key"}, {"accesskey", "access", "key"}, {"privatekey", "private", "key"},
	{"publickey", "public", "key"}, {"authtoken", "auth", "token"}, {"accesstoken", "access", "token"},
	{"refreshtoken", "refresh", "token"}, {"clientsecret", "client", "secret"}, {"clientid", "client", "id"},
	{"encryptionkey", "encryption", "key"}, {"signingkey", "signing", "key"}, {"masterkey", "master", "key"},
	{"dbpassword", "db", "password"}, {"dbpass", "db", "pass"}, {"dbpasswd", "db", "passwd"}, {"dbpwd", "db", "pwd"}, {"dbuser", "db", "user"}, {"dbhost", "db", "host"},
	{"dbname", "db", "name"}, {"dbport", "db", "port"},
	{"pgpassword", "pg", "password"}, {"pguser", "pg", "user"}, {"pghost", "pg", "host"},
	{"pgdatabase", "pg", "database"}, {"pgport", "pg", "port"},
	{"keyid", "key", "id"}, {"userpassword", "user", "password"}, {"dburl", "db", "url"}, {"maxtokens", "max", "tokens"},
}

func splitCompound(word string) []string {
	for _, c := range compounds {
		if word == c.together {
			return []string{c.first, c.second}
		}
	}
	return []string{word}
}

func (n name) has(words ...string) bool {
	return slices.ContainsFunc(n.words, func(w string) bool { return slices.Contains(words, w) })
}

func (n name) last() string {
	if len(n.words) == 0 {
		return ""
	}
	return n.words[len(n.words)-1]
}

func (n name) first() string {
	if len(n.words) == 0 {
		return ""
	}
	return n.words[0]
}

// endsIn tells whether these are the name's last words.
func (n name) endsIn(words ...string) bool {
	return len(n.words) >= len(words) && slices.Equal(n.words[len(n.words)-len(words):], words)
}

// hint is what a name says about its value.
type hint struct {
	weight weight
	reason string
}

type weight int

const (
	silent  weight = iota
	against        // it names something else: an identifier, a limit, a path
	likely         // a secret, if the value is random enough
	certain        // a secret, however short and plain
)

// Words that end a name and say that it holds something about a secret, not
// the secret: PASSWORD_MIN_LENGTH, TOKEN_TTL, KEY_ID.
var about = []string{
	"id", "ids", "arn", "name", "names", "path", "paths", "file", "filename", "dir", "directory", "folder",
	"ttl", "age", "days", "hours", "minutes", "seconds", "secs", "ms", "millis", "timeout", "interval", "expiry", "expires",
	"expiration", "lifetime", "duration", "length", "len", "size", "count", "limit", "max", "min", "maximum", "minimum",
	"enabled", "disabled", "enable", "required", "optional", "allowed", "mode", "type", "kind", "format",
	"policy", "rotation", "version", "prefix", "suffix", "header", "field", "column", "table", "bucket", "queue", "topic",
	"algorithm", "alg", "issuer", "audience", "scope", "scopes", "alias", "provider", "manager", "store", "backend",
	"endpoint", "host", "hostname", "port", "region", "environment", "env", "stage", "level", "status", "strategy",
	"hint", "label", "description", "regex", "pattern", "charset", "encoding", "rounds", "cost", "iterations", "attempts", "retries",
	"fingerprint", "thumbprint", "checksum", "cache", "index", "uri", "url", "urls", "domain", "email", "username", "user", "date", "updated", "created", "usage", "ops", "class",
}

// Words that are a secret by themselves.
var certainWords = []string{
	"password", "passwd", "passphrase", "passcode", "pwd", "secret", "secrets", "credential", "credentials", "creds", "cred",
	"psk", "mnemonic", "htpasswd",
}

// Words at the end of a name that tell one of several of what stands before them:
// DB_PASSWORD_OLD, API_KEY_PROD, MASTER_KEY_B64.
var which = []string{
	"old", "new", "previous", "prev", "current", "next", "primary", "secondary", "legacy", "backup",
	"prod", "production", "staging", "dev", "test", "live", "sandbox", "value", "plain", "plaintext", "raw", "b64", "base64",
}

// Words that are a secret after one of the words that go before them.
var certainPairs = map[string][]string{
	"key": {
		"api", "secret", "private", "encryption", "signing", "sign", "master", "hmac", "aes", "jwt", "auth", "crypto", "ssh", "rsa",
		"account", "storage", "license", "subscription", "sas", "webhook", "stripe", "openai", "anthropic", "sendgrid", "datadog",
		"twilio", "mailgun", "service", "session", "cookie", "data",
	},
	"keys":  {"api", "secret", "private", "encryption", "signing", "jwt"},
	"token": nil, // any
	"tokens": {
		"api", "auth", "access", "refresh", "bearer", "secret", "bot",
	},
	"string": {"connection", "conn"},
	"pass":   nil,
	"pin":    {"admin", "card", "access", "hsm"},
	"phrase": {"pass", "seed", "recovery"},
	"seed":   {"totp", "otp", "mfa", "wallet"},
}

// Words that may be a secret.
var likelyWords = []string{
	"key", "keys", "auth", "authorization", "salt", "pepper", "signature", "dsn", "webhook", "cert", "certificate", "pem", "pfx", "keystore",
	"jwt", "jwk", "jwks", "cookie", "session", "hmac", "nonce", "otp", "totp", "sas", "license", "pat", "bearer", "basic", "login", "hook",
}

func (n name) hint() hint {
	if len(n.words) == 0 {
		return hint{}
	}
	last := n.last()
	words := n.words
	// A number at the end counts variants: API_KEY_2.
	for len(words) > 1 && (isNumber(last) || slices.Contains(which, last)) {
		words = words[:len(words)-1]
		last = words[len(words)-1]
	}
	previous := ""
	if len(words) > 1 {
		previous = words[len(words)-2]
	}
	public := n.has("public", "publishable", "pub")
	switch {
	case public && (last == "key" || last == "keys" || last == "token"):
		return hint{against, "its name says that it is public"}
	case slices.Contains(about, last) && n.mentionsSecret():
		return hint{against, "its name ends in " + quoted(last) + ", so it is about a secret, not one"}
	case slices.Contains(certainWords, last):
		return hint{certain, "its name ends in " + quoted(last)}
	}
	if before, ok := certainPairs[last]; ok {
		if before == nil {
			return hint{certain, "its name ends in " + quoted(last)}
		}
		if slices.Contains(before, previous) {
			return hint{certain, "its name ends in " + quoted(previous+" "+last)}
		}
	}
	switch {
	case slices.Contains(likelyWords, last):
		return hint{likely, "its name ends in " + quoted(last)}
	case n.mentionsSecret():
		return hint{likely, "its name mentions a secret"}
	case slices.Contains(about, last):
		return hint{against, "its name ends in " + quoted(last)}
	case public:
		return hint{against, "its name says that it is public"}
	default:
		return hint{}
	}
}

func (n name) mentionsSecret() bool {
	return n.has(certainWords...) || n.has("token", "tokens", "key", "keys", "pass", "auth", "apikey", "secretsmanager", "cookie", "session", "cert")
}

func quoted(s string) string { return `"` + s + `"` }

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
