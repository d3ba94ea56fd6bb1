package validate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/plan"
)

// A rotation explains that a secret holds something new; an edit by hand doesn't.
func TestARotationExplainsANewValue(t *testing.T) {
	key := digest.New()
	wanted := plan.Secret{Name: "acme/dev/shop/key", Values: []plan.Value{{Digest: key.OfBytes([]byte("old"))}}}
	rotated := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		holds   string
		rotated time.Time
		wrote   string // version that the migration wrote; "": nobody knows
		want    Result
	}{
		"as it was":                       {"old", time.Time{}, "1", Pass},
		"rotated":                         {"new", rotated, "1", Pass},
		"rotated, and no journal":         {"new", rotated, "", Pass},
		"edited":                          {"new", time.Time{}, "1", Fail},
		"rotated before, edited since":    {"new", rotated, "2", Fail}, // the migration's version is current, and differs
		"edited, and nobody knows better": {"new", time.Time{}, "", Fail},
	} {
		t.Run(name, func(t *testing.T) {
			v := &validation{Options: Options{Key: key, Versions: map[string]string{}}}
			if c.wrote != "" {
				v.Versions[wanted.Name] = c.wrote
			}
			found := &secret{name: wanted.Name, version: "2", rotated: c.rotated, digests: digestsOf(key, c.holds)}
			check, err := v.equal(t.Context(), wanted, found)
			require.NoError(t, err)
			assert.Equal(t, c.want, check.Result, check.Detail)
		})
	}
}

// References of ECS, with and without a JSON key (Amazon ECS developer guide).
func TestSplitValueFrom(t *testing.T) {
	const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:acme/dev/shop/db-AbCdEf"
	for from, key := range map[string]string{arn: "", arn + ":password::": "password", arn + "::AWSPREVIOUS:": "", arn + ":password:AWSCURRENT:v1": "password"} {
		gotARN, gotKey := splitValueFrom(from)
		assert.Equal(t, arn, gotARN, from)
		assert.Equal(t, key, gotKey, from)
	}
	short, key := splitValueFrom("/shop/db/password")
	assert.Equal(t, "/shop/db/password", short)
	assert.Empty(t, key)
}
