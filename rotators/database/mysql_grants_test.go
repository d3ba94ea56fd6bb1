package database

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/rotation"
)

// mysqlThings are one of each kind that can be granted, what a user with the
// grant can do, and how the grant is taken back.
var mysqlThings = []struct{ name, make, grant, use, revoke string }{
	{"database", "CREATE DATABASE `{db}_1`", "GRANT CREATE, INSERT, DROP ON `{db}\\_1`.* TO '{user}'@'%'", "CREATE OR REPLACE TABLE `{db}_1`.t (n int)", "REVOKE CREATE, INSERT, DROP ON `{db}\\_1`.* FROM '{user}'@'%'"},
	{"pattern", "CREATE DATABASE `{db}x2`", "GRANT SELECT, CREATE ON `{db}_2`.* TO '{user}'@'%'", "CREATE TABLE IF NOT EXISTS `{db}x2`.t (n int)", "REVOKE ALL PRIVILEGES ON `{db}_2`.* FROM '{user}'@'%'"},
	{"table", "CREATE TABLE `{db}`.goods (id int)", "GRANT SELECT, INSERT ON `{db}`.goods TO '{user}'@'%'", "INSERT INTO `{db}`.goods SELECT id FROM `{db}`.goods", "REVOKE INSERT ON `{db}`.goods FROM '{user}'@'%'"},
	{"column", "CREATE TABLE `{db}`.prices (id int, price int, `a ``,(b` int)", "GRANT UPDATE (price, `a ``,(b`), SELECT (id) ON `{db}`.prices TO '{user}'@'%'", "UPDATE `{db}`.prices SET price = id, `a ``,(b` = id", "REVOKE UPDATE (price) ON `{db}`.prices FROM '{user}'@'%'"},
	{"view", "CREATE VIEW `{db}`.seen AS SELECT 1 AS one", "GRANT SELECT ON `{db}`.seen TO '{user}'@'%'", "DO (SELECT one FROM `{db}`.seen)", "REVOKE SELECT ON `{db}`.seen FROM '{user}'@'%'"},
	{"role", "CREATE ROLE `{db}_readers`; CREATE TABLE `{db}`.shelf (n int); GRANT SELECT ON `{db}`.shelf TO `{db}_readers`", "GRANT `{db}_readers` TO '{user}'@'%'; SET DEFAULT ROLE `{db}_readers` FOR '{user}'@'%'", "DO (SELECT count(*) FROM `{db}`.shelf)", "REVOKE `{db}_readers` FROM '{user}'@'%'"},
	{"everything", "CREATE TABLE `{db}`.`TO ON FROM` (n int)", "GRANT ALL ON `{db}`.`TO ON FROM` TO '{user}'@'%'", "INSERT INTO `{db}`.`TO ON FROM` VALUES (1)", "REVOKE ALL ON `{db}`.`TO ON FROM` FROM '{user}'@'%'"},
	{"grant option", "CREATE TABLE `{db}`.lent (n int)", "GRANT SELECT ON `{db}`.lent TO '{user}'@'%' WITH GRANT OPTION", "GRANT SELECT ON `{db}`.lent TO '{user}'@'%'", "REVOKE GRANT OPTION ON `{db}`.lent FROM '{user}'@'%'"},
	{"server", "DO 1", "GRANT PROCESS, RELOAD ON *.* TO '{user}'@'%'", "FLUSH STATUS", "REVOKE RELOAD ON *.* FROM '{user}'@'%'"},
}

// rotation-lambdas#38: what was granted later was missing on the other user.
// And what is taken away again is taken from both.
func TestReport_RotationLambdas38MySQLGrantsReachBothUsers(t *testing.T) {
	for _, moment := range []string{"while the user is current", "while the clone is"} {
		t.Run(moment, func(t *testing.T) {
			f := newMySQLFixture(t)
			f.seed()
			if moment == "while the clone is" {
				f.rotate()
			}
			run := func(statements string) { f.exec(strings.Split(statements, "; ")...) }
			for _, thing := range mysqlThings {
				run(thing.make)
				run(thing.grant)
			}
			f.rotate()
			for _, thing := range mysqlThings {
				f.allowed(thing.use)
			}
			logged := f.logs.Len()
			f.rotate()
			f.rotate()
			assert.Equal(t, logged, f.logs.Len(), "what is there is granted again: %s", f.logs)

			for _, thing := range mysqlThings {
				run(thing.revoke)
			}
			f.rotate()
			f.rotate()
			for _, thing := range mysqlThings {
				f.denied(thing.use)
			}
			assert.Equal(t, f.show(f.base, "%"), f.show(f.base+"_clone", "%"))
		})
	}
}

