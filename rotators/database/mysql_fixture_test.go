package database

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/sdk/spec"
)

// mysqlFixture is a fixture whose database is on MariaDB, with a database of
// the test's own.
type mysqlFixture struct {
	*fixture
	admin *mysqlConn
}

func newMySQLFixture(t testing.TB) *mysqlFixture {
	t.Helper()
	n := next()
	f := &mysqlFixture{fixture: &fixture{
		TB: t, masters: secrets{}, logs: &lockedBuffer{},
		database: fmt.Sprintf("test%d", n), base: fmt.Sprintf("app%d", n), arn: fmt.Sprintf("%s-%d", secretARN, n), master: masterARN,
	}}
	f.seedOf = spec.DatabaseSeed{Engine: spec.EngineMariaDB, Host: mariadb.Host, Port: mariadb.Port, MasterSecretARN: masterARN}
	f.masters[masterARN] = f.encode(f.adminValue())
	f.target = f.newTarget(Options{})
	f.admin = f.connect(f.adminValue())
	f.exec("CREATE DATABASE `{db}`")
	return f
}

func (f *mysqlFixture) adminValue() spec.Database {
	return spec.Database{
		Engine: spec.EngineMariaDB, Host: mariadb.Host, Port: mariadb.Port,
		Username: mariadb.AdminUser, Password: spec.ValueString(mariadb.AdminPassword),
	}
}

func mysqlFor(t testing.TB, timeout time.Duration) mysqlEngine {
	t.Helper()
	return mysqlEngine{network: &network{roots: roots(t, mariadb.CAFile), timeout: timeout}, log: slog.Default(), nameLimit: 80}
}

// connect logs in as a client does, until the test ends.
func (f *mysqlFixture) connect(d spec.Database) *mysqlConn {
	f.Helper()
	conn, err := mysqlFor(f.TB, defaultDialTimeout).connect(f.Context(), d)
	require.NoError(f, err)
	f.Cleanup(conn.close)
	return conn
}

func (f *mysqlFixture) client(value spec.Value) *mysqlConn {
	f.Helper()
	return f.connect(f.parse(value))
}

// fill puts the test's names into a statement: {db}, {user} and {clone}, which
// stand within quotes.
func (f *mysqlFixture) fill(statement string) string {
	return strings.NewReplacer("{db}", f.database, "{user}", strings.ReplaceAll(f.base, "'", "''"), "{clone}", strings.ReplaceAll(f.base, "'", "''")+cloneSuffix).Replace(statement)
}

// exec runs statements as the administrator.
func (f *mysqlFixture) exec(statements ...string) {
	f.Helper()
	f.execAs(f.admin, statements...)
}

func (f *mysqlFixture) execAs(conn *mysqlConn, statements ...string) {
	f.Helper()
	for _, statement := range statements {
		_, err := conn.ExecContext(f.Context(), f.fill(statement))
		require.NoError(f, err, f.fill(statement))
	}
}

// one asks for a single text.
func (f *mysqlFixture) one(conn *mysqlConn, query string, arguments ...any) string {
	f.Helper()
	var text string
	require.NoError(f, conn.QueryRowContext(f.Context(), f.fill(query), arguments...).Scan(&text), f.fill(query))
	return text
}

// allowed runs statements that must succeed for both users' values.
func (f *mysqlFixture) allowed(statements ...string) {
	f.Helper()
	f.each(func(who string, conn *mysqlConn) {
		for _, statement := range statements {
			_, err := conn.ExecContext(f.Context(), f.fill(statement))
			assert.NoError(f, err, "%s: %s", who, f.fill(statement))
		}
	})
}

// denied runs statements that must fail for both users' values.
func (f *mysqlFixture) denied(statements ...string) {
	f.Helper()
	f.each(func(who string, conn *mysqlConn) {
		for _, statement := range statements {
			_, err := conn.ExecContext(f.Context(), f.fill(statement))
			assert.ErrorContains(f, err, "denied", "%s: %s", who, f.fill(statement))
		}
	})
}

func (f *mysqlFixture) each(do func(who string, conn *mysqlConn)) {
	f.Helper()
	for name, value := range map[string]spec.Value{"current": f.current, "previous": f.previous} {
		if value.Len() > 0 {
			do(name+" user "+f.parse(value).Username, f.client(value))
		}
	}
}

// show is all that the server knows of an account but the password.
func (f *mysqlFixture) show(user, host string) mysqlUser {
	f.Helper()
	u, err := mysqlSession{mysqlConn: f.admin, log: slog.Default()}.user(f.Context(), account{user, host})
	require.NoError(f, err)
	for i := range u.methods {
		u.methods[i].hash = ""
	}
	u.user = ""
	return u
}
