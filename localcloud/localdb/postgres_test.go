package localdb_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/localcloud/localdb"
)

// helperVariable makes this test binary a program that starts a server, tells
// its process id, and waits to be killed.
const helperVariable = "LOCALDB_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperVariable) == "" {
		os.Exit(m.Run())
	}
	server, err := localdb.StartPostgres(context.Background(), localdb.Options{})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	pid, err := os.ReadFile(filepath.Join(filepath.Dir(server.LogFile), "data", "postmaster.pid"))
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(strings.SplitN(string(pid), "\n", 2)[0], filepath.Dir(server.LogFile))
	select {}
}

func start(t *testing.T, options localdb.Options) *localdb.Postgres {
	t.Helper()
	server, err := localdb.StartPostgres(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server
}

// connect logs in as the administrator. A nil configuration is no TLS.
func connect(ctx context.Context, server *localdb.Postgres, security *tls.Config) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	config.Host, config.Port = server.Host, uint16(server.Port)
	config.User, config.Password, config.Database = server.AdminUser, server.AdminPassword, "postgres"
	config.TLSConfig = security
	return pgx.ConnectConfig(ctx, config)
}

func trusting(t *testing.T, server *localdb.Postgres) *tls.Config {
	t.Helper()
	return &tls.Config{RootCAs: authorities(t, server.CAFile), ServerName: server.Host, MinVersion: tls.VersionTLS12}
}

func authorities(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	bundle, err := os.ReadFile(file)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(bundle))
	return roots
}

func TestPostgres(t *testing.T) {
	server := start(t, localdb.Options{Settings: map[string]string{"application_name": "it's set"}})

	t.Run("TakesVerifiedTLS", func(t *testing.T) {
		for _, name := range []string{"127.0.0.1", "localhost"} {
			security := trusting(t, server)
			security.ServerName = name
			conn, err := connect(t.Context(), server, security)
			require.NoError(t, err)
			var encryption, method, setting string
			var superuser bool
			require.NoError(t, conn.QueryRow(t.Context(), `
				select version, left(rolpassword, 14), rolsuper, current_setting('application_name')
				from pg_stat_ssl, pg_authid where pid = pg_backend_pid() and rolname = current_user`).
				Scan(&encryption, &method, &superuser, &setting))
			assert.Equal(t, "TLSv1.3", encryption)
			assert.Equal(t, "SCRAM-SHA-256$", method)
			assert.True(t, superuser)
			assert.Equal(t, "it's set", setting)
			require.NoError(t, conn.Close(t.Context()))
		}
	})
	t.Run("HasAnAuthorityOfItsOwn", func(t *testing.T) {
		_, err := connect(t.Context(), server, &tls.Config{ServerName: server.Host, MinVersion: tls.VersionTLS12})
		var unknown x509.UnknownAuthorityError
		require.ErrorAs(t, err, &unknown)
	})
	t.Run("RefusesPlaintext", func(t *testing.T) {
		_, err := connect(t.Context(), server, nil)
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, "28000", refused.Code)
		assert.Contains(t, refused.Message, "no encryption")
	})
	t.Run("RefusesAnotherPassword", func(t *testing.T) {
		other := *server
		other.AdminPassword += "x"
		_, err := connect(t.Context(), &other, trusting(t, server))
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, "28P01", refused.Code)
	})
	t.Run("PrintsNoPassword", func(t *testing.T) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			assert.NotContains(t, fmt.Sprintf(verb, server), server.AdminPassword)
		}
	})
}

func TestPostgresWithoutTLS(t *testing.T) {
	server := start(t, localdb.Options{Plaintext: true})
	assert.Empty(t, server.CAFile)
	conn, err := connect(t.Context(), server, nil)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	_, err = connect(t.Context(), server, &tls.Config{ServerName: server.Host, MinVersion: tls.VersionTLS12})
	require.ErrorContains(t, err, "server refused TLS connection")
}

func TestReplicaFollows(t *testing.T) {
	primary := start(t, localdb.Options{})
	replica, err := primary.StartReplica(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, replica.Close()) })
	writer, err := connect(t.Context(), primary, trusting(t, primary))
	require.NoError(t, err)
	defer func() { _ = writer.Close(context.Background()) }()
	_, err = writer.Exec(t.Context(), "CREATE TABLE followed (n int)")
	require.NoError(t, err)
	reader, err := connect(t.Context(), replica, trusting(t, replica))
	require.NoError(t, err)
	defer func() { _ = reader.Close(context.Background()) }()
	require.Eventually(t, func() bool {
		var there bool
		err := reader.QueryRow(t.Context(), "select to_regclass('followed') is not null and pg_is_in_recovery()").Scan(&there)
		return err == nil && there
	}, time.Minute, 10*time.Millisecond)
}

func TestServersRunSideBySide(t *testing.T) {
	servers := make([]*localdb.Postgres, 3)
	group, ctx := errgroup.WithContext(t.Context())
	for i := range servers {
		group.Go(func() (err error) {
			servers[i], err = localdb.StartPostgres(ctx, localdb.Options{})
			return err
		})
	}
	err := group.Wait()
	ports := map[int]bool{}
	for _, server := range servers {
		if server == nil {
			continue
		}
		conn, err := connect(t.Context(), server, trusting(t, server))
		if assert.NoError(t, err) {
			assert.NoError(t, conn.Close(t.Context()))
		}
		ports[server.Port] = true
		assert.NoError(t, server.Close())
	}
	require.NoError(t, err)
	assert.Len(t, ports, len(servers))
}

func TestCloseLeavesNothing(t *testing.T) {
	server, err := localdb.StartPostgres(t.Context(), localdb.Options{})
	require.NoError(t, err)
	conn, err := connect(t.Context(), server, trusting(t, server))
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()

	require.NoError(t, server.Close())
	assert.Error(t, conn.Ping(t.Context()), "a connection outlived the server")
	_, err = net.Dial("tcp", net.JoinHostPort(server.Host, strconv.Itoa(server.Port)))
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.NoDirExists(t, filepath.Dir(server.LogFile))
	assert.NoError(t, server.Close(), "a second Close fails")
}

func TestCancelledStartLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", openFolder(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := localdb.StartPostgres(ctx, localdb.Options{})
	require.ErrorIs(t, err, context.Canceled)
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestStartTellsWhyItFailed(t *testing.T) {
	t.Setenv("TMPDIR", openFolder(t))
	_, err := localdb.StartPostgres(t.Context(), localdb.Options{Settings: map[string]string{"max_connections": "many"}})
	require.ErrorContains(t, err, `invalid value for parameter "max_connections"`)
	left, err := os.ReadDir(os.TempDir())
	require.NoError(t, err)
	assert.Empty(t, left)
}

// openFolder is a temporary folder that the database's user may enter.
func openFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "localdb-test-") //nolint:usetesting // t.TempDir is in a folder that is closed to others
	require.NoError(t, err)
	require.NoError(t, os.Chmod(folder, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	return folder
}
