package state

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// File keeps the state in a file, for runs by hand. Runs that come together
// find out, unless they save in the same instant.
type File string

// Load implements Store.
func (f File) Load(context.Context) (io.ReadCloser, string, error) {
	version, err := f.version()
	if err != nil || version == "" {
		return nil, "", err
	}
	file, err := os.Open(string(f))
	return file, version, err
}

func (f File) version() (string, error) {
	file, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Save implements Store.
func (f File) Save(_ context.Context, body io.ReadSeeker, version string) (string, error) {
	now, err := f.version()
	if err != nil {
		return "", err
	}
	if now != version {
		return "", fmt.Errorf("%w: %s", ErrConflict, string(f))
	}
	temporary, err := os.CreateTemp(filepath.Dir(string(f)), ".state-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(temporary.Name())
	_, err = io.Copy(temporary, body)
	if err = errors.Join(err, temporary.Close()); err != nil {
		return "", err
	}
	if err := os.Rename(temporary.Name(), string(f)); err != nil {
		return "", err
	}
	return f.version()
}
