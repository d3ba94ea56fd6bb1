//go:build !unix

package extension

import "syscall"

// oneHop does nothing: Lambda and ECS run Linux.
func oneHop(string, string, syscall.RawConn) error { return nil }
