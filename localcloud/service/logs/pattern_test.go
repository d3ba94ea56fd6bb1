package logs

import "testing"

func FuzzParsePattern(f *testing.F) {
	for _, seed := range []string{"", "a b", `"a b" -c`, "?a ?b", `{ $.a = 1 }`, `{ ($.a[0] = "*" || $.b NOT EXISTS) && $.c > 1 }`, `-`, `"`} {
		f.Add(seed, "a b c")
	}
	f.Fuzz(func(t *testing.T, pattern, message string) {
		if matches, err := parsePattern(pattern); err == nil {
			matches(message)
		}
	})
}
