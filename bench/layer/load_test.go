package layer

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func loadOf(t *testing.T, handler http.HandlerFunc) load {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")
	wire, err := request(t.Context(), address, "/secretsmanager/get?secretId=a", "token")
	require.NoError(t, err)
	return load{address: address, requests: [][]byte{wire}, connections: 4}
}

// An open loop sends all requests, however slow the answers are.
func TestAnOpenLoopSendsEveryRequest(t *testing.T) {
	var served atomic.Int64
	l := loadOf(t, func(_ http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "token", r.Header.Get("X-Aws-Parameters-Secrets-Token"))
		assert.Equal(t, "a", r.URL.Query().Get("secretId"))
		if served.Add(1) == 1 {
			time.Sleep(300 * time.Millisecond) // longer than the load: the requests behind it are late
		}
	})
	times, err := l.open(t.Context(), 500, 200*time.Millisecond)
	require.NoError(t, err)
	assert.Len(t, times, 100)
	assert.EqualValues(t, 100, served.Load())
	late := 0
	for _, took := range times {
		if took > 50*time.Millisecond {
			late++
		}
	}
	assert.Greater(t, late, 10, "those that waited behind the slow one count as slow")
}

func TestAnAnswerThatIsNoSuccessEndsTheLoad(t *testing.T) {
	l := loadOf(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Bad Token", http.StatusForbidden) })
	_, err := l.open(t.Context(), 500, 100*time.Millisecond)
	require.ErrorContains(t, err, "status 403")
	_, err = l.closed(t.Context(), 100*time.Millisecond)
	require.ErrorContains(t, err, "status 403")
	require.ErrorContains(t, l.once(t.Context()), "status 403")
}
