package classify

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/aistudio/secrets/sdk/spec"
)

// credential is a form that only credentials have.
type credential struct {
	kind       spec.Kind // "": as the name says
	reason     string
	confidence float64
}

// issued are the forms of known issuers' credentials, as they document them.
var issued = []struct {
	form   *regexp.Regexp
	kind   spec.Kind
	reason string
}{
	{regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|^PuTTY-User-Key-File-\d: `), spec.KindCustom, "a private key"},
	{regexp.MustCompile(`^(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{36,}$|^github_pat_[A-Za-z0-9_]{50,}$`), spec.KindAPIKey, "a token of GitHub"},
	{regexp.MustCompile(`^gl(?:pat|dt|rt|ptt|soat)-[A-Za-z0-9_-]{20,}$`), spec.KindAPIKey, "a token of GitLab"},
	{regexp.MustCompile(`^xox[abeoprs]-[A-Za-z0-9-]{10,}$|^xapp-[A-Za-z0-9-]{10,}$`), spec.KindAPIKey, "a token of Slack"},
	{regexp.MustCompile(`^https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/\S+$`), spec.KindCustom, "a webhook of Slack, whose address is the credential"},
	{regexp.MustCompile(`^https://(?:discord(?:app)?\.com/api/webhooks|[a-z0-9-]+\.webhook\.office\.com/webhookb2)/\S+$`), spec.KindCustom, "a webhook whose address is the credential"},
	// Telegram Bot API, "Authorizing your bot": a token, alone or in the address of a call.
	{regexp.MustCompile(`^(?:https://api\.telegram\.org/(?:file/)?bot)?\d{8,10}:AA[A-Za-z0-9_-]{33}(?:/\S*)?$`), spec.KindAPIKey, "a token of Telegram"},
	{regexp.MustCompile(`^(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}$|^whsec_[A-Za-z0-9+/=]{16,}$`), spec.KindAPIKey, "a key of Stripe"},
	{regexp.MustCompile(`^sk-(?:proj-|svcacct-|ant-|or-)?[A-Za-z0-9_-]{20,}$`), spec.KindAPIKey, "a key of a provider of language models"},
	{regexp.MustCompile(`^hf_[A-Za-z0-9]{30,}$`), spec.KindAPIKey, "a token of Hugging Face"},
	{regexp.MustCompile(`^AIza[A-Za-z0-9_-]{35}$`), spec.KindAPIKey, "a key of Google"},
	{regexp.MustCompile(`^ya29\.[A-Za-z0-9_-]{20,}$|^1//[A-Za-z0-9_-]{20,}$|^GOCSPX-[A-Za-z0-9_-]{20,}$`), spec.KindOAuth, "an OAuth credential of Google"},
	{regexp.MustCompile(`^SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}$`), spec.KindAPIKey, "a key of SendGrid"},
	{regexp.MustCompile(`^npm_[A-Za-z0-9]{36}$|^pypi-[A-Za-z0-9_-]{40,}$|^dckr_pat_[A-Za-z0-9_-]{20,}$`), spec.KindAPIKey, "a token of a package registry"},
	{regexp.MustCompile(`^(?:dop|doo|dor)_v1_[a-f0-9]{64}$`), spec.KindAPIKey, "a token of DigitalOcean"},
	{regexp.MustCompile(`^pul-[a-f0-9]{40}$`), spec.KindAPIKey, "a token of Pulumi"},
	{regexp.MustCompile(`^[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9]{60,70}$`), spec.KindAPIKey, "a token of HCP Terraform"},
	{regexp.MustCompile(`^hv[sbr]\.[A-Za-z0-9_-]{20,}$`), spec.KindAPIKey, "a token of Vault"},
	{regexp.MustCompile(`^shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}$`), spec.KindAPIKey, "a token of Shopify"},
	{regexp.MustCompile(`^key-[a-f0-9]{32}$`), spec.KindAPIKey, "a key of Mailgun"},
	{regexp.MustCompile(`^PMAK-[a-f0-9]{24}-[a-f0-9]{34}$`), spec.KindAPIKey, "a key of Postman"},
	{regexp.MustCompile(`^(?:lin_api|glsa|glc|pat|sq0atp|sq0csp|EAAA|NRAK|nfp|rnd|fo1|dapi|tfp|figd|ATATT3x|xkeysib)[_-][A-Za-z0-9._=-]{16,}$`), spec.KindAPIKey, "a token of a known issuer"},
	{regexp.MustCompile(`^eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}$`), spec.KindAPIKey, "a signed web token"},
	{regexp.MustCompile(`(?i)^(?:bearer|basic|token) +[A-Za-z0-9+/=._~-]{8,}$`), spec.KindAPIKey, "the value of an Authorization header"},
	{regexp.MustCompile(`^A(?:KIA|SIA)[A-Z2-7]{16}$`), spec.KindAPIKey, "the id of an AWS access key, which goes with a secret"},
	{regexp.MustCompile(`(?i)(?:^|;)\s*(?:AccountKey|SharedAccessKey|SharedSecretKey)=[A-Za-z0-9+/=]{16,}`), spec.KindCustom, "a connection string with a key in it"},
	{regexp.MustCompile(`(?i)(?:^|;)\s*(?:Password|Pwd)\s*=\s*[^;]+`), spec.KindDatabase, "a connection string with a password in it"},
	{regexp.MustCompile(`(?i)LoginModule .*\bpassword\s*=\s*\S+`), spec.KindCustom, "a JAAS configuration with a password in it"},
	{regexp.MustCompile(`(?:^|\s)password=(?:'[^']+'|[^\s']\S*)`), spec.KindDatabase, "connection parameters with a password in them"},
	{regexp.MustCompile(`^[^\s:@/]+:[^@/\s]+@(?:tcp|unix)\(`), spec.KindDatabase, "a connection string with a password in it"},
	{regexp.MustCompile(`otpauth://[a-z]+/\S*secret=`), spec.KindCustom, "the seed of one-time passwords"},
	{regexp.MustCompile(`//[^\s]*:_(?:authToken|password)=\S+|^//\S+/:_auth=`), spec.KindAPIKey, "a registry's login"},
}

// databases are the schemes of URLs that name a database, and whether it is one
// of which spec.KindDatabase is.
var databases = map[string]bool{
	"postgres": true, "postgresql": true, "pgsql": true, "mysql": true, "mysql2": true, "mariadb": true, "aurora": true,
	"cockroachdb": false, "sqlserver": false, "mssql": false, "oracle": false, "mongodb": false, "redshift": false,
}

// sqlServer tells of connection strings that only SQL Server's drivers take: it
// is no database of spec.KindDatabase.
var sqlServer = regexp.MustCompile(`(?i)(?:^|;)\s*(?:(?:Data Source|Initial Catalog|TrustServerCertificate|MultipleActiveResultSets)\s*=|Server\s*=\s*(?:tcp:|[^;]*[,\\]))`)

// revealing are query parameters whose value is a credential.
var revealing = []string{
	"password", "passwd", "pwd", "token", "access_token", "auth_token", "api_key", "apikey", "key", "secret", "client_secret",
	"sig", "signature", "x-amz-signature", "auth", "code",
}

func credentialIn(value string) (credential, bool) {
	trimmed := strings.TrimSpace(value)
	for _, known := range issued {
		if known.form.MatchString(trimmed) {
			kind := known.kind
			if kind == spec.KindDatabase && sqlServer.MatchString(trimmed) {
				kind = spec.KindCustom
			}
			return credential{kind, "the value has the form of " + known.reason, 0.98}, true
		}
	}
	return credentialInURL(trimmed)
}

// scheme also takes what is written before one: jdbc:postgresql://…
var scheme = regexp.MustCompile(`^(?:jdbc:)?([a-z][a-z0-9+._-]*)://`)

func credentialInURL(value string) (credential, bool) {
	match := scheme.FindStringSubmatchIndex(value)
	if match == nil || strings.ContainsAny(value, "\n") {
		return credential{}, false
	}
	from := value[match[2]:]
	protocol := value[match[2]:match[3]]
	rest := from[len(protocol)+len("://"):]
	authority, _, _ := strings.Cut(rest, "?")
	// A password may hold a slash that nobody escaped, so the last @ counts.
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		user, password, found := strings.Cut(authority[:at], ":")
		single := !found && !isDatabase(protocol) && randomness(user) >= veryRandom
		if found && password != "" && !isPlaceholder(password) || single {
			return credential{kindOfURL(protocol), "the URL has a password in it", 0.97}, true
		}
	}
	parsed, err := url.Parse(from)
	if err != nil {
		return credential{}, false
	}
	for parameter, values := range parsed.Query() {
		if slices.Contains(revealing, strings.ToLower(parameter)) && len(values[0]) >= 6 && !isPlaceholder(values[0]) {
			return credential{"", "the URL has a credential among its parameters", 0.9}, true
		}
	}
	return credential{}, false
}

// credentialByBoth finds what is a credential by the name and the form of the value
// together, while each alone says otherwise.
func credentialByBoth(n name, value string) (credential, bool) {
	value = strings.TrimSpace(value)
	switch {
	case n.endsIn("secret", "id") && uuid.MatchString(value):
		// Vault documentation, "AppRole auth method": a secret id is a UUID by default.
		return credential{"", "a UUID under the name of a secret id, as Vault's AppRole gives them", 0.85}, true
	case n.first() == "bundle" && slices.Contains(topLevels, n.last()) && login.MatchString(value):
		// Bundler documentation, "bundle config": Credentials for gem sources.
		return credential{"", "a login to a source of gems, whose host its name is", 0.9}, true
	case n.has("webhook", "webhooks", "hook", "hooks") && addressOfAHook(value):
		return credential{"", "the address of a webhook with a random part, which is the credential", 0.85}, true
	}
	return credential{}, false
}

var (
	login     = regexp.MustCompile(`^[^\s:/@]+:[^\s:/@]+$`)
	topLevels = []string{"com", "net", "org", "io", "dev", "app", "co", "cloud", "internal", "local"}
)

// addressOfAHook tells of addresses that nobody could guess.
func addressOfAHook(value string) bool {
	address, err := url.Parse(value)
	if err != nil || address.Scheme != "https" && address.Scheme != "http" {
		return false
	}
	return slices.ContainsFunc(strings.Split(address.Path, "/"), func(part string) bool {
		return len(part) >= 16 && randomness(part) >= veryRandom && !isPlaceholder(part)
	})
}

// isDatabase also takes schemes that name a driver: postgresql+psycopg2.
func isDatabase(protocol string) bool {
	protocol, _, _ = strings.Cut(protocol, "+")
	_, is := databases[protocol]
	return is
}

// kindOfURL returns "" where the scheme doesn't tell.
func kindOfURL(protocol string) spec.Kind {
	protocol, _, _ = strings.Cut(protocol, "+")
	switch ours, is := databases[protocol]; {
	case ours:
		return spec.KindDatabase
	case is:
		return spec.KindCustom
	default:
		return ""
	}
}

var placeholder = regexp.MustCompile(`^(?:\$\{.*\}|\$[A-Z_]+|\$\(.*\)|\{\{.*\}\}|<.*>|%s|\*+|x{3,}|X{3,}|\.\.\.)$`)

func isPlaceholder(value string) bool { return placeholder.MatchString(value) }
