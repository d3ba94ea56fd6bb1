package database

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNearby(t *testing.T) {
	const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a/b/admin-AbCdEf"
	for region, want := range map[string]string{
		"":          arn,
		"us-east-1": arn,
		"us-west-2": "arn:aws:secretsmanager:us-west-2:123456789012:secret:a/b/admin-AbCdEf",
	} {
		assert.Equal(t, want, (&Target{region: region}).nearby(arn), region)
	}
	assert.Equal(t, "a/b/admin", (&Target{region: "us-west-2"}).nearby("a/b/admin"), "a name is the same everywhere")
}
