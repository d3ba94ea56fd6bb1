package database

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what MySQL's plugin uses
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strings"

	"filippo.io/edwards25519"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// The authentication plugins whose hashes this package makes.
const (
	pluginNative  = "mysql_native_password"
	pluginSHA2    = "caching_sha2_password"
	pluginEd25519 = "ed25519"
)

// passwordHash is what a plugin stores of a password, so that the password
// itself isn't sent.
func passwordHash(plugin string, password spec.Value) (string, error) {
	text := password.Reveal()
	switch plugin {
	case pluginNative:
		return nativeHash(text), nil
	case pluginEd25519:
		return ed25519Hash(text)
	case pluginSHA2:
		salt, err := sha2Salt()
		if err != nil {
			return "", err
		}
		return sha2Hash(text, salt), nil
	}
	return "", fmt.Errorf("authentication plugin %q: this function knows %s, %s and %s: let an administrator choose one with ALTER USER (%w)",
		plugin, pluginSHA2, pluginNative, pluginEd25519, rotation.ErrDefinite)
}

// nativeHash is an asterisk and SHA-1 of SHA-1 in capital hex (MySQL internals,
// "Secure password authentication").
func nativeHash(password []byte) string {
	first := sha1.Sum(password)                   //nolint:gosec // as above
	return fmt.Sprintf("*%X", sha1.Sum(first[:])) //nolint:gosec // as above
}

// ed25519Hash is the public key whose secret scalar is made of the password's
// SHA-512, as that of RFC 8032 is of a seed's, in base64 without padding
// (MariaDB, "Authentication plugin - ed25519").
func ed25519Hash(password []byte) (string, error) {
	digest := sha512.Sum512(password)
	scalar, err := edwards25519.NewScalar().SetBytesWithClamping(digest[:32])
	if err != nil {
		return "", fmt.Errorf("deriving a public key from the password: %w", err)
	}
	return base64.RawStdEncoding.EncodeToString(new(edwards25519.Point).ScalarBaseMult(scalar).Bytes()), nil
}

const (
	sha2SaltLength = 20
	sha2Rounds     = 5000
	sha2Prefix     = "$A$005$" // the digest's kind, and thousands of rounds

	// cryptAlphabet is that of crypt(3).
	cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

func sha2Salt() (string, error) {
	salt := make([]byte, sha2SaltLength)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("drawing a salt: %w", err)
	}
	for i, b := range salt {
		salt[i] = cryptAlphabet[int(b)%len(cryptAlphabet)]
	}
	return string(salt), nil
}

// sha2Hash is that of caching_sha2_password: the digest of SHA-crypt with
// SHA-256 after a salt of 20 bytes (U. Drepper, "Unix crypt using SHA-256 and
// SHA-512", and MySQL's sha2_password.cc).
func sha2Hash(password []byte, salt string) string {
	return sha2Prefix + salt + shaCrypt(password, []byte(salt), sha2Rounds)
}

// shaCrypt follows the steps of Drepper's description, which the numbers are of.
func shaCrypt(password, salt []byte, rounds int) string {
	sum := func(parts ...[]byte) []byte {
		h := sha256.New()
		for _, part := range parts {
			h.Write(part)
		}
		return h.Sum(nil)
	}
	stretch := func(block []byte, length int) []byte { // steps 9, 10, 16, 20
		stretched := make([]byte, 0, length+len(block))
		for len(stretched) < length {
			stretched = append(stretched, block...)
		}
		return stretched[:length]
	}

	b := sum(password, salt, password) // 4 to 8
	parts := [][]byte{password, salt, stretch(b, len(password))}
	for n := len(password); n > 0; n >>= 1 { // 11
		if n&1 != 0 {
			parts = append(parts, b)
		} else {
			parts = append(parts, password)
		}
	}
	a := sum(parts...) // 12

	var repeated [][]byte
	for range password { // 13 to 16
		repeated = append(repeated, password)
	}
	p := stretch(sum(repeated...), len(password))
	repeated = nil
	for range 16 + int(a[0]) { // 17 to 20
		repeated = append(repeated, salt)
	}
	s := stretch(sum(repeated...), len(salt))

	c := a
	for round := range rounds { // 21
		var parts [][]byte
		if round%2 != 0 {
			parts = append(parts, p)
		} else {
			parts = append(parts, c)
		}
		if round%3 != 0 {
			parts = append(parts, s)
		}
		if round%7 != 0 {
			parts = append(parts, p)
		}
		if round%2 != 0 {
			parts = append(parts, c)
		} else {
			parts = append(parts, p)
		}
		c = sum(parts...)
	}
	return cryptEncode(c)
}

// cryptEncode is step 22: three bytes at a time, in an order of its own.
func cryptEncode(c []byte) string {
	var text strings.Builder
	write := func(bits uint32, characters int) {
		for range characters {
			text.WriteByte(cryptAlphabet[bits&0x3f])
			bits >>= 6
		}
	}
	for _, i := range [][3]int{{0, 10, 20}, {21, 1, 11}, {12, 22, 2}, {3, 13, 23}, {24, 4, 14}, {15, 25, 5}, {6, 16, 26}, {27, 7, 17}, {18, 28, 8}, {9, 19, 29}} {
		write(uint32(c[i[0]])<<16|uint32(c[i[1]])<<8|uint32(c[i[2]]), 4)
	}
	write(uint32(c[31])<<8|uint32(c[30]), 3)
	return text.String()
}
