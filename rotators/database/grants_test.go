package database

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// allowed runs statements that must succeed for both users' values.
func (f *fixture) allowed(statements ...string) {
	f.Helper()
	for name, value := range map[string]spec.Value{"current": f.current, "previous": f.previous} {
		if value.Len() == 0 {
			continue
		}
		conn := f.client(value)
		for _, statement := range statements {
			tx, err := conn.Begin(f.Context())
			require.NoError(f, err)
			_, err = tx.Exec(f.Context(), statement)
			assert.NoError(f, err, "%s user %s: %s", name, f.parse(value).Username, statement)
			require.NoError(f, tx.Rollback(f.Context()))
		}
	}
}

// things are one of each kind that can be granted, and what a user with the
// grant can do.
var things = []struct{ name, make, grant, use string }{
	{"table", "CREATE TABLE kept.goods (id int)", "GRANT SELECT, INSERT ON kept.goods TO %s", "INSERT INTO kept.goods SELECT id FROM kept.goods"},
	{"column", "CREATE TABLE kept.prices (id int, price int)", "GRANT UPDATE (price), SELECT (id) ON kept.prices TO %s", "UPDATE kept.prices SET price = id"},
	{"view", "CREATE VIEW kept.seen AS SELECT 1 AS one", "GRANT SELECT ON kept.seen TO %s", "SELECT * FROM kept.seen"},
	{"sequence", "CREATE SEQUENCE kept.ids", "GRANT USAGE ON SEQUENCE kept.ids TO %s", "SELECT nextval('kept.ids')"},
	{"function", "CREATE FUNCTION kept.f(n int, t text) RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION kept.f FROM PUBLIC", "GRANT EXECUTE ON FUNCTION kept.f TO %s", "SELECT kept.f(1, 'x')"},
	{"procedure", "CREATE PROCEDURE kept.p() LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON PROCEDURE kept.p FROM PUBLIC", "GRANT EXECUTE ON PROCEDURE kept.p TO %s", "CALL kept.p()"},
	{"type", "CREATE TYPE kept.mood AS ENUM ('glad'); REVOKE ALL ON TYPE kept.mood FROM PUBLIC", "GRANT USAGE ON TYPE kept.mood TO %s", "CREATE TEMPORARY TABLE t (m kept.mood)"},
	{"domain", "CREATE DOMAIN kept.id AS int; REVOKE ALL ON DOMAIN kept.id FROM PUBLIC", "GRANT USAGE ON DOMAIN kept.id TO %s", "CREATE TEMPORARY TABLE t (m kept.id)"},
	{"large object", "SELECT lo_create(4711)", "GRANT SELECT ON LARGE OBJECT 4711 TO %s", "SELECT lo_get(4711)"},
	{"language", "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC", "GRANT USAGE ON LANGUAGE plpgsql TO %s", "DO 'BEGIN END'"},
	{"database", "SELECT 1", "GRANT CREATE ON DATABASE {database} TO %s", "CREATE SCHEMA new"},
	{"foreign server", "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER far FOREIGN DATA WRAPPER w", "GRANT USAGE ON FOREIGN SERVER far TO %s", "CREATE FOREIGN TABLE pg_temp.t (n int) SERVER far"},
	{"foreign data wrapper", "CREATE FOREIGN DATA WRAPPER w2", "GRANT USAGE ON FOREIGN DATA WRAPPER w2 TO %s", "CREATE SERVER near FOREIGN DATA WRAPPER w2"},
	{"default privileges", "SELECT 1", "ALTER DEFAULT PRIVILEGES IN SCHEMA kept GRANT SELECT ON TABLES TO %s", "SELECT 1"},
	{"row security", `CREATE TABLE kept.rows (n int); INSERT INTO kept.rows VALUES (1); GRANT SELECT ON kept.rows TO PUBLIC;
		ALTER TABLE kept.rows ENABLE ROW LEVEL SECURITY`, "CREATE POLICY visible ON kept.rows TO %s USING (true)", "SELECT 1 / (SELECT count(*) FROM kept.rows)"},
	{"membership", "CREATE ROLE readers{number}; CREATE TABLE kept.read (n int); GRANT SELECT ON kept.read TO readers{number}", "GRANT readers{number} TO %s", "SELECT * FROM kept.read"},
	{"grant option", "CREATE TABLE kept.lent (n int)", "GRANT SELECT ON kept.lent TO %s WITH GRANT OPTION", "GRANT SELECT ON kept.lent TO PUBLIC"},
}