// The user that is current loses nothing, even what only it was granted.
func TestMySQLNothingIsTakenFromTheCurrentUser(t *testing.T) {
	f := newMySQLFixture(t)
	f.seed()
	f.rotate()
	f.exec("CREATE TABLE `{db}`.mine (n int)", "GRANT SELECT ON `{db}`.mine TO '{clone}'@'%'")
	open := f.client(f.current)
	pending, err := f.generate()
	require.NoError(t, err)
	require.NoError(t, f.apply(pending))
	f.execAs(open, "DO (SELECT count(*) FROM `{db}`.mine)")
	f.previous, f.current = f.current, pending
	f.rotate()
	f.denied("SELECT * FROM `{db}`.mine")
}

// Servers give whoever creates a routine the rights to it.
func TestMySQLRoutinesOfOneUserAreForBoth(t *testing.T) {
	f := newMySQLFixture(t)
	f.seed()
	f.exec("GRANT CREATE ROUTINE ON `{db}`.* TO '{user}'@'%'")
	for range 2 {
		f.rotate()
		f.execAs(f.client(f.current), "CREATE PROCEDURE `{db}`.hello() SELECT 1")
		f.rotate()
		f.allowed("CALL `{db}`.hello()")
		f.execAs(f.client(f.current), "DROP PROCEDURE `{db}`.hello")
	}
}

// Views, routines and triggers run as whoever made them. Both users may use,
// replace and drop them.
func TestMySQLDefinersMayBeEitherUser(t *testing.T) {
	f := newMySQLFixture(t)
	f.seed()
	f.exec("GRANT ALL ON `{db}`.* TO '{user}'@'%'")
	f.rotate()
	user, clone := f.client(f.previous), f.client(f.current)
	for _, statement := range []string{
		"CREATE TABLE `{db}`.orders (id int)",
		"CREATE VIEW `{db}`.seen AS SELECT id FROM `{db}`.orders",
		"CREATE TRIGGER `{db}`.noted BEFORE INSERT ON `{db}`.orders FOR EACH ROW SET NEW.id = NEW.id + 1",
		"INSERT INTO `{db}`.orders VALUES (1)",
		"CREATE FUNCTION `{db}`.total() RETURNS int READS SQL DATA RETURN (SELECT count(*) FROM `{db}`.seen)",
		"DO (SELECT `{db}`.total())",
		"CREATE OR REPLACE VIEW `{db}`.seen AS SELECT 1 AS id FROM `{db}`.orders",
		"ALTER TABLE `{db}`.orders ADD COLUMN note text",
		"CREATE OR REPLACE FUNCTION `{db}`.total() RETURNS int READS SQL DATA RETURN (SELECT sum(id) FROM `{db}`.orders)",
		"DROP TRIGGER `{db}`.noted", "DROP FUNCTION `{db}`.total", "DROP VIEW `{db}`.seen", "DROP TABLE `{db}`.orders",
	} {
		f.execAs(clone, statement) // each by the one who didn't run the one before
		user, clone = clone, user
	}
	assert.NotNil(t, user)
}

