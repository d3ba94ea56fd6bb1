package database

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"golang.org/x/text/secure/precis"

	"github.com/aistudio/secrets/sdk/spec"
)

const (
	// scramIterations is PostgreSQL's default and the least that RFC 7677
	// allows.
	scramIterations = 4096
	scramSaltLength = 16
)

// scramVerifier returns what PostgreSQL stores of a password, so that the
// password itself isn't sent: SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
// (RFC 5802, section 3; PostgreSQL's pg_authid).
func scramVerifier(password spec.Value) (string, error) {
	salt := make([]byte, scramSaltLength)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("drawing a salt: %w", err)
	}
	return scramVerifierWith(password, salt, scramIterations)
}

func scramVerifierWith(password spec.Value, salt []byte, iterations int) (string, error) {
	// SASLprep, or the bytes as they are when it doesn't apply, as PostgreSQL
	// and its clients do.
	prepared, err := precis.OpaqueString.String(password.RevealString())
	if err != nil {
		prepared = password.RevealString()
	}
	salted, err := pbkdf2.Key(sha256.New, prepared, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("deriving a verifier from the password: %w", err)
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt), encode(stored[:]), encode(mac("Server Key"))), nil
}
