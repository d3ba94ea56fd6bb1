package database

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

func parsePassword(text string) spec.Value { return spec.ValueString(text) }

// refused runs something that must fail for good and change nothing.
func (f *mysqlFixture) refused(try func() error, message string) {
	f.Helper()
	const all = "SELECT group_concat(user, host, priv ORDER BY user, host) FROM mysql.global_priv"
	before := f.one(f.admin, all)
	err := try()
	require.ErrorIs(f, err, rotation.ErrDefinite)
	require.ErrorContains(f, err, message)
	assert.True(f, before == f.one(f.admin, all), "an account was changed all the same")
}

func TestMySQLTheCurrentValueMustLogIn(t *testing.T) {
	for _, strategy := range []string{strategyAlternating, strategySingle} {
		t.Run(strategy, func(t *testing.T) {
			f := newMySQLFixture(t)
			f.seed()
			f.exec("CREATE USER '{user}_victim'@'%' IDENTIFIED BY 'unknown'")
			written := f.parse(f.current)
			written.Username += "_victim"
			f.current = f.withStrategy(f.encode(written), strategy)
			f.refused(f.tryRotate, "the current value must log in")
		})
	}
}

func TestMySQLTheMasterMustBeForTheSameServer(t *testing.T) {
	f := newMySQLFixture(t)
	f.seed()
	master := f.adminValue()
	master.Host = "localhost" // reaches the same, but by another name
	f.masters[masterARN] = f.encode(master)
	f.refused(f.tryRotate, "must be for the same server")
	f.refused(f.trySeed, "must be for the same server")

	other := f.adminValue()
	other.Engine = spec.EnginePostgres
	f.masters[masterARN] = f.encode(other)
	f.refused(f.tryRotate, "is for engine")
}

func TestMySQLTheMasterIsNoneOfTheUsers(t *testing.T) {
	f := newMySQLFixture(t)
	f.seed()
	f.rotate()
	f.masters[masterARN] = f.previous
	f.refused(f.tryRotate, "can't be one of the users")
}

func TestMySQLASeedTouchesNoUserWithRights(t *testing.T) {
	f := newMySQLFixture(t)
	f.exec("CREATE USER '{user}'@'127.%' IDENTIFIED BY 'somebody''s'", "GRANT SELECT ON `{db}`.* TO '{user}'@'127.%'")
	f.refused(f.trySeed, "wasn't made for this secret")
	f.exec("DROP USER '{user}'@'127.%'")
	f.seed()

	lost := f.current
	f.seed()
	assert.False(t, f.current.Equal(lost), "the first value wasn't lost")
	f.client(f.current)
	f.rotate()
}

// A master user that lacks rights is told which, before anything is changed.
func TestMySQLAMasterUserWithoutRightsIsToldWhichItLacks(t *testing.T) {
	f := newMySQLFixture(t)
	f.exec("CREATE USER '{user}_master'@'%' IDENTIFIED BY 'of the master'")
	master := f.adminValue()
	master.Username, master.Password = f.base+"_master", spec.ValueString("of the master")
	f.masters[masterARN] = f.encode(master)
	// What the messages say is what helps, one after the other.
	for range 2 {
		var err error
		f.refused(func() error { err = f.trySeed(); return err }, "let an administrator run GRANT")
		f.remedy(err)
	}
	f.seed()

	f.exec(
		"CREATE TABLE `{db}`.goods (a int, b int)", "CREATE PROCEDURE `{db}`.p() SELECT 1", "CREATE ROLE `{db}_role`",
		"GRANT SELECT, CREATE ON `{db}`.* TO '{user}'@'%' WITH GRANT OPTION", "GRANT UPDATE (a) ON `{db}`.goods TO '{user}'@'%'",
		"GRANT EXECUTE ON PROCEDURE `{db}`.p TO '{user}'@'%'", "GRANT PROCESS ON *.* TO '{user}'@'%'", "GRANT `{db}_role` TO '{user}'@'%'",
	)
	var err error
	f.refused(func() error { err = f.tryRotate(); return err }, f.fill("GRANT CREATE, SELECT ON `{db}`.* TO '{user}_master'@'%' WITH GRANT OPTION"))
	require.ErrorContains(t, err, f.fill("GRANT `{db}_role` TO '{user}_master'@'%' WITH ADMIN OPTION"))
	f.remedy(err)
	f.rotate()
	f.rotate()
	assert.Equal(t, f.show(f.base, "%"), f.show(f.base+"_clone", "%"))
}

// remedy runs what an error says that an administrator must run.
func (f *mysqlFixture) remedy(err error) {
	f.Helper()
	_, statements, found := strings.Cut(err.Error(), "let an administrator run ")
	require.True(f, found, err)
	statements, _, _ = strings.Cut(statements, " ("+rotation.ErrDefinite.Error())
	f.exec(strings.Split(statements, "; ")...)
}

// vault PR#28989: a password that the server's policy refuses was tried for
// ever. With a policy the server must see the password.
func TestReport_VaultPR28989OnMySQLAPasswordThatThePolicyRefusesIsRejected(t *testing.T) {
	f := newMySQLFixture(t)
	f.seed()
	f.exec("INSTALL SONAME 'simple_password_check'", "SET GLOBAL simple_password_check_minimal_length = 20")
	defer f.exec("UNINSTALL SONAME 'simple_password_check'")
	for _, alone := range []bool{false, true} {
		if alone {
			f.rotate() // to the user whose name is its own
			d := f.parse(f.current)
			d.MasterARN = ""
			f.current = f.encode(d)
		}
		value, err := f.generate()
		require.NoError(t, err)
		pending := f.parse(value)
		pending.Password = spec.ValueString("short")
		require.ErrorIs(t, f.apply(f.encode(pending)), rotation.ErrRejected, "alone: %v", alone)
		f.rotate()
	}
}

// MySQL 9 has no mysql_native_password: a plugin that isn't there is named.
func TestMySQLAPluginThatTheServerLacksIsNamed(t *testing.T) {
	f := newMySQLFixture(t)
	conn := f.connect(f.adminValue())
	s := mysqlSession{mysqlConn: conn, log: f.target.log}
	err := s.setPasswords(t.Context(), "CREATE USER", []credential{{account{f.base, "%"}, []method{{plugin: pluginSHA2}}}}, spec.ValueString("x"), "")
	require.ErrorIs(t, err, rotation.ErrDefinite)
	require.ErrorContains(t, err, "caching_sha2_password")
}

func TestMySQLNamesAreChecked(t *testing.T) {
	f := newMySQLFixture(t)
	for name, message := range map[string]string{
		strings.Repeat("x", 75): "too long", strings.Repeat("é", 75): "too long", "ends in space ": "space", "🔑": "can't store", "a\x00b": "zero byte",
	} {
		f.base = name
		f.refused(f.trySeed, message)
	}
	for engine, longest := range map[string]int{spec.EngineMySQL: 26, spec.EngineAuroraMySQL: 26, spec.EngineMariaDB: 74} {
		e, err := f.target.engineFor(engine)
		require.NoError(t, err)
		_, err = usersOf(strings.Repeat("é", longest), e)
		require.NoError(t, err)
		_, err = usersOf(strings.Repeat("é", longest+1), e)
		require.ErrorContains(t, err, "too long")
	}
}
