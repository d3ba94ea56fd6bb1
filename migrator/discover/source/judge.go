package source

import (
	"regexp"
	"strings"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/sdk/spec"
)

// allowComments are the marks of a line that may hold a credential.
var allowComments = []string{"migrate:allow", "gitleaks:allow"}

// longest is the length beyond which a line isn't looked at: it was made by a
// program. Of a file of configuration that is told.
const longest = 4096

// judge returns the credentials of a text, one a value and line.
func judge(classifier Classifier, f format, text string) []Finding {
	var found []Finding
	pending := ""
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		var pairs []pair
		if len(line) > longest {
			line = line[:longest]
		}
		pairs, pending = pairsOf(f, line, pending)
		if containsAny(line, allowComments) {
			continue
		}
		seen := map[string]bool{}
		if privateKey.MatchString(line) && i+1 < len(lines) && keyMaterial.MatchString(lines[i+1]) || privateKeyInLine.MatchString(line) {
			found = append(found, finding(classifier, i+1, pair{"", strings.TrimSpace(line), true}))
			continue
		}
		for _, p := range pairs {
			if seen[p.value] || p.value == "" || privateKey.MatchString(p.value) {
				continue
			}
			if one := finding(classifier, i+1, p); one.Verdict.Secret && believable(f, p, one.Verdict) {
				seen[p.value] = true
				found = append(found, one)
			}
		}
	}
	return withoutParts(found)
}

func finding(classifier Classifier, line int, p pair) Finding {
	value := spec.ValueString(p.value)
	return Finding{Line: line, Name: p.name, Value: value, Verdict: classifier.Classify(classify.Setting{Name: p.name, Value: value})}
}

// withoutParts leaves out what is a part of another finding of its line: a token
// within a URL.
func withoutParts(found []Finding) []Finding {
	var kept []Finding
	for i, f := range found {
		part := false
		for j, other := range found {
			if other.Line == f.Line && j != i && other.Value.Len() > f.Value.Len() && strings.Contains(other.Value.RevealString(), f.Value.RevealString()) {
				part = true
			}
		}
		if !part {
			kept = append(kept, f)
		}
	}
	return kept
}

var (
	privateKey       = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----|^PuTTY-User-Key-File-\d: `)
	privateKeyInLine = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----(?:\\n|\s)+[A-Za-z0-9+/=]{40,}`)
	keyMaterial      = regexp.MustCompile(`^[\s"'+|#*/]*(?:[A-Za-z0-9+/=]{40,}|Proc-Type:|Version:|Encryption:)`)
)

var (
	// standIn are values that stand for one.
	standIn = regexp.MustCompile(`(?i)example|placeholder|change[-_ ]?me|dummy|redacted|your[-_ ]|my[-_]|fake|x{4,}|\*{3,}|\.{3}|^<|^test$|^todo|insert[-_ ]|replace[-_ ]|[a-z]+_here`)
	// reference are values that a program fills in.
	reference = regexp.MustCompile(`^\s*\+|\+\s*$|\$\{|\$\(|^\$|\{\{|%[svdq+(]|#\{|\\\(|\{[a-z_.]*\}|process\.env|environ|getenv|^secrets\.|^var\.|^local\.|^data\.|^vault:`)
	// expression is a regular expression, which may tell of credentials.
	expression = regexp.MustCompile(`\\[sSwWdDbB]|\[\^?[AaZz0-9]-|\[\^|\(\?`)
	// commonLogin are the logins of documents: user:password@.
	commonLogin = regexp.MustCompile(`(?i)//(?:user(?:name)?|u|a|foo|login):(?:pass(?:word|wd)?|p|b|bar|secret|pwd)@`)
	// chosen has what people put into passwords and not into words.
	chosen = regexp.MustCompile(`[0-9].*[A-Za-z]|[A-Za-z].*[0-9]|[!@#$%^&*+=?~]`)
	// key is how keys look that no person chose.
	key = regexp.MustCompile(`^[0-9a-f]{32,}$|[A-Z].*[0-9]|[0-9].*[A-Z]`)
	// typeWord are what schemas and forms say about a field.
	typeWord = regexp.MustCompile(`(?i)^(?:string|str|text|number|integer|int|bool(?:ean)?|object|array|map|list|any|bytes?|hidden|required|optional|password|secret|token|key|username|user|none|null|nil|undefined|true|false|yes|no|file|env|header|query|body|plain|invalid|missing|wrong|read|write|read-all|write-all|inherit)$`)
)

// believable leaves out what stands for a credential or names one, and in
// programs what is a word like others.
func believable(f format, p pair, v classify.Verdict) bool {
	value := strings.TrimSpace(p.value)
	switch {
	case p.quoted && v.Confidence >= 0.8 && p.name != "" && dense(value) && !expression.MatchString(value) && !identifier.MatchString(value):
		return true
	case reference.MatchString(value) && !v.Form, containsAny(value, []string{"${", "{{", "%s", "=$"}), expression.MatchString(value):
		return false
	case v.Form:
		return !commonLogin.MatchString(value) && !strings.Contains(value, "EXAMPLE") && !standIn.MatchString(credentialPart(value))
	case p.name == "" || v.Confidence < 0.8: // random, without a name that says so: hashes are that, too
		return false
	case standIn.MatchString(value), typeWord.MatchString(value), strings.ContainsAny(value, " \t"), len(value) < 6 && f != configuration:
		return false
	case strings.EqualFold(strip(value), strip(p.name)), strings.HasPrefix(value, "/"), strings.HasPrefix(value, "./"):
		return false
	case !p.quoted && strings.ContainsAny(value[:1], "!*&"): // YAML's tags, aliases and anchors
		return false
	case f == program && v.Confidence < 0.9: // the name says that it may be one
		return p.quoted && len(value) >= shortest && key.MatchString(value) && !identifier.MatchString(value)
	case f == program:
		return p.quoted && chosen.MatchString(value) && !identifier.MatchString(value)
	default:
		return true
	}
}

// identifier is how programs and files write the name of a thing.
var identifier = regexp.MustCompile(`^[a-z][a-z0-9-]*:[A-Za-z0-9/_:-]+$|^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$|^[a-z][a-z0-9]*(?:_[a-z0-9]+){2,}$|^[a-z]+(?:[-_./:][a-z0-9]+)+$|^[a-z]+(?:[A-Z][a-z0-9]+)+$|^[A-Za-z][\w.]*\(.*\)$`)

// credentialPart is the password of a URL: examples name users and hosts as
// well.
func credentialPart(value string) string {
	_, rest, found := strings.Cut(value, "://")
	if !found {
		return value
	}
	_, password, _ := strings.Cut(rest[:max(0, strings.LastIndex(rest, "@"))], ":")
	return password // none in a webhook: its path is the credential
}

// dense tells of long values of all classes of characters, however they look
// like a reference.
func dense(value string) bool {
	if len(value) < 40 {
		return false
	}
	for _, class := range []string{"abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "!#$%&()*+,-./:;<=>?@[]^_{|}~"} {
		if strings.IndexFunc(value, func(r rune) bool { return strings.ContainsRune(class, r) }) < 0 {
			return false
		}
	}
	return strings.Count(value, " ")*16 <= len(value) && !strings.Contains(value, "://")
}

func strip(text string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "", "/", "", " ", "").Replace(text)
}

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
