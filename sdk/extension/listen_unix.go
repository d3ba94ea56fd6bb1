//go:build unix

package extension

import "syscall"

// oneHop sets the time to live of the socket's packets, and of those of the
// connections that it accepts, to one hop.
func oneHop(_, _ string, socket syscall.RawConn) error {
	var refused error
	err := socket.Control(func(fd uintptr) {
		refused = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TTL, 1)
	})
	if err != nil {
		return err
	}
	return refused
}
