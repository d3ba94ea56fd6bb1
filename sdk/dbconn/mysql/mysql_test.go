package mysql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/secretstest"
)

func TestRefused(t *testing.T) {
	for err, want := range map[error]bool{
		&mysql.MySQLError{Number: 1045}:                            true,
		fmt.Errorf("connect: %w", &mysql.MySQLError{Number: 1045}): true,
		&mysql.MySQLError{Number: 1049}:                            false, // no such database
		errors.New("Error 1045"):                                   false,
	} {
		assert.Equal(t, want, refused(err), "%v", err)
	}
}

func TestTheSecretSaysHowToConnect(t *testing.T) {
	stop := errors.New("stop before connecting")
	for doc, want := range map[string]struct {
		address, server string // server: whose certificate is verified; "": plaintext
	}{
		`{"engine":"mysql","host":"db.internal","username":"u","password":"p@:/?#"}`:                          {"db.internal:3306", "db.internal"},
		`{"engine":"mariadb","host":"db.internal","port":3307,"username":"u","password":"p@:/?#","ssl":true}`: {"db.internal:3307", "db.internal"},
		`{"engine":"aurora-mysql","host":"::1","username":"u","password":"p@:/?#","ssl":false}`:               {"[::1]:3306", ""},
	} {
		store := secretstest.New()
		store.Put("db", doc)
		var got *mysql.Config
		connector := NewConnector(store.Client(t), "db", Options{Configure: func(c *mysql.Config) {
			got = c
			c.DialFunc = func(context.Context, string, string) (net.Conn, error) { return nil, stop }
		}})
		_, err := connector.Connect(t.Context())
		require.ErrorIs(t, err, stop)
		require.NotErrorIs(t, err, secrets.ErrRefused)
		assert.Equal(t, want.address, got.Addr)
		assert.Equal(t, "p@:/?#", got.Passwd)
		if want.server == "" {
			assert.Nil(t, got.TLS)
		} else {
			assert.Equal(t, want.server, got.TLS.ServerName)
			assert.False(t, got.TLS.InsecureSkipVerify)
		}
	}
}

func TestTheServerNameCanBeSet(t *testing.T) {
	given := &tls.Config{ServerName: "db.example.com", MinVersion: tls.VersionTLS13}
	assert.Equal(t, "db.example.com", Options{TLS: given}.tls("alias").ServerName)
	assert.Equal(t, "alias", Options{TLS: &tls.Config{MinVersion: tls.VersionTLS13}}.tls("alias").ServerName)
	assert.Equal(t, "db.example.com", given.ServerName)
}
