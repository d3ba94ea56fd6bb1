// Package postgres connects to PostgreSQL with pgx and credentials from the
// secrets cache, through database/sql ([Open], [NewConnector]) or a pgxpool
// ([NewPool]).
//
// A secret whose ssl key is absent or true connects over TLS only and verifies
// the server's certificate and name; false connects in plaintext.
package postgres

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/aistudio/secrets/sdk/dbconn"
	"github.com/aistudio/secrets/sdk/spec"
)

// Options configure connections. The zero value is ready to use.
type Options struct {
	// TLS is the configuration of encrypted connections. Nil: the system's
	// roots. If its ServerName is empty, the secret's host is verified; set it
	// where the host is an alias of the name in the certificate.
	TLS *tls.Config

	// Configure changes the configuration of a connection before it is made,
	// say its RuntimeParams. Nil: nothing.
	Configure func(*pgx.ConnConfig)
}

// Open returns a pool of database/sql that logs in with the secret of that id.
// Its connections live for dbconn.MaxLifetime.
func Open(source dbconn.Source, id string, options Options) *sql.DB {
	return dbconn.Open(NewConnector(source, id, options))
}

// NewConnector returns a connector that logs in with the secret of that id.
func NewConnector(source dbconn.Source, id string, options Options) *dbconn.Connector {
	return dbconn.NewConnector(source, id, dbconn.Driver{
		Connect: func(ctx context.Context, credentials spec.Database) (driver.Conn, error) {
			config, err := options.config(credentials)
			if err != nil {
				return nil, err
			}
			return stdlib.GetConnector(*config).Connect(ctx)
		},
		Driver:  stdlib.GetDefaultDriver(),
		Engines: engines(),
	})
}

func engines() []string { return []string{spec.EnginePostgres, spec.EngineAuroraPostgres} }

// config returns pgx's configuration. Credentials are set as fields: in a
// connection string some characters of passwords would have to be escaped.
func (o Options) config(credentials spec.Database) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("read the PG environment variables: %w", err)
	}
	o.apply(config, credentials)
	return config, nil
}

func (o Options) apply(config *pgx.ConnConfig, credentials spec.Database) {
	config.Host = credentials.Host
	config.Port = uint16(credentials.Port)
	config.User = credentials.Username
	config.Password = credentials.Password.RevealString()
	config.Database = credentials.DBName
	if config.Database == "" {
		config.Database = "postgres"
	}
	config.Fallbacks = nil
	config.TLSConfig = nil
	if credentials.SSL == nil || *credentials.SSL {
		config.TLSConfig = o.tls(credentials.Host)
	}
	if o.Configure != nil {
		o.Configure(config)
	}
}

func (o Options) tls(host string) *tls.Config {
	config := o.TLS.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	return config
}