// A user that an application has used for long, with all that MariaDB knows of
// one, from several hosts, each with its own.
func TestMySQLAUserThatHasLivedIsAdopted(t *testing.T) {
	f := newMySQLFixture(t)
	f.exec(
		"CREATE ROLE `{db}_role`",
		"CREATE USER '{user}'@'127.%' IDENTIFIED VIA ed25519 USING PASSWORD('old') REQUIRE SUBJECT 'it''s' AND ISSUER '/CN=x'",
		"ALTER USER '{user}'@'127.%' REQUIRE SSL WITH MAX_USER_CONNECTIONS 50 MAX_STATEMENT_TIME 12.5 PASSWORD EXPIRE INTERVAL 90 DAY",
		"CREATE USER '{user}'@'10.0.0.0/255.0.0.0' IDENTIFIED BY 'old' REQUIRE ISSUER '/CN=it''s, \"WITH\" REQUIRE' ACCOUNT LOCK PASSWORD EXPIRE NEVER",
		"CREATE USER '{user}'@'localhost' IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD('old')",
		"GRANT `{db}_role` TO '{user}'@'127.%' WITH ADMIN OPTION", "SET DEFAULT ROLE `{db}_role` FOR '{user}'@'127.%'",
		"GRANT SELECT ON `{db}`.* TO '{user}'@'127.%'", "GRANT INSERT ON `{db}`.* TO '{user}'@'10.0.0.0/255.0.0.0'",
		"GRANT PROXY ON '{user}'@'localhost' TO '{user}'@'127.%' WITH GRANT OPTION",
	)
	value := f.adminValue()
	value.Username, value.Password, value.MasterARN = f.base, parsePassword("old"), masterARN
	f.current = f.encode(value)
	hosts := []string{"127.%", "10.0.0.0/255.0.0.0", "localhost"}
	for range 2 {
		f.rotate()
		for _, host := range hosts {
			assert.Equal(t, f.show(f.base, host), f.show(f.base+"_clone", host), host)
		}
	}
	assert.Equal(t, "ed25519", f.show(f.base, "127.%").methods[0].plugin)
	assert.Contains(t, f.one(f.admin, "SHOW CREATE USER '{clone}'@'127.%'"), "REQUIRE SSL WITH MAX_USER_CONNECTIONS 50 MAX_STATEMENT_TIME 12.500000 PASSWORD EXPIRE INTERVAL 90 DAY")

	// All accounts of a user have its password.
	stored := func(user, host string) string {
		return f.one(f.admin, "SELECT regexp_substr(authentication_string, '[*].*') FROM mysql.user WHERE user = ? AND host = ?", user, host)
	}
	assert.Equal(t, stored(f.base, "localhost"), stored(f.base, "10.0.0.0/255.0.0.0"))

	// What changes on the user changes on the clone, hosts too.
	f.exec(
		"ALTER USER '{user}'@'127.%' REQUIRE NONE WITH MAX_USER_CONNECTIONS 0 MAX_STATEMENT_TIME 0 PASSWORD EXPIRE DEFAULT",
		"SET DEFAULT ROLE NONE FOR '{user}'@'127.%'", "REVOKE `{db}_role` FROM '{user}'@'127.%'",
		"DROP USER '{user}'@'10.0.0.0/255.0.0.0'", "CREATE USER '{user}'@'192.168.%' IDENTIFIED BY 'new'",
		"GRANT UPDATE ON `{db}`.* TO '{user}'@'192.168.%'",
	)
	f.rotate()
	f.rotate()
	for _, host := range []string{"127.%", "localhost", "192.168.%"} {
		assert.Equal(t, f.show(f.base, host), f.show(f.base+"_clone", host), host)
	}
	assert.Empty(t, f.show(f.base+"_clone", "10.0.0.0/255.0.0.0").grants, "the user no longer logs in from there")
}

// A user whose way to log in has no password of ours is left alone.
func TestMySQLAnUnknownPluginIsNamed(t *testing.T) {
	_, err := passwordHash("sha256_password", parsePassword("x"))
	require.ErrorIs(t, err, rotation.ErrDefinite)
	require.ErrorContains(t, err, "sha256_password")
	_, err = parseUser("CREATE USER `u`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x24 AND IDENTIFIED WITH 'authentication_fido' REQUIRE NONE")
	require.ErrorContains(t, err, "several factors")
}

// What MySQL 8 prints, from its reference manual.
func TestMySQLsOwnDefinitionsAreUnderstood(t *testing.T) {
	u, err := parseUser("CREATE USER `u'1`@`h``x` IDENTIFIED WITH 'caching_sha2_password' AS 0x24412430 " +
		"DEFAULT ROLE `r``1`@`%`,`r2`@`localhost` REQUIRE SUBJECT '/CN=WITH ''x' AND CIPHER 'A' WITH MAX_QUERIES_PER_HOUR 7 MAX_USER_CONNECTIONS 3 " +
		"PASSWORD EXPIRE DEFAULT ACCOUNT UNLOCK PASSWORD HISTORY DEFAULT PASSWORD REUSE INTERVAL DEFAULT PASSWORD REQUIRE CURRENT DEFAULT " +
		"FAILED_LOGIN_ATTEMPTS 4 PASSWORD_LOCK_TIME 2 ATTRIBUTE '{\"PASSWORD\": \"EXPIRE\"}'")
	require.NoError(t, err)
	assert.Equal(t, account{"u'1", "h`x"}, u.account)
	assert.Equal(t, []method{{"caching_sha2_password", "$A$0"}}, u.methods)
	assert.Equal(t, "`r``1`@`%`,`r2`@`localhost`", u.roles)
	assert.Equal(t, "REQUIRE SUBJECT '/CN=WITH ''x' AND CIPHER 'A' WITH MAX_QUERIES_PER_HOUR 7 MAX_UPDATES_PER_HOUR 0 MAX_CONNECTIONS_PER_HOUR 0 MAX_USER_CONNECTIONS 3 "+
		"PASSWORD EXPIRE DEFAULT ACCOUNT UNLOCK PASSWORD HISTORY DEFAULT PASSWORD REUSE INTERVAL DEFAULT PASSWORD REQUIRE CURRENT DEFAULT FAILED_LOGIN_ATTEMPTS 4 PASSWORD_LOCK_TIME 2",
		u.definition.clauses(mysqlVersion{}))

	expired, err := parseUser("CREATE USER `u`@`%` IDENTIFIED WITH 'mysql_native_password' AS '*AB' REQUIRE NONE PASSWORD EXPIRE ACCOUNT UNLOCK")
	require.NoError(t, err)
	assert.Equal(t, "ACCOUNT UNLOCK", expired.definition.options)
}

