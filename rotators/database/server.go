package database

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// hangUpTimeout bounds the farewell of a connection.
const hangUpTimeout = time.Second

// servers opens connections to the databases that secrets name.
type servers struct {
	roots      *x509.CertPool
	serverName string
	timeout    time.Duration
	dial       pgconn.DialFunc // nil: the network
	tracer     pgx.QueryTracer // nil: none
}

// connect logs in with a secret's value. It answers with errors that are
// classified.
func (s servers) connect(ctx context.Context, d spec.Database) (*pgx.Conn, error) {
	if strings.HasPrefix(d.Host, "/") {
		return nil, fmt.Errorf(`host %q is a path: name a server (%w)`, d.Host, rotation.ErrDefinite)
	}
	// The driver wants to have parsed a configuration, from the environment
	// too. All that decides where to connect and how is set below: a URL would
	// have to be built of parts that may hold any character.
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("preparing a connection: %w", err)
	}
	config.Host, config.Port = d.Host, uint16(port(d))
	config.User, config.Password, config.Database = d.Username, d.Password.RevealString(), dbname(d)
	config.ConnectTimeout = s.timeout
	config.DialFunc = s.dial
	if config.DialFunc == nil {
		config.DialFunc = (&net.Dialer{Timeout: s.timeout}).DialContext
	}
	config.Tracer = s.tracer
	config.Fallbacks = nil
	config.ValidateConnect = nil
	config.RuntimeParams = map[string]string{"application_name": "secrets-rotation"}
	config.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec // leaves nothing behind a connection pooler
	// A server that asks for no password proves nothing about a user.
	config.RequireAuth = "scram-sha-256,md5"
	if plaintext(d) {
		config.TLSConfig = nil
	} else {
		config.RequireAuth += ",password"
		config.TLSConfig = &tls.Config{
			RootCAs: s.roots, ServerName: cmp.Or(s.serverName, d.Host), MinVersion: tls.VersionTLS12,
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, classify(err)
	}
	return conn, nil
}

// login tells whether a value logs in.
func (s servers) login(ctx context.Context, d spec.Database) error {
	conn, err := s.connect(ctx, d)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	if err := conn.Ping(ctx); err != nil {
		return classify(err)
	}
	return nil
}

// identify returns the number that a server shares with its physical replicas
// only, and whether it follows another.
func (s servers) identify(ctx context.Context, d spec.Database) (system int64, replica bool, err error) {
	conn, err := s.connect(ctx, d)
	if err != nil {
		return 0, false, err
	}
	defer hangUp(conn)
	err = conn.QueryRow(ctx, "select system_identifier, pg_is_in_recovery() from pg_control_system()").Scan(&system, &replica)
	return system, replica, classify(err)
}

// hangUp says goodbye even when the step's time is over.
func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), hangUpTimeout)
	defer cancel()
	_ = conn.Close(ctx) // nothing more is wanted of it
}

func port(d spec.Database) int { return cmp.Or(d.Port, spec.DefaultPort(d.Engine)) }

// dbname is AWS's functions' default too.
func dbname(d spec.Database) string { return cmp.Or(d.DBName, "postgres") }

// plaintext tells whether a secret asks for a connection without TLS, which
// only an explicit false does.
func plaintext(d spec.Database) bool { return d.SSL != nil && !*d.SSL }

func sameHost(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// PostgreSQL's error codes (documentation, appendix A).
const (
	codeInvalidAuthorization  = "28000"
	codeInvalidPassword       = "28P01"
	codeInsufficientPrivilege = "42501"
	codeInvalidParameter      = "22023"
)

func code(err error) string {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server.Code
	}
	return ""
}

// refused tells whether the server was reached and turned the user down.
func refused(err error) bool {
	return code(err) == codeInvalidPassword || code(err) == codeInvalidAuthorization
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
		return fmt.Errorf("%w: the secret's host must be in the server's certificate (%w)", err, rotation.ErrDefinite)
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return fmt.Errorf(`%w: switch TLS on at the server, or write "ssl": false into the secret to do without (%w)`, err, rotation.ErrDefinite)
	case strings.Contains(err.Error(), "require_auth check failed"):
		return fmt.Errorf("%w: the server must ask for a password (%w)", err, rotation.ErrDefinite)
	}
	// The classes of data, authorization and catalog errors, and of statements
	// that are wrong or forbidden.
	switch class := code(err); {
	case len(class) < 2:
		return err
	default:
		switch class[:2] {
		case "0L", "0P", "22", "28", "2B", "3D", "42":
			return fmt.Errorf("%w (%w)", err, rotation.ErrDefinite)
		}
		return err
	}
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
