// Package integration holds tests of the rotators that need more than the
// rotators should depend on: a real OAuth 2.0 server, and the Lambda functions'
// real programs.
package integration