// Dynamic privileges, partial revokes and roles with their options, as MySQL 8
// prints them, become the statements that make another account have them.
func TestMySQLsOwnGrantsAreUnderstood(t *testing.T) {
	read := func(rows ...string) grants {
		g := grants{}
		for _, row := range rows {
			g.add(row, "u")
		}
		return g
	}
	g := read(
		"GRANT SELECT, CREATE TEMPORARY TABLES ON *.* TO `u`@`%` WITH GRANT OPTION",
		"GRANT BACKUP_ADMIN,ROLE_ADMIN ON *.* TO `u`@`%`",
		"GRANT CONNECTION_ADMIN ON *.* TO `u`@`%` WITH GRANT OPTION",
		"REVOKE SELECT ON `mysql`.* FROM `u`@`%`",
		"GRANT SELECT (`a`, `b`), INSERT ON `d`.`t` TO `u`@`%`",
		"GRANT EXECUTE ON PROCEDURE `d`.`p` TO `u`@`%`",
		"GRANT `r1`@`%`,`r2`@`%` TO `u`@`%`", "GRANT `r3`@`%` TO `u`@`%` WITH ADMIN OPTION",
		"GRANT PROXY ON ``@`%` TO `u`@`%` WITH GRANT OPTION",
		"GRANT DROP ON *.* TO `other`@`%`", "GRANT DROP ON *.* TO PUBLIC", "GRANT USAGE ON *.* TO `u`@`%`", "",
	)
	to := account{"v", "h"}
	assert.Equal(t, []string{
		"GRANT CREATE TEMPORARY TABLES, SELECT ON *.* TO 'v'@'h' WITH GRANT OPTION",
		"GRANT EXECUTE ON PROCEDURE `d`.`p` TO 'v'@'h'",
		"GRANT INSERT, SELECT (`a`), SELECT (`b`) ON `d`.`t` TO 'v'@'h'",
		"GRANT BACKUP_ADMIN, ROLE_ADMIN ON *.* TO 'v'@'h'",
		"GRANT CONNECTION_ADMIN ON *.* TO 'v'@'h' WITH GRANT OPTION",
		"GRANT PROXY ON ``@`%` TO 'v'@'h' WITH GRANT OPTION",
		"GRANT `r1`@`%`, `r2`@`%` TO 'v'@'h'",
		"GRANT `r3`@`%` TO 'v'@'h' WITH ADMIN OPTION",
		"REVOKE SELECT ON `mysql`.* FROM 'v'@'h'",
	}, g.give(to))

	left := read("GRANT SELECT ON *.* TO `u`@`%`", "GRANT CONNECTION_ADMIN ON *.* TO `u`@`%`", "GRANT SELECT (`a`) ON `d`.`t` TO `u`@`%`", "GRANT `r1`@`%` TO `u`@`%`")
	assert.Equal(t, []string{
		"REVOKE GRANT OPTION ON *.* FROM 'v'@'h'", "REVOKE CREATE TEMPORARY TABLES ON *.* FROM 'v'@'h'",
		"REVOKE EXECUTE ON PROCEDURE `d`.`p` FROM 'v'@'h'",
		"REVOKE INSERT, SELECT (`b`) ON `d`.`t` FROM 'v'@'h'",
		"REVOKE BACKUP_ADMIN, ROLE_ADMIN ON *.* FROM 'v'@'h'",
		"REVOKE CONNECTION_ADMIN ON *.* FROM 'v'@'h'",
		"REVOKE PROXY ON ``@`%` FROM 'v'@'h'",
		"REVOKE `r2`@`%` FROM 'v'@'h'",
		"REVOKE `r3`@`%` FROM 'v'@'h'",
		"GRANT SELECT ON `mysql`.* TO 'v'@'h'",
	}, g.without(left).take(to))
}
