package lambda

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What a reference says can be read again, to the same.
func FuzzParseReference(f *testing.F) {
	for _, seed := range []string{
		"worker", "worker:1", "worker:$LATEST", "123456789012:function:worker", "function:worker:prod",
		"arn:aws:lambda:us-east-1:123456789012:function:worker", "arn:aws:lambda:us-east-1:123456789012:function:worker:prod", ":", "",
	} {
		f.Add(seed, "")
	}
	f.Fuzz(func(t *testing.T, name, qualifier string) {
		ref, err := parseReference(name, qualifier, "us-east-1", "123456789012")
		if err != nil {
			return
		}
		again, err := parseReference(ref.arn(), "", "us-east-1", "123456789012")
		require.NoError(t, err)
		require.Equal(t, ref, again)
	})
}
