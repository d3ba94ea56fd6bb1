package localdb_test

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/localdb"
)

func startMariaDB(t *testing.T, options localdb.Options) *localdb.MariaDB {
	t.Helper()
	server, err := localdb.StartMariaDB(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server
}

// queryMariaDB logs in as the administrator and asks for one value. A nil
// configuration is no TLS.
func queryMariaDB(ctx context.Context, server *localdb.MariaDB, password string, security *tls.Config, query string) (string, error) {
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", net.JoinHostPort(server.Host, strconv.Itoa(server.Port))
	config.User, config.Passwd, config.TLS = server.AdminUser, password, security
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return "", err
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	var answer string
	err = db.QueryRowContext(ctx, query).Scan(&answer)
	return answer, err
}

func TestMariaDB(t *testing.T) {
	server := startMariaDB(t, localdb.Options{Settings: map[string]string{"init_connect": "SET @greeting = 'hello'"}})
	for _, name := range []string{"127.0.0.1", "localhost"} {
		security := &tls.Config{RootCAs: authorities(t, server.CAFile), ServerName: name, MinVersion: tls.VersionTLS12}
		version, err := queryMariaDB(t.Context(), server, server.AdminPassword, security, "SELECT concat(version(), ' ', @@init_connect)")
		require.NoError(t, err)
		assert.Contains(t, version, "MariaDB")
		assert.Contains(t, version, "SET @greeting = 'hello'")
	}
	security := &tls.Config{RootCAs: authorities(t, server.CAFile), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	users, err := queryMariaDB(t.Context(), server, server.AdminPassword, security, "SELECT group_concat(user, '@', host) FROM mysql.global_priv WHERE user NOT IN ('mariadb.sys', 'PUBLIC')")
	require.NoError(t, err)
	assert.Equal(t, "admin@%", users)

	_, err = queryMariaDB(t.Context(), server, server.AdminPassword+"x", security, "SELECT 1")
	require.ErrorContains(t, err, "Access denied")
	_, err = queryMariaDB(t.Context(), server, server.AdminPassword, nil, "SELECT 1")
	require.ErrorContains(t, err, "Access denied", "a connection without TLS")
	_, err = queryMariaDB(t.Context(), server, server.AdminPassword, &tls.Config{ServerName: server.Host, MinVersion: tls.VersionTLS12}, "SELECT 1")
	require.ErrorContains(t, err, "unknown authority")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.NotContains(t, fmt.Sprintf(verb, server), server.AdminPassword)
	}
}

func TestMariaDBWithoutTLS(t *testing.T) {
	t.Setenv("TMPDIR", openFolder(t)) // where the server's user may write nothing
	server := startMariaDB(t, localdb.Options{Plaintext: true})
	assert.Empty(t, server.CAFile)
	_, err := queryMariaDB(t.Context(), server, server.AdminPassword, nil, "SELECT 1")
	require.NoError(t, err)

	require.NoError(t, server.Close())
	assert.NoDirExists(t, filepath.Dir(server.LogFile))
	assert.NoError(t, server.Close(), "a second Close fails")
}

func TestMariaDBTellsWhyItFailed(t *testing.T) {
	t.Setenv("TMPDIR", openFolder(t))
	_, err := localdb.StartMariaDB(t.Context(), localdb.Options{Settings: map[string]string{"no_such_setting": "1"}})
	require.ErrorContains(t, err, "no_such_setting")
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.Empty(t, left)
}
