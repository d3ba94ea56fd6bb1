package database

import (
	"crypto/x509"
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
