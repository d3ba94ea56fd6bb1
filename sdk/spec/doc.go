// Package spec says once what a managed secret is: its [Kind], [Name], tags,
// [Policy] and the shape of its value, and what the infrastructure and the
// programs that run on it must agree on.
//
// It imports only the standard library, so that everything may import it: the
// Pulumi program, the rotators, the auditor and services.
//
// # Values
//
// A [Value] holds secret bytes and prints as "[redacted]" under every way of
// printing. [Value.Reveal] and [Value.RevealString] are the only ways to the
// bytes, and are easy to grep for. Errors of this package never quote a value,
// nor the errors of encoding/json, which quote parts of their input.
//
// # Shapes
//
// The value of a secret is a JSON object with AWS's own keys for a database
// ([Database]), RFC 6749's names for OAuth ([OAuth]) and a small object, or
// just the key, for an API key ([APIKey]). Keys that this package doesn't know
// survive parsing and encoding byte for byte and in their order.
package spec
