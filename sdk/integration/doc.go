// Package integration tests the SDK against real parts: a private PostgreSQL
// and the local cloud. It is a module of its own, so that services which import
// the SDK don't get these as dependencies.
package integration
