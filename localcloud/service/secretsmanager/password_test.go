package secretsmanager_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestRandomPassword: every password keeps to all options of its request.
func TestRandomPassword(t *testing.T) {
	b := newBench(t)
	kinds := []string{
		"abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789",
		"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
	}
	rapid.Check(t, func(rt *rapid.T) {
		leaveOut := make([]bool, len(kinds))
		for i := range leaveOut {
			leaveOut[i] = rapid.Bool().Draw(rt, "leave out")
		}
		space := rapid.Bool().Draw(rt, "space")
		each := rapid.Bool().Draw(rt, "each")
		length := rapid.Int64Range(1, 40).Draw(rt, "length")
		excluded := rapid.StringOfN(rapid.RuneFrom([]rune(strings.Join(kinds, "")+" ")), 0, 20, -1).Draw(rt, "excluded")

		var want []string
		for i, kind := range append(kinds, " ") {
			if i < len(kinds) && leaveOut[i] || i == len(kinds) && !space {
				continue
			}
			if kind = strings.Map(func(r rune) rune {
				if strings.ContainsRune(excluded, r) {
					return -1
				}
				return r
			}, kind); kind != "" {
				want = append(want, kind)
			}
		}
		out, err := b.client.GetRandomPassword(t.Context(), &sm.GetRandomPasswordInput{
			PasswordLength: &length, ExcludeCharacters: &excluded, ExcludeLowercase: &leaveOut[0], ExcludeUppercase: &leaveOut[1],
			ExcludeNumbers: &leaveOut[2], ExcludePunctuation: &leaveOut[3], IncludeSpace: &space, RequireEachIncludedType: &each,
		})
		if len(want) == 0 || each && int(length) < len(want) {
			fails(t, err, "InvalidParameterException", "")
			return
		}
		require.NoError(t, err)
		password := *out.RandomPassword
		require.Len(t, password, int(length))
		require.Empty(t, strings.Trim(password, strings.Join(want, "")))
		for _, kind := range want {
			require.True(t, !each || strings.ContainsAny(password, kind))
		}
	})
	out, err := b.client.GetRandomPassword(t.Context(), &sm.GetRandomPasswordInput{})
	require.NoError(t, err)
	require.Len(t, *out.RandomPassword, 32)
	_, err = b.client.GetRandomPassword(t.Context(), &sm.GetRandomPasswordInput{PasswordLength: aws.Int64(4097)})
	fails(t, err, "ValidationException", "Member must have value less than or equal to 4096")
}
