// Package dbconn opens database/sql connections with credentials from the
// secrets cache, so that a rotation goes unseen: every new connection takes the
// current credentials, and when the database refuses them the connector fetches
// the secret past the cache and tries once more.
//
// The packages postgres and mysql below this one connect with pgx and
// go-sql-driver; use this package itself for another driver.
//
// Connections that are open stay open when a password changes. So that they
// don't outlive their credentials for ever, [Open] closes each after
// [MaxLifetime], when no query runs on it.
package dbconn

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/spec"
)

// MaxLifetime is how long a connection of a pool made by Open is used. The
// pool's own SetConnMaxLifetime changes it.
const MaxLifetime = 10 * time.Minute

// Source is the secrets cache. *secrets.Client is one.
type Source interface {
	Do(ctx context.Context, id string, fn func(context.Context, secrets.Secret) error) error
}

// Driver connects with credentials.
type Driver struct {
	// Connect opens a connection. The credentials are complete: an engine, a
	// host, a user name and a password are there.
	Connect func(context.Context, spec.Database) (driver.Conn, error)

	// Refused tells whether an error of Connect says that the database refused
	// the credentials, and not that it couldn't be reached. Nil: SQLRefused.
	Refused func(error) bool

	// Driver is what Connector.Driver returns.
	Driver driver.Driver

	// Engines are the values of the secret's engine key that Connect can
	// serve. Empty: all.
	Engines []string
}

// Connector is a driver.Connector that takes its credentials from a secret at
// every new connection. It is safe for concurrent use.
type Connector struct {
	source Source
	id     string
	driver Driver
}

var _ driver.Connector = (*Connector)(nil)

// NewConnector returns a connector with the credentials of the secret of that
// id, whose value has the shape of spec.Database. It reads nothing yet.
func NewConnector(source Source, id string, d Driver) *Connector {
	if d.Refused == nil {
		d.Refused = SQLRefused
	}
	return &Connector{source: source, id: id, driver: d}
}

// Open returns a pool over the connector, whose connections live for
// MaxLifetime. It connects at the first use.
func Open(c *Connector) *sql.DB {
	db := sql.OpenDB(c)
	db.SetConnMaxLifetime(MaxLifetime)
	return db
}

// Connect opens a connection with the secret's current credentials. If they
// are refused and the secret has another current version, it tries that. The
// error of a refusal has secrets.ErrRefused and the driver's own in its chain.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	var conn driver.Conn
	err := c.source.Do(ctx, c.id, func(ctx context.Context, secret secrets.Secret) error {
		credentials, err := c.parse(secret)
		if err != nil {
			return err
		}
		conn, err = c.driver.Connect(ctx, credentials)
		switch {
		case err == nil:
			return nil
		case c.driver.Refused(err):
			err = secrets.Refused(err)
		}
		return fmt.Errorf("connect to database %q as %q with version %s of secret %q: %w",
			credentials.Host, credentials.Username, secret.VersionID, c.id, err)
	})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

func (c *Connector) parse(secret secrets.Secret) (spec.Database, error) {
	credentials, err := spec.ParseDatabase(secret.Value)
	if err == nil {
		err = credentials.Validate()
	}
	if err == nil && len(c.driver.Engines) > 0 && !slices.Contains(c.driver.Engines, credentials.Engine) {
		err = fmt.Errorf("engine %q isn't one of this driver's, which are %q", credentials.Engine, c.driver.Engines)
	}
	if err != nil {
		return spec.Database{}, fmt.Errorf("secret %q: %w", c.id, err)
	}
	if credentials.Port == 0 {
		credentials.Port = spec.DefaultPort(credentials.Engine)
	}
	return credentials, nil
}

// Driver returns the driver below.
func (c *Connector) Driver() driver.Driver { return c.driver.Driver }

// SQLRefused tells whether the error, or one in its chain, has an SQLSTATE of
// refused credentials: 28P01 (invalid_password) or 28000
// (invalid_authorization_specification) of the PostgreSQL manual, appendix A,
// class 28. pgx's and lib/pq's errors have.
func SQLRefused(err error) bool {
	var state interface{ SQLState() string }
	if !errors.As(err, &state) {
		return false
	}
	switch state.SQLState() {
	case "28P01", "28000":
		return true
	}
	return false
}