// rotation-lambdas#38: what was granted later was missing on the other user.
func TestReport_RotationLambdas38GrantsReachBothUsers(t *testing.T) {
	for _, moment := range []string{"while the user is current", "while the clone is"} {
		t.Run(moment, func(t *testing.T) {
			f := newFixture(t)
			fill := func(text string) string {
				return strings.NewReplacer("{database}", quote(f.database), "{number}", f.base, "%s", quote(f.parse(f.current).Username)).Replace(text)
			}
			f.seed()
			f.exec("CREATE SCHEMA kept", "GRANT USAGE, CREATE ON SCHEMA kept TO "+quote(f.base))
			if moment == "while the clone is" {
				f.rotate()
			}
			for _, thing := range things {
				f.exec(fill(thing.make), fill(thing.grant))
			}
			f.rotate()
			for _, thing := range things {
				f.allowed(fill(thing.use))
			}
			f.exec("CREATE TABLE kept.later (n int)")
			f.allowed("SELECT * FROM kept.later")

			logged := f.logs.Len()
			f.rotate()
			f.rotate()
			assert.Equal(t, logged, f.logs.Len(), "what is there is granted again: %s", f.logs)
		})
	}
}

// A user that an application has used for long is taken over as it is.
func TestAUserThatHasLivedIsAdopted(t *testing.T) {
	f := newFixture(t)
	f.exec(
		"CREATE ROLE %s LOGIN CREATEDB CONNECTION LIMIT 17 PASSWORD 'old'",
		"CREATE SCHEMA %s AUTHORIZATION %s", "CREATE TABLE %s.orders (id int)", "CREATE FUNCTION %s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"ALTER TABLE %s.orders OWNER TO %s", "ALTER FUNCTION %s.f OWNER TO %s",
		"ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %s GRANT SELECT ON TABLES TO pg_monitor",
		"ALTER DEFAULT PRIVILEGES FOR ROLE %s REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
		"ALTER ROLE %s SET statement_timeout = '61s'",
		"ALTER ROLE %s IN DATABASE "+quote(f.database)+" SET application_name = 'it''s, \"quoted\"'",
	)
	value := f.adminValue(f.database)
	value.Username, value.Password, value.MasterARN = f.base, spec.ValueString("old"), masterARN
	f.current = f.encode(value)

	old := f.client(f.current)
	for range 3 {
		f.rotate()
		f.allowed(
			"SELECT * FROM orders", "ALTER TABLE orders ADD COLUMN n int", "DROP FUNCTION f()",
			"CREATE TABLE "+quote(f.base)+".more (n int)", "SELECT f()",
		)
		for _, value := range []spec.Value{f.current, f.previous} {
			conn := f.client(value)
			assert.Equal(t, "61s", query[string](f, conn, "show statement_timeout"))
			assert.Equal(t, 17, query[int](f, f.admin, "select rolconnlimit from pg_roles where rolname = $1", f.parse(value).Username))
		}
		assert.True(t, query[bool](f, f.admin, "select rolcreatedb from pg_roles where rolname = $1", f.base+"_owner"))
	}
	clone := f.client(f.current)
	_, err := clone.Exec(t.Context(), "CREATE TABLE fresh (n int); CREATE FUNCTION private() RETURNS int LANGUAGE sql AS 'SELECT 1'")
	require.NoError(t, err)
	assert.True(t, query[bool](f, f.admin, "select has_table_privilege('pg_monitor', $1, 'SELECT')", quote(f.base)+".fresh"), "default privileges were lost")
	assert.False(t, query[bool](f, f.admin, "select has_function_privilege('pg_monitor', $1, 'EXECUTE')", quote(f.base)+".private()"), "PUBLIC may call new functions")
	assert.Equal(t, f.base+"_owner", query[string](f, f.admin, "select tableowner from pg_tables where tablename = 'fresh' and schemaname = $1", f.base))
	_, err = old.Exec(t.Context(), "INSERT INTO orders (id) VALUES (1); ALTER TABLE orders ADD COLUMN old int")
	require.NoError(t, err, "a connection that was open before the first rotation lost its rights")
}

func TestSettingsAreThoseOfTheCurrentUser(t *testing.T) {
	f := newFixture(t)
	f.seed()
	f.rotate()
	clone, in := quote(f.base+"_clone"), " IN DATABASE "+quote(f.database)
	f.exec(
		"ALTER ROLE "+clone+` SET search_path TO 'a"b', '$user', 'it''s, here', public`,
		"ALTER ROLE "+clone+in+" SET statement_timeout TO '62s'",
		"ALTER ROLE "+clone+in+` SET my.own TO '; DROP ROLE "x" -- ''\ %I'`,
		"ALTER ROLE "+clone+` SET log_min_messages TO 'error'`,
		"ALTER ROLE %s SET work_mem TO '1MB'",
	)
	want := f.client(f.current)
	f.rotate()
	have := f.client(f.current)
	assert.Equal(t, f.base, query[string](f, have, "select session_user"))
	for _, setting := range []string{"search_path", "statement_timeout", "my.own", "log_min_messages", "work_mem", "role"} {
		show := fmt.Sprintf("select current_setting('%s')", setting)
		assert.Equal(t, query[string](f, want, show), query[string](f, have, show), setting)
	}
}

