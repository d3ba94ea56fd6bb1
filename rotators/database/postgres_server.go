package database

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// hangUpTimeout bounds the farewell of a connection.
const hangUpTimeout = time.Second

// postgresEngine is PostgreSQL, and Aurora's.
type postgresEngine struct {
	*network
	log *slog.Logger
}

// connect logs in with a secret's value. It answers with errors that are
// classified.
func (e postgresEngine) connect(ctx context.Context, d spec.Database) (*pgx.Conn, error) {
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
	config.ConnectTimeout = e.timeout
	config.DialFunc = e.dialer()
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
		config.TLSConfig = e.tls(d.Host)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, classify(err)
	}
	return conn, nil
}

// login tells whether a value logs in.
func (e postgresEngine) login(ctx context.Context, d spec.Database) error {
	conn, err := e.connect(ctx, d)
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
func (e postgresEngine) identify(ctx context.Context, d spec.Database) (system int64, replica bool, err error) {
	conn, err := e.connect(ctx, d)
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

// dbname is AWS's functions' default too.
func dbname(d spec.Database) string { return cmp.Or(d.DBName, "postgres") }

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

// definitePostgres tells whether an answer is of the classes of data,
// authorization and catalog errors, and of statements that are wrong or
// forbidden.
func definitePostgres(err error) bool {
	class := code(err)
	if len(class) < 2 {
		return false
	}
	switch class[:2] {
	case "0L", "0P", "22", "28", "2B", "3D", "42":
		return true
	}
	return false
}

// follows is proven by the servers themselves.
func (e postgresEngine) follows(ctx context.Context, replica, primary spec.Database) (bool, error) {
	of, inRecovery, err := e.identify(ctx, replica)
	if err != nil {
		return false, wrap(err, "asking the secret's")
	}
	system, _, err := e.identify(ctx, primary)
	if err != nil {
		return false, wrap(err, "asking the master's")
	}
	return inRecovery && of == system, nil
}

// provide changes roles in one transaction, so that a killed step has changed
// all or nothing.
func (e postgresEngine) provide(ctx context.Context, master spec.Database, c change) error {
	// Grants and owners are of one database, the secret's.
	master.DBName = c.database
	conn, err := e.connect(ctx, master)
	if err != nil {
		return wrap(err, fmt.Sprintf("logging in as master user %q", master.Username))
	}
	defer hangUp(conn)
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		return session{tx: tx, log: e.log}.provide(ctx, c)
	})
}

func (e postgresEngine) changeOwn(ctx context.Context, login spec.Database, password spec.Value) error {
	conn, err := e.connect(ctx, login)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		s := session{tx: tx, log: e.log}
		// The session may act as another role, who couldn't.
		if err := s.exec(ctx, "SET LOCAL ROLE NONE"); err != nil {
			return err
		}
		return s.setPassword(ctx, login.Username, password)
	})
}

// verify sees also that a session of a user who alternates acts as the shared
// role.
func (e postgresEngine) verify(ctx context.Context, d spec.Database, alternates bool) error {
	conn, err := e.connect(ctx, d)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	var role string
	if err := conn.QueryRow(ctx, "select current_user").Scan(&role); err != nil {
		return wrap(err, "asking the database who the pending value's user is")
	}
	if !alternates {
		return nil
	}
	users, err := usersOf(d.Username, e)
	if err != nil {
		return err
	}
	if role != users.owner {
		return fmt.Errorf("sessions of user %q act as %q, not as the shared role: run ALTER ROLE %s IN DATABASE %s SET role TO %s (%w)",
			d.Username, role, quote(d.Username), quote(dbname(d)), quote(users.owner), rotation.ErrDefinite)
	}
	return nil
}

// postgresNameLimit is in bytes; longer names are cut off silently.
const postgresNameLimit = 63

func (postgresEngine) checkName(name string) error {
	switch {
	case len(name) > postgresNameLimit:
		return fmt.Errorf("too long: with %s a name has at most %d bytes", cloneSuffix, postgresNameLimit)
	case strings.ContainsRune(name, 0):
		return errors.New("a name can't hold a zero byte")
	}
	return nil
}
