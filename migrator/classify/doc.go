// Package classify tells which of a service's settings are secrets.
//
// It looks at one setting at a time, a name and a value as they stand in an
// environment variable, a container definition or a parameter, and gives a
// [Verdict]: whether it is a secret, of which kind, how sure that is, and why.
// [Related] then finds the settings that belong together, such as a database's
// host, user and password, which become one secret.
//
// # How a verdict comes about
//
// The first of these that applies decides:
//
//  1. The configuration's own lists: what people have decided stands.
//  2. References: an ARN, an SSM path, {{resolve:…}} or ${…} names a place and is
//     no secret itself.
//  3. Forms that only credentials have: the tokens of known issuers, private
//     keys, web tokens, and URLs or connection strings with a password in them; and
//     what the name and the form make one together, as a webhook's address with a
//     random part.
//  4. Ciphertexts of KMS, which nobody can tell without the key.
//  5. JSON objects and lists of pairs, by their members.
//  6. Forms that no credential has, under whatever name: switches, numbers,
//     times, host names, URLs without a password, public keys.
//  7. The name. Its last words say what the value is ("API_KEY" is a key,
//     "API_KEY_ID" an identifier).
//  8. The randomness of the value, when the name says nothing.
//
// A Verdict holds nothing of the value, so it may be logged and written into
// reports.
package classify
