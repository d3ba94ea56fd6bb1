// Package inventory lists what an estate's settings are: where secrets are in
// plaintext, of which kind, how sure that is and why, which places hold the same
// value, and what nobody could look into.
//
// It holds no values. Digests under a random key tell which values are the same
// and nothing else; see package digest. As JSON it has the form of [Schema].
package inventory
