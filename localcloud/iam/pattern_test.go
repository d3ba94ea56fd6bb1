package iam

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "any:thing", true},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"a?c", "aéc", true},
		{"a*c", "ac", true}, {"a*c", "abbbc", true}, {"a*c", "abbb", false},
		{"*a*b*", "xxaxxbxx", true}, {"*a*b*", "xxbxxaxx", false}, {"**", "x", true},
		{"A", "a", false}, {"[a]", "a", false}, {`\*`, `\x`, true}, {"a\xff", "a\xff", false},
	} {
		require.Equal(t, c.want, Match(c.pattern, c.value), "%q %q", c.pattern, c.value)
	}
}

func TestMatchResource(t *testing.T) {
	const secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:org/dev/app/db-AbCdEf"
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{"*", secret, true},
		{secret, secret, true},
		{"arn:aws:secretsmanager:*:*:secret:org/dev/*", secret, true},
		{"arn:aws:secretsmanager:*:123456789012:secret:org/dev/app/db-??????", secret, true},
		{"arn:aws:secretsmanager:*:123456789012:secret:org/dev/app/db-?????", secret, false},
		{"arn:aws:secretsmanager:*:*:secret:org/*/db-*", secret, true},
		{"arn:aws:secretsmanager:*", secret, true},
		{"arn:aws:secretsmanager:*:secret:org/dev/app/db-AbCdEf", secret, true},      // a * that ends a segment goes on past colons
		{"arn:aws:secretsmanager:us-*1:secret:org/dev/app/db-AbCdEf", secret, false}, // one within a segment doesn't
		{"arn:aws:secretsmanager:us?east?1:*:secret:*", secret, true},
		{"arn:aws:secretsmanager:us-east-1?123456789012:secret:*", secret, false}, // nor does ?
		{"arn:aws:secretsmanager:us-west-2:*:secret:*", secret, false},
		{"arn:aws:secretsmanager:*:*:secret:ORG/dev/*", secret, false},
	} {
		g, ok := wildcards(c.pattern).expand(nil)
		require.True(t, ok)
		require.Equal(t, c.want, g.matchesResource(c.value), c.pattern)
	}
}

func TestMatchARN(t *testing.T) {
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{"arn:aws:sns:*:123456789012:*", "arn:aws:sns:us-east-1:123456789012:topic:sub", true},
		{"arn:aws:sns:*:topic", "arn:aws:sns:us-east-1:123456789012:topic", false}, // parts are compared one by one
		{"arn:aws:iam::*:role/app-*", "arn:aws:iam::123456789012:role/app-x", true},
		{"arn:aws:iam::*:role/app-*", "arn:aws:iam::123456789012:role/other", false},
		{"*", "arn:aws:iam::123456789012:role/other", true},
		{"arn:*", "arn:aws:iam::123456789012:role/other", false},
		{"arn:aws:iam::1:role/x", "no arn", false},
	} {
		g, _ := wildcards(c.pattern).expand(nil)
		require.Equal(t, c.want, g.matchesARN(c.value), c.pattern)
	}
}

func TestVariables(t *testing.T) {
	keys := Context{}
	keys.Set("aws:PrincipalTag/Team", "payments")
	keys.Set("aws:username", "b*b")
	keys.Set("aws:TagKeys", "a", "b")
	for pattern, want := range map[string]string{
		"x/${aws:principaltag/team}/y": "x/payments/y",
		"${aws:username}":              "b*b",
		"${aws:gone, 'none'}":          "none",
		"${aws:gone,''}":               "",
		"${aws:username, 'none'}":      "b*b",
		"${*}${?}${$}":                 "*?$",
		"$x${$}{y}":                    "$x${y}",
	} {
		p, err := parsePattern(pattern, true)
		require.NoError(t, err, pattern)
		g, ok := p.expand(keys)
		require.True(t, ok, pattern)
		require.Equal(t, want, g.String(), pattern)
		require.True(t, g.matches(want), pattern)
	}
	for _, pattern := range []string{"${aws:gone}", "${aws:TagKeys}", "${aws:tagkeys, 'x'}"} {
		p, err := parsePattern(pattern, true)
		require.NoError(t, err)
		_, ok := p.expand(keys)
		require.False(t, ok, pattern)
	}
	p, err := parsePattern("${aws:username}", true)
	require.NoError(t, err)
	g, _ := p.expand(keys)
	require.False(t, g.matches("bob"), "what a variable stands for is no wildcard")

	p, err = parsePattern("${aws:username}", false)
	require.NoError(t, err)
	g, _ = p.expand(keys)
	require.Equal(t, "${aws:username}", g.String(), "policies of 2008 have no variables")
}

// The alphabet is small so that patterns often match.
var (
	patterns = rapid.StringOfN(rapid.RuneFrom([]rune("ab:é*?")), 0, 8, -1)
	values   = rapid.StringOfN(rapid.RuneFrom([]rune("ab:é")), 0, 10, -1)
)

func TestMatchIsWhatARegularExpressionSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern, value := patterns.Draw(t, "pattern"), values.Draw(t, "value")
		re := regexp.QuoteMeta(pattern)
		re = strings.ReplaceAll(strings.ReplaceAll(re, `\*`, `.*`), `\?`, `.`)
		want := regexp.MustCompile("^(?s:" + re + ")$").MatchString(value)
		require.Equal(t, want, Match(pattern, value))
	})
}

func TestMatchResourceIsWhatARegularExpressionSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern, value := patterns.Draw(t, "pattern"), values.Draw(t, "value")
		var re strings.Builder
		runes := []rune(pattern)
		for i, r := range runes {
			switch {
			case r == '*' && (i+1 == len(runes) || runes[i+1] == ':'):
				re.WriteString(".*")
			case r == '*':
				re.WriteString("[^:]*")
			case r == '?':
				re.WriteString("[^:]")
			default:
				re.WriteString(regexp.QuoteMeta(string(r)))
			}
		}
		want := regexp.MustCompile("^(?s:" + re.String() + ")$").MatchString(value)
		g, _ := wildcards(pattern).expand(nil)
		require.Equal(t, want, g.matchesResource(value))
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Add(strings.Repeat("*a", 30), strings.Repeat("a", 60))
	f.Fuzz(func(t *testing.T, pattern, value string) {
		if Match(pattern, value) && !strings.ContainsAny(pattern, "*?") && pattern != value {
			t.Fatalf("%q without wildcards matches %q", pattern, value)
		}
	})
}
