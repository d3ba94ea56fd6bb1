package database

import (
	"database/sql"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

func TestMySQLUsersAlternate(t *testing.T) {
	f := newMySQLFixture(t)
	f.seed()
	f.exec("GRANT ALL ON `{db}`.* TO '{user}'@'%'")
	for n := range 4 {
		expected := []string{f.base, f.base + "_clone"}[n%2]
		assert.Equal(t, expected, f.parse(f.current).Username)
		f.each(func(who string, conn *mysqlConn) {
			assert.Contains(t, who, f.one(conn, "SELECT substring_index(current_user(), '@', 1)"))
		})
		f.rotate()
	}
	f.allowed("CREATE TABLE IF NOT EXISTS `{db}`.t (n int)", "INSERT INTO `{db}`.t VALUES (1)")
	assert.Equal(t, f.show(f.base, "%").grants, f.show(f.base+"_clone", "%").grants)
}

func TestMySQLStepsMayRunTwice(t *testing.T) {
	f := newMySQLFixture(t)
	f.seed()
	f.rotate()
	pending, err := f.generate()
	require.NoError(t, err)
	require.NoError(t, f.apply(pending))
	const stored = "SELECT authentication_string FROM mysql.user WHERE user = ?"
	before := f.one(f.admin, stored, f.base)
	require.NoError(t, f.apply(pending))
	assert.True(t, before == f.one(f.admin, stored, f.base), "a second Apply changed the user")
}

func TestMySQLConnectionsStayOpen(t *testing.T) {
	f := newMySQLFixture(t)
	f.seed()
	f.exec("GRANT ALL ON `{db}`.* TO '{user}'@'%'", "CREATE TABLE `{db}`.kept (n int) ENGINE=InnoDB")
	f.rotate()
	var open []*sql.Tx
	for _, value := range []spec.Value{f.current, f.previous} {
		tx, err := f.client(value).BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), f.fill("INSERT INTO `{db}`.kept VALUES (1)"))
		require.NoError(t, err)
		open = append(open, tx)
	}
	for range 3 {
		f.rotate()
	}
	for _, tx := range open {
		_, err := tx.ExecContext(t.Context(), f.fill("INSERT INTO `{db}`.kept VALUES (2)"))
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
	}
}

// The server logs every statement: no password may be in there.
func TestMySQLNoPasswordReachesTheServersLog(t *testing.T) {
	f := newMySQLFixture(t)
	f.seed()
	values := []spec.Value{f.current}
	for range 2 {
		f.rotate()
		values = append(values, f.current)
	}
	alone := f.parse(f.current)
	alone.MasterARN = ""
	f.current = f.encode(alone)
	f.rotate()
	values = append(values, f.current)
	log, err := os.ReadFile(mariadb.GeneralLogFile)
	require.NoError(t, err)
	assert.Contains(t, string(log), "IDENTIFIED VIA mysql_native_password USING '*", "the log doesn't hold what this test looks into")
	assert.Contains(t, string(log), "SET PASSWORD = ")
	for _, value := range values {
		assert.False(t, strings.Contains(string(log), f.parse(value).Password.RevealString()), "a password is in the log")
	}
}

func TestMySQLSingleUser(t *testing.T) {
	for plugin, created := range map[string]string{
		"native":  "CREATE USER '{user}'@'%' IDENTIFIED BY 'old'",
		"ed25519": "CREATE USER '{user}'@'%' IDENTIFIED VIA ed25519 USING PASSWORD('old')",
	} {
		t.Run(plugin, func(t *testing.T) {
			f := newMySQLFixture(t)
			f.exec(created)
			value := f.adminValue()
			value.Username, value.Password = f.base, spec.ValueString("old")
			f.current = f.encode(value)
			before := f.show(f.base, "%")
			for range 3 {
				f.rotate()
				f.client(f.current)
				require.True(t, refused(mysqlFor(t, defaultDialTimeout).login(t.Context(), f.parse(f.previous))))
			}
			assert.Equal(t, before, f.show(f.base, "%"), "the plugin changed")

			// Somebody has changed the secret but not the database.
			kept := f.current
			value.Password = spec.ValueString("by hand")
			f.previous, f.current = kept, f.encode(value)
			f.rotate()
			f.client(f.current)

			value.Password = spec.ValueString("by hand again")
			f.previous, f.current = f.encode(value), f.encode(value)
			err := f.tryRotate()
			require.ErrorIs(t, err, rotation.ErrDefinite)
			require.ErrorContains(t, err, "logging in as")
		})
	}
}
