package spec

import (
	"fmt"
	"strings"
	"time"
)

// Kind is what a managed secret opens. It sets the default rotation and picks
// the rotation function.
type Kind string

// The kinds of managed secrets.
const (
	KindDatabase Kind = "database" // a user of a PostgreSQL, MySQL or MariaDB database
	KindAPIKey   Kind = "api-key"  // a key that callers of a service present
	KindOAuth    Kind = "oauth"    // OAuth 2.0 client credentials and tokens
	KindCustom   Kind = "custom"   // anything else, rotated as its owner configures
)

const day = 24 * time.Hour

// Kinds returns all kinds, in the order in which documents list them.
func Kinds() []Kind {
	return []Kind{KindDatabase, KindAPIKey, KindOAuth, KindCustom}
}

// ParseKind returns the kind of that exact name, or an error that lists the
// names there are.
func ParseKind(s string) (Kind, error) {
	for _, kind := range Kinds() {
		if s == string(kind) {
			return kind, nil
		}
	}
	names := make([]string, 0, len(Kinds()))
	for _, kind := range Kinds() {
		names = append(names, string(kind))
	}
	return "", fmt.Errorf("unknown kind of secret %q: use one of %s", s, strings.Join(names, ", "))
}

// String returns the kind's name, which is also the value of the tag
// SecretType.
func (k Kind) String() string { return string(k) }

// RotationInterval returns how often a secret of this kind is rotated unless
// its owner says otherwise (ADR-006, "Automatic Rotation"). It is zero for
// custom secrets, which have no default, and for unknown kinds.
func (k Kind) RotationInterval() time.Duration {
	switch k {
	case KindDatabase:
		return 30 * day
	case KindAPIKey:
		return 90 * day
	case KindOAuth:
		return 7 * day
	default:
		return 0
	}
}

// MaxAge returns the age at which a current version of this kind is too old:
// the rotation interval and the time to notice and repair a rotation that
// failed. Custom secrets have the 90 days that Security Hub's control
// SecretsManager.4 takes by default. It is zero for unknown kinds.
func (k Kind) MaxAge() time.Duration {
	switch k {
	case KindDatabase:
		return 45 * day
	case KindAPIKey:
		return 100 * day
	case KindOAuth:
		return 10 * day
	case KindCustom:
		return 90 * day
	default:
		return 0
	}
}

// Policy returns the kind's default policy.
func (k Kind) Policy() Policy {
	return Policy{RotationInterval: k.RotationInterval(), MaxAge: k.MaxAge()}
}
