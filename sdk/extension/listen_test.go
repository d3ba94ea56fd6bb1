//go:build unix

package extension

import (
	"net"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// AWS's agent listens on the loopback address only, and its packets die at the
// first hop.
func TestItListensOnLoopbackOnly(t *testing.T) {
	port, err := strconv.Atoi(freePort(t))
	require.NoError(t, err)
	listener, err := listen(t.Context(), port)
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	assert.Equal(t, "127.0.0.1:"+strconv.Itoa(port), listener.Addr().String())
	socket, err := listener.(*net.TCPListener).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, socket.Control(func(fd uintptr) {
		hops, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TTL)
		assert.NoError(t, err)
		assert.Equal(t, 1, hops)
	}))
}
