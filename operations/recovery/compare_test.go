package recovery

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

// Two clouds stand for two regions whose replication went wrong in a way that one
// wouldn't let happen.
func TestSame(t *testing.T) {
	const canary, version = "canary-same-55", "11111111-2222-3333-4444-555555555555"
	type value struct {
		text    string
		binary  []byte
		version string // "": none
	}
	key, err := newKey()
	require.NoError(t, err)
	e := &Estate{key: key}
	put := func(v value) *secretsmanager.Client {
		cloud, err := localcloud.New()
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, cloud.Close()) })
		client := secretsmanager.NewFromConfig(cloud.Config("us-east-1"))
		in := &secretsmanager.CreateSecretInput{Name: aws.String("x"), SecretBinary: v.binary}
		if v.version != "" {
			in.ClientRequestToken = &v.version
		}
		if v.text != "" {
			in.SecretString = &v.text
		}
		_, err = client.CreateSecret(t.Context(), in)
		require.NoError(t, err)
		return client
	}
	for name, c := range map[string]struct {
		one, other value
		want       string
	}{
		"same":           {value{text: canary, version: version}, value{text: canary, version: version}, ""},
		"same bytes":     {value{binary: []byte(canary), version: version}, value{binary: []byte(canary), version: version}, ""},
		"no values":      {value{}, value{}, ""},
		"other value":    {value{text: canary, version: version}, value{text: canary + "!", version: version}, "version " + version + " has different values"},
		"text and bytes": {value{text: canary, version: version}, value{binary: []byte(canary), version: version}, "has different values"},
		"other version":  {value{text: canary, version: version}, value{text: canary, version: "99999999-2222-3333-4444-555555555555"}, "the current version is " + version + " here and 99999999"},
		"no value there": {value{text: canary, version: version}, value{}, "no value"},
		"no value here":  {value{}, value{text: canary, version: version}, "no value"},
	} {
		t.Run(name, func(t *testing.T) {
			err := e.same(t.Context(), "x", put(c.one), put(c.other))
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), canary)
		})
	}
}

// At night a line is worth more than five hundred.
func TestFailuresAlike(t *testing.T) {
	o := NothingDone()
	for i := range 500 {
		o.Failures = append(o.Failures, Failure{fmt.Sprintf("acme/prod/x/%03d", i), "promote", "ExpiredTokenException: sign in again, and run it again"})
	}
	o.Failures = append(o.Failures, Failure{"acme/prod/y", "promote", "AccessDeniedException"})
	var text strings.Builder
	require.NoError(t, o.WriteText(&text))
	require.Equal(t, "STEP  DONE  FAILED  SECONDS\n"+
		"  ! promote 500 times: ExpiredTokenException: sign in again, and run it again: acme/prod/x/000, acme/prod/x/001, acme/prod/x/002 and 497 more\n"+
		"  ! promote acme/prod/y: AccessDeniedException\n", text.String())
}
