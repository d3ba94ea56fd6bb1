package spec

import (
	"fmt"
	"strings"
)

// ReferenceSuffix ends the name of the variable that says which secret has
// taken the place of another variable's value: DB_PASSWORD_SECRET_ID stands
// beside DB_PASSWORD while a service migrates, and in its place afterwards. The
// migrator writes it, and package dualread reads it.
const ReferenceSuffix = "_SECRET_ID"

// Reference names a secret, or one field of a secret's JSON object, as the value
// of a variable: "acme/prod/orders/database" or
// "acme/prod/orders/database#password". Neither names nor ARNs of secrets hold
// a "#" (Secrets Manager API reference, CreateSecret, Name).
type Reference struct {
	SecretID string // name or ARN
	Field    string // key of the secret's JSON object; "": the whole secret
}

// ParseReference reads a reference.
func ParseReference(s string) (Reference, error) {
	id, field, found := strings.Cut(s, "#")
	if id == "" || found && field == "" {
		return Reference{}, fmt.Errorf("reference %q: want a secret's name or ARN, or one with #<key of its JSON object>", s)
	}
	return Reference{SecretID: id, Field: field}, nil
}

// String returns the text that ParseReference reads.
func (r Reference) String() string {
	if r.Field == "" {
		return r.SecretID
	}
	return r.SecretID + "#" + r.Field
}
