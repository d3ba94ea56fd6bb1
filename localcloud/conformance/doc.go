// Package conformance holds the tests by which others judge the local cloud:
// written once against the AWS SDK and run against the local cloud and, where
// moto_server is on the PATH, against moto. Where the two differ a case says
// what moto answers and which document of AWS settles it; a difference without
// that, or one that is no longer there, fails the test.
//
// CONFORMANCE.md in the module's folder is made from the cases:
//
//	go test ./conformance -update
package conformance
