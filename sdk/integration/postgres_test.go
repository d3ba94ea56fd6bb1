package integration_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/localdb"
	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/dbconn"
	"github.com/aistudio/secrets/sdk/dbconn/postgres"
	"github.com/aistudio/secrets/sdk/secretstest"
	"github.com/aistudio/secrets/sdk/spec"
)

const secretName = "acme/dev/shop/db"

// database is a PostgreSQL server with users whose passwords the tests change.
type database struct {
	server *localdb.Postgres
	admin  *pgx.Conn
	tls    *tls.Config
}

func startDatabase(t *testing.T) *database {
	t.Helper()
	server, err := localdb.StartPostgres(t.Context(), localdb.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Close()) })
	pem, err := os.ReadFile(server.CAFile)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))

	config, err := pgx.ParseConfig("")
	require.NoError(t, err)
	config.Host, config.Port, config.User, config.Password, config.Database = server.Host, uint16(server.Port), server.AdminUser, server.AdminPassword, "postgres"
	config.TLSConfig = &tls.Config{RootCAs: roots, ServerName: server.Host}
	config.Fallbacks = nil
	admin, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = admin.Close(context.WithoutCancel(t.Context())) })
	return &database{server: server, admin: admin, tls: &tls.Config{RootCAs: roots}}
}

// setPassword gives the user, who is made if need be, a new password and
// returns the secret's value for it.
func (d *database) setPassword(t *testing.T, user string) string {
	t.Helper()
	password := rand.Text() + ` '"\@/:?#%&`
	var exists bool
	require.NoError(t, d.admin.QueryRow(t.Context(), "select exists(select from pg_roles where rolname = $1)", user).Scan(&exists))
	verb := "create"
	if exists {
		verb = "alter"
	}
	var quoted string
	require.NoError(t, d.admin.QueryRow(t.Context(), "select quote_literal($1::text)", password).Scan(&quoted))
	_, err := d.admin.Exec(t.Context(), fmt.Sprintf("%s role %s login password %s", verb, pgx.Identifier{user}.Sanitize(), quoted))
	require.NoError(t, err)
	value, err := spec.Database{
		Engine: spec.EnginePostgres, Host: d.server.Host, Port: d.server.Port,
		Username: user, Password: spec.ValueString(password), DBName: "postgres",
	}.Encode()
	require.NoError(t, err)
	return value.RevealString()
}

func currentUser(ctx context.Context, db *sql.DB) (string, error) {
	var user string
	err := db.QueryRowContext(ctx, "select current_user").Scan(&user)
	return user, err
}

func TestDatabaseSQLOutlivesRotations(t *testing.T) {
	d := startDatabase(t)
	store := secretstest.New()
	store.Put(secretName, d.setPassword(t, "shop"))
	client := store.Client(t)
	db := postgres.Open(client, secretName, postgres.Options{TLS: d.tls})
	defer func() { require.NoError(t, db.Close()) }()
	db.SetMaxIdleConns(0) // every query logs in

	user, err := currentUser(t.Context(), db)
	require.NoError(t, err)
	assert.Equal(t, "shop", user)

	// The other user's turn, and then the first one's: the password in the cache
	// is wrong now.
	store.Put(secretName, d.setPassword(t, "shop_clone"))
	user, err = currentUser(t.Context(), db)
	require.NoError(t, err)
	assert.Equal(t, "shop", user, "the cached version is the previous one and logs in")
	store.Put(secretName, d.setPassword(t, "shop"))

	// Many log in at once: none fails, and one call is enough.
	before := store.Calls()
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			user, err := currentUser(t.Context(), db)
			assert.NoError(t, err)
			assert.Equal(t, "shop", user)
		})
	}
	wait.Wait()
	assert.Equal(t, 1, store.Calls()-before)
}

func TestDatabaseSQLTellsARefusal(t *testing.T) {
	d := startDatabase(t)
	store := secretstest.New()
	store.Put(secretName, d.setPassword(t, "shop"))
	d.setPassword(t, "shop") // the secret is wrong, and stays wrong
	db := postgres.Open(store.Client(t), secretName, postgres.Options{TLS: d.tls})
	defer func() { require.NoError(t, db.Close()) }()
	_, err := currentUser(t.Context(), db)
	require.ErrorIs(t, err, secrets.ErrRefused)
	require.True(t, dbconn.SQLRefused(err))
	assert.ErrorContains(t, err, secretName)
	assert.Equal(t, 2, store.Calls(), "the read and one refresh")
}

func TestDatabaseSQLVerifiesTheServer(t *testing.T) {
	d := startDatabase(t)
	store := secretstest.New()
	store.Put(secretName, d.setPassword(t, "shop"))
	client := store.Client(t)
	for name, options := range map[string]postgres.Options{
		"unknown authority": {},
		"another name":      {TLS: &tls.Config{RootCAs: d.tls.RootCAs, ServerName: "db.example.com"}},
	} {
		db := postgres.Open(client, secretName, options)
		_, err := currentUser(t.Context(), db)
		require.ErrorContains(t, err, "x509", name)
		require.NotErrorIs(t, err, secrets.ErrRefused, name)
		require.NoError(t, db.Close())
	}
	assert.Equal(t, 1, store.Calls(), "a failed handshake is no refusal")
}

func TestPoolHealsAfterARefusal(t *testing.T) {
	d := startDatabase(t)
	store := secretstest.New()
	store.Put(secretName, d.setPassword(t, "shop"))
	client := store.Client(t)
	config, err := pgxpool.ParseConfig("")
	require.NoError(t, err)
	postgres.ConfigurePool(config, client, secretName, postgres.Options{TLS: d.tls})
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	defer pool.Close()
	require.NoError(t, pool.Ping(t.Context()))

	store.Put(secretName, d.setPassword(t, "shop"))
	pool.Reset()
	require.Error(t, pool.Ping(t.Context()))
	require.NoError(t, pool.Ping(t.Context()))
}
