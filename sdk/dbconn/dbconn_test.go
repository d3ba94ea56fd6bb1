package dbconn_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/dbconn"
	"github.com/aistudio/secrets/sdk/secretstest"
	"github.com/aistudio/secrets/sdk/spec"
)

const name = "acme/dev/shop/db"

func secretOf(user, password string) string {
	return fmt.Sprintf(`{"engine":"postgres","host":"db.internal","username":%q,"password":%q}`, user, password)
}

// sqlError is an error with an SQLSTATE.
type sqlError string

func (e sqlError) Error() string    { return "SQLSTATE " + string(e) }
func (e sqlError) SQLState() string { return string(e) }

// conn is a connection that knows by which user it was opened.
type conn struct {
	driver.Conn
	user string
}

func TestConnectRetriesARefusalWithTheNewVersionOnly(t *testing.T) {
	for label, c := range map[string]struct {
		rotated bool
		err     error // of the first password
		logins  []string
		user    string // "": an error
	}{
		"accepted":              {false, nil, []string{"shop"}, "shop"},
		"invalid password":      {true, sqlError("28P01"), []string{"shop", "shop_clone"}, "shop_clone"},
		"invalid authorisation": {true, fmt.Errorf("connect: %w", sqlError("28000")), []string{"shop", "shop_clone"}, "shop_clone"},
		"no new version":        {false, sqlError("28P01"), []string{"shop"}, ""},
		"no such database":      {true, sqlError("3D000"), []string{"shop"}, ""},
		"no network":            {true, errors.New("connection refused"), []string{"shop"}, ""},
	} {
		t.Run(label, func(t *testing.T) {
			store := secretstest.New()
			store.Put(name, secretOf("shop", "one"))
			client := store.Client(t)
			_, err := client.Get(t.Context(), name)
			require.NoError(t, err)
			if c.rotated {
				store.Put(name, secretOf("shop_clone", "two"))
			}
			var logins []string
			connector := dbconn.NewConnector(client, name, dbconn.Driver{Connect: func(_ context.Context, d spec.Database) (driver.Conn, error) {
				logins = append(logins, d.Username)
				assert.Equal(t, 5432, d.Port, "the engine's own")
				if d.Password.RevealString() == "one" && c.err != nil {
					return nil, c.err
				}
				return conn{user: d.Username}, nil
			}})
			got, err := connector.Connect(t.Context())
			assert.Equal(t, c.logins, logins)
			if c.user != "" {
				require.NoError(t, err)
				assert.Equal(t, c.user, got.(conn).user)
				return
			}
			assert.Nil(t, got)
			require.ErrorIs(t, err, c.err)
			assert.Equal(t, dbconn.SQLRefused(c.err), errors.Is(err, secrets.ErrRefused))
			for _, part := range []string{name, "db.internal", `"shop"`} {
				assert.ErrorContains(t, err, part)
			}
			assert.NotContains(t, err.Error(), "one")
		})
	}
}

func TestConnectRefusesASecretThatIsNoDatabase(t *testing.T) {
	for doc, want := range map[string]string{
		`Zq7plain`: "isn't JSON",
		`{"engine":"postgres","username":"u","password":"Zq7plain"}`:          `key "host" is missing`,
		`{"engine":"mysql","host":"h","username":"u","password":"Zq7plain"}`:  `engine "mysql" isn't one of this driver's`,
		`{"engine":"oracle","host":"h","username":"u","password":"Zq7plain"}`: `unknown engine "oracle"`,
	} {
		store := secretstest.New()
		store.Put(name, doc)
		connector := dbconn.NewConnector(store.Client(t), name, dbconn.Driver{
			Engines: []string{"postgres"},
			Connect: func(context.Context, spec.Database) (driver.Conn, error) {
				t.Error("connected")
				return nil, nil
			},
		})
		_, err := connector.Connect(t.Context())
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, name)
		assert.NotContains(t, err.Error(), "Zq7")
	}
}

func TestConnectWithoutASecretTellsWhy(t *testing.T) {
	connector := dbconn.NewConnector(secretstest.New().Client(t), name, dbconn.Driver{})
	_, err := connector.Connect(t.Context())
	require.ErrorIs(t, err, secrets.ErrNotFound)
	assert.Nil(t, connector.Driver())
}
