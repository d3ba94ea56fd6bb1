// Package mysql connects to MySQL and MariaDB with go-sql-driver and
// credentials from the secrets cache.
//
// A secret whose ssl key is absent or true connects over TLS only and verifies
// the server's certificate and name; false connects in plaintext.
package mysql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/go-sql-driver/mysql"

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
	// say its Timeout. Nil: nothing.
	Configure func(*mysql.Config)
}

// Open returns a pool of database/sql that logs in with the secret of that id.
// Its connections live for dbconn.MaxLifetime.
func Open(source dbconn.Source, id string, options Options) *sql.DB {
	return dbconn.Open(NewConnector(source, id, options))
}

// NewConnector returns a connector that logs in with the secret of that id.
func NewConnector(source dbconn.Source, id string, options Options) *dbconn.Connector {
	return dbconn.NewConnector(source, id, dbconn.Driver{
		Connect: options.connect,
		Refused: refused,
		Driver:  mysql.MySQLDriver{},
		Engines: []string{spec.EngineMySQL, spec.EngineAuroraMySQL, spec.EngineMariaDB},
	})
}

// connect sets credentials as fields: in a connection string some characters of
// passwords would have to be escaped.
func (o Options) connect(ctx context.Context, credentials spec.Database) (driver.Conn, error) {
	config := mysql.NewConfig()
	config.Net = "tcp"
	config.Addr = net.JoinHostPort(credentials.Host, strconv.Itoa(credentials.Port))
	config.User = credentials.Username
	config.Passwd = credentials.Password.RevealString()
	config.DBName = credentials.DBName
	if credentials.SSL == nil || *credentials.SSL {
		config.TLS = o.tls(credentials.Host)
	}
	if o.Configure != nil {
		o.Configure(config)
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("configure the connection: %w", err)
	}
	return connector.Connect(ctx)
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

// refused knows error 1045, ER_ACCESS_DENIED_ERROR (MySQL server error
// reference; MariaDB's is the same).
func refused(err error) bool {
	var answer *mysql.MySQLError
	return errors.As(err, &answer) && answer.Number == 1045
}
