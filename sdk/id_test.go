package secrets

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSameSecret(t *testing.T) {
	secret := Secret{Name: "acme/dev/shop/db", ARN: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:acme/dev/shop/db-a1B2c3"}
	for id, want := range map[string]bool{
		"acme/dev/shop/db": true,
		"arn:aws:secretsmanager:eu-west-1:123456789012:secret:acme/dev/shop/db-a1B2c3": true,
		"arn:aws:secretsmanager:us-east-2:123456789012:secret:acme/dev/shop/db-a1B2c3": true,
		"arn:aws:secretsmanager:eu-west-1:123456789012:secret:acme/dev/shop/db":        true,
		"":                        false,
		"acme/dev/shop":           false,
		"acme/dev/shop/db-a1B2c3": false,
		"arn:aws:secretsmanager:eu-west-1:210987654321:secret:acme/dev/shop/db-a1B2c3":  false,
		"arn:aws:secretsmanager:eu-west-1:123456789012:secret:acme/dev/shop/d":          false,
		"arn:aws:secretsmanager:eu-west-1:123456789012:secret:acme/dev/shop/db-zzzzzz":  false,
		"arn:aws:secretsmanager:eu-west-1:123456789012:secret:acme/dev/shop/db-a1B2c3x": false,
		"arn:": false,
	} {
		assert.Equal(t, want, sameSecret(secret, id), id)
	}
}

func FuzzIDs(f *testing.F) {
	f.Add("acme/dev/shop/db", "eu-west-1")
	f.Add("arn:aws:secretsmanager:eu-west-1:123456789012:secret:acme/dev/shop/db-a1B2c3", "us-east-1")
	f.Add("arn:::::::", "")
	f.Fuzz(func(t *testing.T, id, region string) {
		if strings.Contains(region, ":") {
			return
		}
		local := inRegion(id, region)
		require.Equal(t, local, inRegion(local, region))
		if _, isARN := splitARN(id); !isARN {
			require.Equal(t, id, local)
			return
		}
		require.True(t, sameSecret(Secret{ARN: id}, local))
		require.True(t, sameSecret(Secret{ARN: id + "-a1B2c3"}, local))
	})
}
