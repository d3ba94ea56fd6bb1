package database

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// network is how connections to servers of all engines are made.
type network struct {
	roots   *x509.CertPool
	names   map[string]string // from host to the name in the certificate
	timeout time.Duration
	dial    dialFunc // nil: the network itself
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

func (n *network) dialer() dialFunc {
	if n.dial != nil {
		return n.dial
	}
	return (&net.Dialer{Timeout: n.timeout}).DialContext
}

// tls verifies the certificate of a host, always.
func (n *network) tls(host string) *tls.Config {
	name := host
	for alias, expected := range n.names {
		if sameHost(alias, host) {
			name = expected
		}
	}
	return &tls.Config{RootCAs: n.roots, ServerName: name, MinVersion: tls.VersionTLS12}
}

// plaintext tells whether a secret asks for a connection without TLS, which
// only an explicit false does.
func plaintext(d spec.Database) bool { return d.SSL != nil && !*d.SSL }

func port(d spec.Database) int {
	if d.Port != 0 {
		return d.Port
	}
	return spec.DefaultPort(d.Engine)
}

func sameHost(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// refused tells whether the server was reached and turned the user down.
func refused(err error) bool {
	return code(err) == codeInvalidPassword || code(err) == codeInvalidAuthorization || errorNumber(err) == numberAccessDenied
}

// classify tells definite answers from those that may pass: a server that is
// starting, full, locked or gone can be better tomorrow.
func classify(err error) error {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &authority):
		return fmt.Errorf("%w: add the server's authority to the file that %s names (%w)", err, spec.EnvDatabaseCAFile, rotation.ErrDefinite)
	case errors.As(err, &name), errors.As(err, &invalid):
		return fmt.Errorf("%w: the secret's host must be in the server's certificate, or %s say which name is (%w)",
			err, spec.EnvDatabaseServerNames, rotation.ErrDefinite)
	case strings.Contains(err.Error(), "server refused TLS connection"), errors.Is(err, mysql.ErrNoTLS):
		return fmt.Errorf(`%w: switch TLS on at the server, or write "ssl": false into the secret to do without (%w)`, err, rotation.ErrDefinite)
	case strings.Contains(err.Error(), "require_auth check failed"):
		return fmt.Errorf("%w: the server must ask for a password (%w)", err, rotation.ErrDefinite)
	case definitePostgres(err), definiteMySQL(err):
		return fmt.Errorf("%w (%w)", err, rotation.ErrDefinite)
	}
	return err
}

// wrap classifies an error once and tells what was being done.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	if !errors.Is(err, rotation.ErrDefinite) {
		err = classify(err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
