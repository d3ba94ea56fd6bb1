package database

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// LoadRoots reads a PEM bundle of authorities for Options.RootCAs, such as the
// one that AWS publishes for RDS. A relative path starts at folder. Without a
// path it returns nil: the system's authorities.
func LoadRoots(folder, path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(folder, path)
	}
	bundle, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the database authorities: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, fmt.Errorf("reading the database authorities: no PEM certificate in %s", path)
	}
	return roots, nil
}

// ParseServerNames reads what spec.EnvDatabaseServerNames holds. Empty: none.
func ParseServerNames(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	var names map[string]string
	if err := json.Unmarshal([]byte(text), &names); err != nil {
		return nil, fmt.Errorf("reading the server names: %w: write a JSON object from hosts to names", err)
	}
	for host, name := range names {
		if host == "" || name == "" {
			return nil, errors.New("reading the server names: a host or a name is empty")
		}
	}
	return names, nil
}
