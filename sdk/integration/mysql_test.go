package integration_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/localdb"
	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/dbconn/mysql"
	"github.com/aistudio/secrets/sdk/secretstest"
	"github.com/aistudio/secrets/sdk/spec"
)

// mariaDB is a server with users whose passwords the tests change.
type mariaDB struct {
	server *localdb.MariaDB
	admin  *sql.DB
	tls    *tls.Config
}

func startMariaDB(t *testing.T) *mariaDB {
	t.Helper()
	server, err := localdb.StartMariaDB(t.Context(), localdb.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Close()) })
	pem, err := os.ReadFile(server.CAFile)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))

	config := driver.NewConfig()
	config.Net, config.Addr = "tcp", net.JoinHostPort(server.Host, strconv.Itoa(server.Port))
	config.User, config.Passwd = server.AdminUser, server.AdminPassword
	config.TLS = &tls.Config{RootCAs: roots, ServerName: server.Host, MinVersion: tls.VersionTLS12}
	config.InterpolateParams = true // CREATE USER takes no parameters of the server's
	connector, err := driver.NewConnector(config)
	require.NoError(t, err)
	admin := sql.OpenDB(connector)
	t.Cleanup(func() { assert.NoError(t, admin.Close()) })
	return &mariaDB{server: server, admin: admin, tls: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
}

// setPassword gives the user, who is made if need be, a new password and
// returns the secret's value for it.
func (m *mariaDB) setPassword(t *testing.T, user string) string {
	t.Helper()
	password := rand.Text() + ` '"\@/:?#%&`
	_, err := m.admin.ExecContext(t.Context(), "create user if not exists ?@'%'", user)
	require.NoError(t, err)
	_, err = m.admin.ExecContext(t.Context(), "alter user ?@'%' identified by ?", user, password)
	require.NoError(t, err)
	value, err := spec.Database{
		Engine: spec.EngineMariaDB, Host: m.server.Host, Port: m.server.Port,
		Username: user, Password: spec.ValueString(password),
	}.Encode()
	require.NoError(t, err)
	return value.RevealString()
}

func (m *mariaDB) open(t *testing.T, client *secrets.Client) *sql.DB {
	t.Helper()
	db := mysql.Open(client, secretName, mysql.Options{TLS: m.tls})
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	db.SetMaxIdleConns(0) // every query logs in
	return db
}

type rower interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func mysqlUser(ctx context.Context, db rower) (string, error) {
	var user string
	err := db.QueryRowContext(ctx, "select substring_index(current_user(), '@', 1)").Scan(&user)
	return user, err
}

// Rotations between two users, while many log in with what the cache has: none
// fails, and a connection that is open stays open.
func TestMySQLLoginsSurviveRotationsUnderLoad(t *testing.T) {
	m := startMariaDB(t)
	users := []string{"shop", "shop_clone"}
	store := secretstest.New()
	store.Put(secretName, m.setPassword(t, users[0]))
	client := store.Client(t, secrets.WithMinRefresh(time.Millisecond)) // rotations are days apart, but for here
	db := m.open(t, client)
	open, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, open.Close()) }()

	ctx, stop := context.WithCancel(t.Context())
	var (
		logins  atomic.Int64
		workers sync.WaitGroup
	)
	for range 8 {
		workers.Go(func() {
			for ctx.Err() == nil {
				user, err := mysqlUser(t.Context(), db)
				assert.NoError(t, err)
				assert.Contains(t, users, user)
				logins.Add(1)
			}
		})
	}
	for rotation := 1; rotation <= 10; rotation++ {
		store.Put(secretName, m.setPassword(t, users[rotation%2]))
		before := logins.Load()
		require.Eventually(t, func() bool { return logins.Load() >= before+20 }, time.Minute, time.Millisecond)
	}
	stop()
	workers.Wait()
	assert.NotZero(t, client.Stats().Refreshes, "credentials were refused, and nobody noticed")
	user, err := mysqlUser(t.Context(), open)
	require.NoError(t, err)
	assert.Equal(t, users[0], user)
}

// Error 1045 makes the connector fetch once past the cache and try again.
func TestMySQLRefusal(t *testing.T) {
	m := startMariaDB(t)
	store := secretstest.New()
	store.Put(secretName, m.setPassword(t, "shop"))
	db := m.open(t, store.Client(t))
	require.NoError(t, db.PingContext(t.Context()))
	store.Put(secretName, m.setPassword(t, "shop"))
	require.NoError(t, db.PingContext(t.Context()))
	assert.Equal(t, 2, store.Calls(), "the read and one refresh")

	m.setPassword(t, "shop") // the secret is wrong, and stays wrong
	wrong := m.open(t, store.Client(t))
	err := wrong.PingContext(t.Context())
	require.ErrorIs(t, err, secrets.ErrRefused)
	var answer *driver.MySQLError
	require.ErrorAs(t, err, &answer)
	assert.EqualValues(t, 1045, answer.Number)
	assert.ErrorContains(t, err, secretName)
}

func TestMySQLVerifiesTheServer(t *testing.T) {
	m := startMariaDB(t)
	store := secretstest.New()
	store.Put(secretName, m.setPassword(t, "shop"))
	client := store.Client(t)
	for name, options := range map[string]mysql.Options{
		"unknown authority": {},
		"another name":      {TLS: &tls.Config{RootCAs: m.tls.RootCAs, ServerName: "db.example.com", MinVersion: tls.VersionTLS12}},
	} {
		db := mysql.Open(client, secretName, options)
		err := db.PingContext(t.Context())
		require.ErrorContains(t, err, "x509", name)
		require.NotErrorIs(t, err, secrets.ErrRefused, name)
		require.NoError(t, db.Close())
	}
	assert.Equal(t, 1, store.Calls(), "a failed handshake is no refusal")
}
