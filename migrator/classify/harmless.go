package classify

import (
	"regexp"
	"strings"
)

// harmless are forms that no credential has, under whatever name.
var harmless = []struct {
	form   *regexp.Regexp
	reason string
}{
	{regexp.MustCompile(`(?i)^(?:true|false|yes|no|on|off|enabled|disabled|none|null|nil|undefined|default|auto)$`), "a switch"},
	{regexp.MustCompile(`^-?\d{1,3}$|^-?\d+\.\d+$|^-?\d{1,3}(?:[_,]\d{3})+$`), "a number"},
	{regexp.MustCompile(`^P(?:\d+[YMWD])*(?:T(?:\d+[HMS])+)?$|^\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h|d)(?:\d+(?:ms|s|m|h))*$`), "a duration"},
	{regexp.MustCompile(`(?i)^\d+(?:\.\d+)? ?(?:b|kb|mb|gb|tb|kib|mib|gib|%)$`), "a size"},
	{regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$`), "a time"},
	{regexp.MustCompile(`^v?\d+\.\d+(?:\.\d+)?(?:[-+][0-9A-Za-z.-]+)?$`), "a version"},
	{regexp.MustCompile(`^(?:rate|cron|at)\(.*\)$|^(?:[\d*/,-]+ ){4,5}[\d*/,?A-Z-]+$`), "a schedule"},
	{regexp.MustCompile(`^(?:(?:us|eu|ap|sa|ca|af|me|il|mx|cn)(?:-gov|-iso[a-z]?)?-(?:north|south|east|west|central|northeast|southeast|northwest|southwest)-\d)[a-f]?$`), "a region"},
	{regexp.MustCompile(`^\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?(?::\d+)?$`), "an IP address"},
	{regexp.MustCompile(`(?i)^[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}$`), "an e-mail address"},
	{regexp.MustCompile(`-----BEGIN (?:[A-Z0-9 ]*PUBLIC KEY|CERTIFICATE|CERTIFICATE REQUEST|X509 CRL)(?: BLOCK)?-----`), "public key material"},
	{regexp.MustCompile(`^(?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-\S+) AAAA`), "a public key"},
	{regexp.MustCompile(`^pk_(?:live|test)_[A-Za-z0-9]+$`), "a publishable key of Stripe"},
	{regexp.MustCompile(`^(?:acct|cus|evt|in|pi|plan|pm|price|prod|seti|si|sub|we)_[A-Za-z0-9]{14,}$`), "the id of a thing in Stripe"},
	// Twilio documentation, "What is a String Identifier (SID)?": two letters and a UUID.
	{regexp.MustCompile(`^[A-Z]{2}[0-9a-f]{32}$`), "the id of a thing in Twilio"},
	{regexp.MustCompile(`^#[0-9A-Fa-f]{3,8}(?:[,; ]+#[0-9A-Fa-f]{3,8})*$`), "colours"},
	{regexp.MustCompile(`^[A-Z][A-Za-z]+/[A-Z][A-Za-z_]+$|^UTC$|^GMT(?:[+-]\d+)?$`), "a time zone"},
	{regexp.MustCompile(`^(?:sha(?:1|256|384|512)|md5)[:-][A-Fa-f0-9+/=]+$`), "a digest"},
	{regexp.MustCompile(`(?i)^(?:(?:sha-?(?:1|256)|md5)(?: fingerprint)?[:= ])?(?:[0-9a-f]{2}:){15,}[0-9a-f]{2}$`), "a fingerprint"},
	{regexp.MustCompile(`^\d{12}$`), "an AWS account"},
	{regexp.MustCompile(`^\d{12}\.dkr\.ecr\.`), "a container image"},
	{regexp.MustCompile(`^(?:vpc|subnet|sg|ami|i|eni|vol|snap|igw|nat|rtb|acl|lt|eipalloc|fs|tgw|vpce|pcx|lb|key|mrk)-[0-9a-f]{8,32}$`), "the id of an AWS resource"},
	{regexp.MustCompile(`^(?:alias/[A-Za-z0-9/_-]+|mrk-[0-9a-f]{32})$`), "a KMS key's name"},
	{regexp.MustCompile(`^(?:us|eu|ap|sa|ca|af|me)-[a-z]+-\d_[A-Za-z0-9]{9}$`), "a Cognito user pool"},
	{regexp.MustCompile(`^[A-Z0-9]{13,14}$`), "the id of a CloudFront distribution or the like"},
	{regexp.MustCompile(`^(?:[A-Za-z]:)?(?:\.{0,2}/)[\w.@%+~-]+(?:/[\w.@%+~*-]*)*/?$`), "a path"},
	{regexp.MustCompile(`^(?:[a-z]+\+)?[a-z][a-z0-9+.-]*://\S+$`), "a URL without a password in it"},
	{regexp.MustCompile(`^(?:jdbc|sqlite):\S+$`), "a URL without a password in it"},
	{regexp.MustCompile(`(?i)^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?:com|net|org|io|dev|local|internal|cloud|app|co|ai|gov|edu|info|biz|eu|de|uk|us|svc|lan|test|example|localhost)(?::\d+)?(?:/\S*)?$|^localhost(?::\d+)?$`), "a host name"},
	{regexp.MustCompile(`^[a-z0-9.-]+\.amazonaws\.com(?:\.cn)?(?::\d+)?(?:/\S*)?$`), "a host name"},
	{regexp.MustCompile(`^(?:application|text|image|audio|video|multipart)/[\w.+-]+(?:; ?charset=\S+)?$`), "a media type"},
	{regexp.MustCompile(`^(?:HS|RS|ES|PS)(?:256|384|512)$|^(?i:aes-?(?:128|192|256)(?:-?(?:gcm|cbc|ctr))?|sha-?(?:1|256|512)|ed25519|bcrypt|argon2id?|scrypt|hmac-sha\d+)$`), "an algorithm"},
	{regexp.MustCompile(`^[a-z]{2}(?:[-_][A-Z]{2})?(?:\.UTF-8)?$`), "a locale"},
}

var (
	uuid   = regexp.MustCompile(`^(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	digest = regexp.MustCompile(`^[0-9a-fA-F]{32}$|^[0-9a-fA-F]{40}$|^[0-9a-fA-F]{64}$|^[0-9a-fA-F]{7,12}$`)
)

// ciphertext is how KMS's symmetric ciphertexts begin in base64, and enough of
// them to hold the key's id and a data key.
var ciphertext = regexp.MustCompile(`^AQICAH[A-Za-z0-9+/]{90,}={0,2}$`)

// isCiphertext tells of values that the service decrypts itself, as Lambda's
// console once offered.
func isCiphertext(value string) bool { return ciphertext.MatchString(strings.TrimSpace(value)) }

// harmlessIn returns why the value can't be a credential. Where a name says for
// certain that it is one, a form that a weak password can have too doesn't count.
func harmlessIn(n name, value string) (reason string, ok bool) {
	value = strings.TrimSpace(value)
	sure := n.hint().weight == certain
	for _, h := range harmless {
		if !h.form.MatchString(value) {
			continue
		}
		if sure && couldBePassword(h.reason) {
			return "", false
		}
		return h.reason, true
	}
	switch {
	case uuid.MatchString(value) && !sure && n.hint().weight != likely:
		return "a UUID", true
	case isDigest(n, value) && !sure:
		return "a digest, by its name", true
	}
	return "", false
}

// couldBePassword tells of the forms that people choose as passwords.
func couldBePassword(reason string) bool {
	switch reason {
	case "a number", "an AWS account", "the id of a CloudFront distribution or the like", "a version", "an e-mail address", "a locale", "a host name", "a size", "a duration", "a fingerprint":
		return true
	default:
		return false
	}
}

// isDigest tells of hexadecimal values whose name says what they are of.
func isDigest(n name, value string) bool {
	return digest.MatchString(value) && n.has("sha", "sha1", "sha256", "sha512", "md5", "hash", "digest", "checksum", "commit", "revision", "rev",
		"etag", "fingerprint", "build", "git", "image", "thumbprint", "trace", "version", "release", "id", "tag")
}
