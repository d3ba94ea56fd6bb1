package database

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

func TestUsersAlternate(t *testing.T) {
	f := newFixture(t)
	f.seed()
	for n := range 4 {
		current := f.parse(f.current)
		expected := []string{f.base, f.base + "_clone"}[n%2]
		assert.Equal(t, expected, current.Username)
		for name, value := range map[string]spec.Value{"current": f.current, "previous": f.previous} {
			if value.Len() == 0 {
				continue
			}
			conn := f.client(value)
			assert.Equal(t, f.base+"_owner", query[string](f, conn, "select current_user"), name)
			assert.Equal(t, f.parse(value).Username, query[string](f, conn, "select session_user"), name)
		}
		f.rotate()
	}
	assert.Equal(t, 32, f.parse(f.current).Password.Len())
}

func TestOtherKeysOfTheSecretStay(t *testing.T) {
	f := newFixture(t)
	f.seed()
	text := f.current.RevealString()
	f.current = spec.ValueString(text[:len(text)-1] + `,"dbClusterIdentifier":"orders-1","extra":{"a":[1, 2.50]}}`)
	f.rotate()
	assert.Contains(t, f.current.RevealString(), `"dbClusterIdentifier":"orders-1","extra":{"a":[1, 2.50]}`)
}

func TestStepsMayRunTwice(t *testing.T) {
	f := newFixture(t)
	f.seed()
	pending, err := f.generate()
	require.NoError(t, err)
	require.NoError(t, f.apply(pending))
	const stored = "select rolpassword from pg_authid where rolname = $1"
	before := query[string](f, f.admin, stored, f.base+"_clone")
	require.NoError(t, f.apply(pending))
	assert.True(t, before == query[string](f, f.admin, stored, f.base+"_clone"), "a second Apply changed the user")
}

func TestConnectionsStayOpen(t *testing.T) {
	f := newFixture(t)
	f.seed()
	conn := f.client(f.current)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "CREATE TEMPORARY TABLE kept (n int)")
	require.NoError(t, err)
	for range 3 {
		f.rotate()
	}
	_, err = tx.Exec(t.Context(), "INSERT INTO kept VALUES (1)")
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
}

// The server logs every statement: no password may be in there.
func TestNoPasswordReachesTheServersLog(t *testing.T) {
	f := newFixture(t)
	f.seed()
	values := []spec.Value{f.current}
	for range 2 {
		f.rotate()
		values = append(values, f.current)
	}
	log, err := os.ReadFile(postgres.LogFile)
	require.NoError(t, err)
	assert.Contains(t, string(log), "SCRAM-SHA-256$4096:", "the log doesn't hold what this test looks into")
	for _, value := range values {
		assert.NotContains(t, string(log), f.parse(value).Password.RevealString())
	}
	for _, value := range append(values, f.masters[masterARN]) {
		assert.NotContains(t, f.logs.String(), f.parse(value).Password.RevealString())
	}
}

// rotation-lambdas#56 and #175: what the clone made was denied to the user.
func TestReport_RotationLambdas56_175ObjectsBelongToBothUsers(t *testing.T) {
	f := newFixture(t)
	f.exec("CREATE SCHEMA shop")
	f.seed()
	f.exec(`GRANT ALL ON SCHEMA shop TO "` + f.base + `_owner"`)
	f.rotate()
	user, clone := f.client(f.previous), f.client(f.current)

	for _, step := range []string{
		"CREATE TABLE shop.orders (id serial PRIMARY KEY, note text)",
		"INSERT INTO shop.orders (note) VALUES ('one')",
		"CREATE VIEW shop.notes AS SELECT note FROM shop.orders",
		"ALTER TABLE shop.orders ADD COLUMN amount int",
		"CREATE FUNCTION shop.total() RETURNS bigint LANGUAGE sql AS 'SELECT sum(amount) FROM shop.orders'",
		"CREATE OR REPLACE FUNCTION shop.total() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM shop.orders'",
		"SELECT shop.total(), nextval('shop.orders_id_seq') FROM shop.notes",
		"DROP FUNCTION shop.total()",
		"DROP TABLE shop.orders CASCADE",
	} {
		// Each step by the one who didn't do the one before.
		_, err := clone.Exec(t.Context(), step)
		require.NoError(t, err, step)
		user, clone = clone, user
	}
	assert.NotNil(t, user)
}

// The same for objects that are made between the steps of a rotation.
func TestObjectsMadeDuringARotationBelongToBothUsers(t *testing.T) {
	f := newFixture(t)
	f.seed()
	f.exec(`GRANT CREATE ON SCHEMA public TO "` + f.base + `_owner"`)
	for range 2 {
		pending, err := f.generate()
		require.NoError(t, err)
		require.NoError(t, f.apply(pending))
		_, err = f.client(f.current).Exec(t.Context(), "CREATE TABLE made (n int)")
		require.NoError(t, err)
		_, err = f.client(pending).Exec(t.Context(), "ALTER TABLE made ADD COLUMN m int; DROP TABLE made")
		require.NoError(t, err)
		f.previous, f.current = f.current, pending
	}
}

func TestVerifySeesASessionThatDoesNotShareRights(t *testing.T) {
	f := newFixture(t)
	f.seed()
	f.exec("ALTER ROLE %s IN DATABASE " + quote(f.database) + " RESET role")
	_, err := f.target.Verify(t.Context(), rotation.VerifyRequest{SecretARN: f.arn, Pending: f.current})
	require.ErrorIs(t, err, rotation.ErrDefinite)
	assert.ErrorContains(t, err, "ALTER ROLE")
}
