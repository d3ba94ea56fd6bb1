package extension

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// An hour without the primary region: the layer serves what it has, and asks the
// replica for the rest. Without a replica it serves what it has.
func TestThePrimaryIsDownForAnHour(t *testing.T) {
	for _, replica := range []string{"eu-central-1", ""} {
		t.Run("replica "+replica, func(t *testing.T) {
			t.Setenv("SECRETS_FAILOVER_REGIONS", replica)
			s := startServices(t)
			cache := s.cache(t, map[string]string{"SECRETS_MANAGER_TTL": "300", "SSM_PARAMETER_STORE_TTL": "300"})
			var clock movable
			clock.set(cache)
			h := newTestHandler(cache, io.Discard)
			s.store.Put("cached", "one")
			s.store.Put("cold", "two")
			read := func(path string, want int) {
				t.Helper()
				assert.Equal(t, want, get(h, http.MethodGet, path).Code)
			}
			const parameter = "/systemsmanager/parameters/get?name=p"
			read("/v1/cached", http.StatusOK)
			read(parameter, http.StatusOK)
			s.mu.Lock()
			s.dark = "eu-west-1"
			s.mu.Unlock()
			cold := http.StatusOK
			if replica == "" {
				cold = http.StatusBadGateway
			}
			for minute := range 60 {
				clock.advance(time.Minute)
				read("/v1/cached", http.StatusOK)
				read(parameter, http.StatusOK)
				if minute == 30 {
					read("/v1/cold", cold)
				}
			}
			assert.Less(t, s.count(), 2+3*60, "a dark region isn't hammered")
		})
	}
}
