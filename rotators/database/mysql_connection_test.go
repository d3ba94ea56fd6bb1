package database

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/localdb"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// rotation-lambdas PR#173: without "ssl" the connection was silently plain, and
// a host that is an alias couldn't be verified.
func TestReport_RotationLambdasPR173OnMySQLTLSIsNeverGivenUp(t *testing.T) {
	plain, err := localdb.StartMariaDB(t.Context(), localdb.Options{Plaintext: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, plain.Close()) })
	value := func(server *localdb.MariaDB, ssl *bool) spec.Database {
		return spec.Database{
			Engine: spec.EngineMariaDB, Host: server.Host, Port: server.Port, SSL: ssl,
			Username: server.AdminUser, Password: spec.ValueString(server.AdminPassword),
		}
	}
	e := mysqlFor(t, defaultDialTimeout)
	for name, ssl := range map[string]*bool{"absent": nil, "true": new(true)} {
		err := e.login(t.Context(), value(plain, ssl))
		require.ErrorIs(t, err, rotation.ErrDefinite, name)
		require.ErrorContains(t, err, `"ssl": false`, name)
		require.NoError(t, e.login(t.Context(), value(mariadb, ssl)), name)
	}
	require.NoError(t, e.login(t.Context(), value(plain, new(false))), "an explicit false")
	require.ErrorContains(t, e.login(t.Context(), value(mariadb, new(false))), "denied", "the server wants TLS")

	e.roots = x509.NewCertPool()
	err = e.login(t.Context(), value(mariadb, nil))
	require.ErrorIs(t, err, rotation.ErrDefinite)
	require.ErrorContains(t, err, spec.EnvDatabaseCAFile)

	e = mysqlFor(t, defaultDialTimeout)
	e.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("%s:%d", mariadb.Host, mariadb.Port))
	}
	alias := value(mariadb, nil)
	alias.Host = "db.internal"
	err = e.login(t.Context(), alias)
	require.ErrorIs(t, err, rotation.ErrDefinite)
	require.ErrorContains(t, err, spec.EnvDatabaseServerNames)
	e.names = map[string]string{"db.internal": "localhost"}
	require.NoError(t, e.login(t.Context(), alias))
}

// aws-cdk#17265: a function that waits 30 s for a network that drops packets
// has no time left to tell.
func TestReport_AWSCDK17265OnMySQLAServerThatDoesNotAnswerIsGivenUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	d := spec.Database{
		Engine: spec.EngineMySQL, Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, Username: "u", Password: spec.ValueString("p"),
	}
	err = mysqlFor(t, 50*time.Millisecond).login(t.Context(), d)
	require.ErrorContains(t, err, "deadline exceeded")
	require.NotErrorIs(t, err, rotation.ErrDefinite, "the network may come back")
}

// A server that asks for no password proves nothing about the current value,
// nor does one that takes anybody for its anonymous user.
func TestMySQLAServerThatAsksForNoPasswordIsRefused(t *testing.T) {
	trusting, err := localdb.StartMariaDB(t.Context(), localdb.Options{Settings: map[string]string{"skip_grant_tables": "on"}})
	require.NoError(t, err)
	defer func() { require.NoError(t, trusting.Close()) }()
	d := spec.Database{Engine: spec.EngineMariaDB, Host: trusting.Host, Port: trusting.Port, Username: "anybody", Password: spec.ValueString("anything")}
	e := mysqlFor(t, defaultDialTimeout)
	e.roots = roots(t, trusting.CAFile)
	err = e.login(t.Context(), d)
	require.ErrorIs(t, err, rotation.ErrDefinite)
	require.ErrorContains(t, err, "own password")

	f := newMySQLFixture(t)
	f.exec("CREATE USER ''@'%' IDENTIFIED BY 'anonymous'")
	defer f.exec("DROP USER ''@'%'")
	anonymous := f.adminValue()
	anonymous.Username, anonymous.Password = f.base, spec.ValueString("anonymous")
	require.ErrorContains(t, f.login(f.encode(anonymous)), "own password")
}

func FuzzMySQLStatements(f *testing.F) {
	for _, seed := range []string{
		"GRANT SELECT (`a`, `b`), INSERT ON `d`.`t` TO `u`@`%` WITH GRANT OPTION", "GRANT `r`@`%` TO `u`@`%` WITH ADMIN OPTION",
		"SET DEFAULT ROLE `r` FOR `u`@`%`", "REVOKE SELECT ON `d`.* FROM `u`@`%`", "GRANT PROXY ON ''@'%' TO 'u'@'%'",
		"CREATE USER `u`@`%` IDENTIFIED VIA ed25519 USING 'x' OR unix_socket REQUIRE SSL WITH MAX_USER_CONNECTIONS 2 ACCOUNT LOCK",
		"CREATE USER", "DEFAULT ROLE", "WITH", "IDENTIFIED BY",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, statement string) {
		g := grants{}
		g.add(statement, "")
		g.give(account{"u", "h"})
		g.take(account{"u", "h"})
		g.missing([]step{{give: g, take: grants{}}}, account{"m", "h"})
		parseDefaultRole(statement)
		if u, err := parseUser(statement); err == nil {
			u.definition.clauses(mysqlVersion{mariadb: true})
		}
	})
}
