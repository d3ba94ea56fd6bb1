package rotation_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The infrastructure seeds moments after it made the role, whose rights IAM may
// not know everywhere yet.
func TestASeedWaitsForANewRolesRights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := unseeded()
		start := time.Now()
		f.manager.intercept = func(string) error {
			if time.Since(start) < 20*time.Second {
				return denied
			}
			return nil
		}
		result, err := f.seed(t.Context())
		require.NoError(t, err)
		assert.True(t, result.Seeded)
		assert.True(t, f.system.accepts(f.manager.value("AWSCURRENT")))
	})
}

func TestASeedThatStaysDeniedGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := unseeded()
		f.manager.intercept = func(string) error { return denied }
		start := time.Now()
		_, err := f.seed(t.Context())
		require.ErrorContains(t, err, "lacks this right")
		assert.LessOrEqual(t, time.Since(start), 30*time.Second)
		assert.Greater(t, time.Since(start), 20*time.Second)
	})
}
