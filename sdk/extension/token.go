package extension

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// tokenVariables are the variables that may hold the token, the first one that
// is set counts: the order of AWS's agent.
var tokenVariables = []string{"AWS_TOKEN", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"}

const tokenFileScheme = "file://"

// readToken returns the token that requests must show. A token file that
// doesn't exist is made, with a random token.
func readToken(lookup func(string) (string, bool)) (string, error) {
	for _, name := range tokenVariables {
		value, _ := lookup(name)
		if value == "" {
			continue
		}
		path, inFile := strings.CutPrefix(value, tokenFileScheme)
		if !inFile {
			return value, nil
		}
		token, err := readTokenFile(path)
		if err != nil {
			return "", fmt.Errorf("environment variable %s: %w", name, err)
		}
		return token, nil
	}
	return "", fmt.Errorf("no token for requests to show: set AWS_TOKEN=%s<path>, or one of %s", tokenFileScheme, strings.Join(tokenVariables, ", "))
}

func readTokenFile(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := writeTokenFile(path, rand.Text()); err != nil {
			return "", fmt.Errorf("write a token file: %w", err)
		}
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return "", fmt.Errorf("read the token file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", fmt.Errorf("token file %s is empty: remove it, and a token is written there", path)
	}
	return token, nil
}

// writeTokenFile makes the file appear with its whole content, unless another
// process was faster.
func writeTokenFile(path, token string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".token-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.WriteString(token)
	// The group may read: the other containers' users needn't be the sidecar's.
	if err := errors.Join(err, temporary.Chmod(0o640), temporary.Close()); err != nil {
		return err
	}
	if err := os.Link(temporary.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
