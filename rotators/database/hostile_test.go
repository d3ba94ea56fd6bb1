package database

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// hostile draws texts of all printable ASCII characters, quotes, backslashes,
// percent signs and others twice as often, and of other scripts.
func hostile(longest int) *rapid.Generator[string] {
	character := rapid.OneOf(
		rapid.RuneFrom([]rune("'\"`\\%$@:/?#&; \t\n")),
		rapid.Custom(func(t *rapid.T) rune { return rapid.Int32Range(' ', '~').Draw(t, "printable") }),
		rapid.RuneFrom([]rune("äßéñłжשع中文かक่€\u00a0\u200b\u2028")),
	)
	return rapid.StringOfN(character, 1, longest, -1)
}

// Whatever a user and its password are called, the user is rotated as any
// other is: by itself, and alternating with its clone.
func TestReport_Vault21610_7834_29377AnyNameAndPasswordIsRotated(t *testing.T) {
	both(t, func(t *testing.T, f *fixture, _ func(...string), _ func(string) bool) {
		longest := postgresNameLimit - len(cloneSuffix)
		if f.seedOf.Engine != spec.EnginePostgres {
			longest = mysqlNameLimit(f.seedOf.Engine) - len(cloneSuffix)
		}
		n := 0
		rapid.Check(t, func(rt *rapid.T) {
			n++
			one := *f
			name := hostile(longest).Draw(rt, "user")
			one.base = strings.TrimRight(name, " ")
			if f.seedOf.Engine == spec.EnginePostgres {
				for len(one.base) > longest {
					_, last := utf8.DecodeLastRuneInString(one.base)
					one.base = one.base[:len(one.base)-last]
				}
			}
			// The same name may be drawn twice.
			prefix := fmt.Sprintf("%d", n)
			if one.base = prefix + one.base; len([]rune(one.base)) > longest || f.seedOf.Engine == spec.EnginePostgres && len(one.base) > longest {
				one.base = prefix + "'\"`\\%"
			}
			one.arn = fmt.Sprintf("%s'%d", f.arn, n)
			one.previous = spec.Value{}
			one.seed()
			one.rotate()
			one.rotate()

			// A password of any characters comes from somebody's own value.
			pending, err := one.generate()
			require.NoError(rt, err)
			d := one.parse(pending)
			d.Password = spec.ValueString(hostile(100).Draw(rt, "password"))
			pending = one.encode(d)
			require.NoError(rt, one.apply(pending))
			require.NoError(rt, one.login(pending))
			one.previous, one.current = one.current, pending
			one.rotate()

			// And as the user itself, whose name is the base's again.
			one.rotate()
			if alone := one.parse(one.current); alone.Username == one.base {
				alone.MasterARN = ""
				one.current = one.encode(alone)
				pending, err = one.generate()
				require.NoError(rt, err)
				d = one.parse(pending)
				d.Password = spec.ValueString(hostile(100).Draw(rt, "own password"))
				require.NoError(rt, one.apply(one.encode(d)))
				_, err = one.target.Verify(t.Context(), rotation.VerifyRequest{SecretARN: one.arn, Pending: one.encode(d)})
				require.NoError(rt, err)
			}
		})
	})
}
