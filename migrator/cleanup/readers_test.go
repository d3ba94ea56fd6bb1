package cleanup

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A name without a slash counts as below the root.
func TestReadsOfAPath(t *testing.T) {
	for _, c := range []struct {
		name, path string
		recursive  bool
		want       bool
	}{
		{"token", "/", false, true},
		{"token", "/mail", true, false},
		{"/mail/token", "/", true, true},
		{"/mail/token", "/", false, false},
		{"/mail/token", "/mail", false, true},
		{"/mail/token", "/mail/", false, true},
		{"/mail/token", "/ma", true, false},
	} {
		e := event{}
		e.RequestParameters.Path, e.RequestParameters.Recursive = c.path, c.recursive
		assert.Equal(t, c.want, e.reads(c.name, "arn:aws:ssm:us-east-1:123456789012:parameter/"+c.name), "%+v", c)
	}
}