// A setting is what its user makes of it: it must not become a statement of
// the master user.
func TestASettingIsNoStatement(t *testing.T) {
	f := newFixture(t)
	f.seed()
	attack := `x'; ALTER ROLE ` + quote(f.base) + ` SUPERUSER; --`
	conn := f.client(f.current)
	for _, setting := range []string{"application_name", "search_path"} {
		for _, statement := range []string{
			"SET ROLE NONE", "SET " + setting + " TO '" + strings.ReplaceAll(attack, "'", "''") + "'",
			"ALTER ROLE " + quote(f.base) + " SET " + setting + " FROM CURRENT",
		} {
			_, err := conn.Exec(t.Context(), statement)
			require.NoError(t, err, statement)
		}
	}
	f.rotate()
	assert.False(t, query[bool](f, f.admin, "select bool_or(rolsuper) from pg_roles where rolname like $1 || '%'", f.base))
	assert.Equal(t, "application_name="+attack, query[string](f, f.admin, `
		select entry from pg_db_role_setting s join pg_roles r on r.oid = s.setrole, unnest(setconfig) entry
		where rolname = $1 and entry like 'application_name=%'`, f.base+"_clone"))
}

// A master user of a managed database has CREATEROLE but isn't a superuser.
func TestAMasterUserNeedsNotBeASuperuser(t *testing.T) {
	f := newFixture(t)
	f.makeMaster("CREATEROLE CREATEDB")
	f.exec("GRANT CREATE ON DATABASE " + quote(f.database) + " TO " + quote(f.base+"_master") + " WITH GRANT OPTION")
	f.seed()
	f.exec(`GRANT CREATE ON SCHEMA public TO "` + f.base + `_owner"`)
	f.rotate()
	f.exec("CREATE TABLE handed (n int)", "ALTER TABLE handed OWNER TO %s")
	f.rotate()
	f.allowed("SELECT * FROM handed", "DROP TABLE handed")
	member := "select pg_has_role($1, $2, 'USAGE')"
	assert.False(t, query[bool](f, f.admin, member, f.base+"_master", f.base), "the master user kept the rights it borrowed")

	f.exec("CREATE TABLE elsewhere (n int)", "GRANT SELECT ON elsewhere TO %s")
	err := f.tryRotate()
	require.ErrorIs(t, err, rotation.ErrDefinite)
	statement := `GRANT SELECT ON TABLE public.elsewhere TO ` + f.base + `_owner`
	require.ErrorContains(t, err, "let an administrator run "+statement)
	f.exec(statement)
	f.rotate()
	f.allowed("SELECT * FROM elsewhere")
}

func (f *fixture) makeMaster(attributes string) {
	f.Helper()
	name := f.base + "_master"
	f.exec("CREATE ROLE " + quote(name) + " LOGIN PASSWORD 'of the master' " + attributes)
	master := f.adminValue(f.database)
	master.Username, master.Password = name, spec.ValueString("of the master")
	f.masters[masterARN] = f.encode(master)
}

func TestAMasterUserWithoutRightsIsToldWhichItLacks(t *testing.T) {
	f := newFixture(t)
	f.makeMaster("")
	err := f.trySeed()
	require.ErrorIs(t, err, rotation.ErrDefinite)
	require.ErrorContains(t, err, "let an administrator run ALTER ROLE "+quote(f.base+"_master")+" CREATEROLE")
}

// Rotations of several secrets in a database at once.
func TestRotationsSideBySide(t *testing.T) {
	f := newFixture(t)
	all := []*fixture{f}
	for n := range 3 {
		other := *f
		other.base, other.arn = fmt.Sprintf("%s_%d", f.base, n), fmt.Sprintf("%s_%d", f.arn, n)
		all = append(all, &other)
	}
	f.exec("CREATE TABLE common (n int)")
	for _, one := range all {
		one.seed()
		f.exec("GRANT SELECT ON common TO " + quote(one.base))
	}
	failures := make(chan error)
	for _, one := range all {
		go func() { failures <- one.tryRotate() }()
	}
	for range all {
		require.NoError(t, <-failures)
	}
	for _, one := range all {
		one.allowed("SELECT * FROM common")
	}
}
