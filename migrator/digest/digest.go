// Package digest compares secret values without showing them: by HMAC-SHA256
// under a random key. Whoever has a digest and not the key can't try values out
// against it, so digests may stand in plans and reports. The key stays in the
// migration's folder, readable by its owner alone.
package digest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/aistudio/secrets/sdk/spec"
)

// keyFile is the key's file in the migration's folder.
const keyFile = "digest.key"

// Key makes digests. Digests of different keys can't be compared. It is safe for
// concurrent use and prints as [redacted].
type Key struct{ value spec.Value }

// New returns a random key.
func New() Key {
	var bytes [sha256.Size]byte
	_, _ = rand.Read(bytes[:]) // never fails, crypto/rand says
	return Key{spec.NewValue(bytes[:])}
}

// Open returns the key in the folder. If there is none, it makes the folder and
// a key, with permissions for their owner alone (0700 and 0600).
func Open(folder string) (Key, error) {
	path := filepath.Join(folder, keyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return create(folder, path)
	}
	if err != nil {
		return Key{}, fmt.Errorf("read the key of the migration's digests: %w", err)
	}
	bytes, err := hex.DecodeString(string(text))
	if err != nil || len(bytes) != sha256.Size {
		return Key{}, fmt.Errorf("the key of the migration's digests, %s, is damaged: take it from a copy, or remove it and make a new plan", path)
	}
	return Key{spec.NewValue(bytes)}, nil
}

func create(folder, path string) (Key, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return Key{}, fmt.Errorf("make the migration's folder: %w", err)
	}
	key := New()
	temporary, err := os.CreateTemp(folder, keyFile+".*") // with 0600
	if err != nil {
		return Key{}, fmt.Errorf("write the key of the migration's digests: %w", err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.WriteString(hex.EncodeToString(key.value.Reveal()))
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		// Unlike a rename, a link never replaces the key that somebody else made
		// meanwhile.
		err = os.Link(temporary.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) {
		return Open(folder)
	}
	if err != nil {
		return Key{}, fmt.Errorf("write the key of the migration's digests: %w", err)
	}
	return key, nil
}

// Of returns the digest of a value, 32 hexadecimal digits.
func (k Key) Of(value spec.Value) string { return k.OfBytes(value.Reveal()) }

// OfBytes returns the digest of bytes, 32 hexadecimal digits.
func (k Key) OfBytes(bytes []byte) string {
	mac := hmac.New(sha256.New, k.value.Reveal())
	mac.Write(bytes)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// String returns [redacted].
func (k Key) String() string { return k.value.String() }

// GoString returns [redacted].
func (k Key) GoString() string { return k.value.GoString() }
