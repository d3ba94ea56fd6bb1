package database

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// verifiers are all stored passwords: whoever was refused has changed none.
func (f *fixture) verifiers() string {
	f.Helper()
	return query[string](f, f.admin, "select string_agg(rolname || coalesce(rolpassword, ''), ',' order by rolname) from pg_authid")
}

// refused runs something that must fail for good and change nothing.
func (f *fixture) refused(try func() error, message string) {
	f.Helper()
	before := f.verifiers()
	err := try()
	require.ErrorIs(f, err, rotation.ErrDefinite)
	require.ErrorContains(f, err, message)
	assert.True(f, before == f.verifiers(), "a password was changed all the same")
}

// Whoever can write a secret could otherwise take over another's account.
func TestTheCurrentValueMustLogIn(t *testing.T) {
	f := newFixture(t)
	f.seed()
	f.exec("CREATE ROLE " + quote(f.base+"_victim") + " LOGIN PASSWORD 'unknown'")
	written := f.parse(f.current)
	written.Username = f.base + "_victim"
	f.current = f.encode(written)
	f.refused(f.tryRotate, "the current value must log in")
}

func TestTheMasterMustBeForTheSameServer(t *testing.T) {
	f := newFixture(t)
	f.seed()
	master := f.adminValue("postgres")
	master.Host = "localhost" // reaches the same, but by another name
	f.masters[masterARN] = f.encode(master)
	f.refused(f.tryRotate, "must be for the same server")
	f.refused(f.trySeed, "must be for the same server")

	master.Host, master.Port = "127.0.0.1", 1
	f.masters[masterARN] = f.encode(master)
	err := f.tryRotate()
	require.ErrorContains(t, err, "asking the master's")
	require.NotErrorIs(t, err, rotation.ErrDefinite, "nobody listens there now")
}

// A secret may be for a replica, where nothing can be changed: its master is
// then for the primary.
func TestAReplicasUsersAreChangedAtItsPrimary(t *testing.T) {
	f := newFixture(t)
	f.seed()
	replica, err := postgres.StartReplica(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, replica.Close()) })
	value := f.parse(f.current)
	value.Port = replica.Port
	f.current = f.encode(value)
	for range 3 {
		require.Eventually(t, func() bool {
			return postgresOf(f.target).login(t.Context(), f.parse(f.current)) == nil
		}, time.Minute, 10*time.Millisecond)
		pending, err := f.generate()
		require.NoError(t, err)
		require.NoError(t, f.apply(pending))
		// The replica is a moment behind; Secrets Manager tries again.
		require.Eventually(t, func() bool {
			_, err := f.target.Verify(t.Context(), rotation.VerifyRequest{SecretARN: f.arn, Pending: pending})
			require.NotErrorIs(t, err, rotation.ErrDefinite)
			return err == nil
		}, time.Minute, 10*time.Millisecond)
		f.previous, f.current = f.current, pending
	}

	// The current value must be proven where the master's rights are used: what
	// the secret's own server believes isn't enough.
	admin := f.adminValue("postgres")
	admin.Port = replica.Port
	_, err = f.connect(admin).Exec(t.Context(), "SELECT pg_wal_replay_pause()")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return query[string](f, f.connect(admin), "select pg_get_wal_replay_pause_state()") == "paused"
	}, time.Minute, 10*time.Millisecond)
	f.exec("ALTER ROLE " + quote(f.parse(f.current).Username) + " PASSWORD 'somebody else''s'")
	require.NoError(t, postgresOf(f.target).login(t.Context(), f.parse(f.current)), "the replica still knows the old password")
	f.refused(f.tryRotate, "the current value must log in at the primary")
}

func TestTheMasterIsNoneOfTheUsers(t *testing.T) {
	f := newFixture(t)
	f.seed()
	f.rotate()
	f.masters[masterARN] = f.previous
	f.refused(f.tryRotate, "can't be one of the users that are rotated")
}

func TestAMissingMasterSecretIsNamed(t *testing.T) {
	f := newFixture(t)
	delete(f.masters, masterARN)
	f.refused(f.trySeed, masterARN)
}

// A value that was made before somebody changed the secret can never be right:
// it's withdrawn, so that the next rotation makes another.
func TestAPendingValueThatDoesNotFitIsRejected(t *testing.T) {
	for key, change := range map[string]func(*spec.Database){
		"host":      func(d *spec.Database) { d.Host = "localhost" },
		"dbname":    func(d *spec.Database) { d.DBName = "postgres" },
		"masterarn": func(d *spec.Database) { d.MasterARN += "2" },
		"username":  func(d *spec.Database) { d.Username += "_other" },
		"ssl":       func(d *spec.Database) { d.SSL = new(false) },
	} {
		t.Run(key, func(t *testing.T) {
			f := newFixture(t)
			f.seed()
			pending, err := f.generate()
			require.NoError(t, err)
			changed := f.parse(f.current)
			change(&changed)
			f.current = f.encode(changed)
			before := f.verifiers()
			err = f.apply(pending)
			require.ErrorIs(t, err, rotation.ErrRejected)
			require.ErrorContains(t, err, fmt.Sprintf("%q", key))
			assert.True(t, before == f.verifiers())
		})
	}
}

// vault PR#28989: a password that the server's policy refuses was tried for
// ever. The server's passwordcheck refuses a password that is the user's name.
func TestReport_VaultPR28989APasswordThatThePolicyRefusesIsRejected(t *testing.T) {
	f := newFixture(t)
	f.seed()
	f.exec("ALTER DATABASE " + quote(f.database) + " SET session_preload_libraries = 'passwordcheck'")
	value, err := f.generate()
	require.NoError(t, err)
	pending := f.parse(value)
	pending.Password = spec.ValueString(pending.Username)
	before := f.verifiers()
	require.ErrorIs(t, f.apply(f.encode(pending)), rotation.ErrRejected)
	assert.True(t, before == f.verifiers())
	f.rotate()
}

func TestASeedTouchesNoUserThatItDidNotMake(t *testing.T) {
	f := newFixture(t)
	f.exec("CREATE ROLE %s LOGIN PASSWORD 'somebody''s'")
	f.refused(f.trySeed, "wasn't made for this secret")

	// What the message says makes it the secret's.
	_, remedy, _ := strings.Cut(f.trySeed().Error(), "let an administrator run ")
	remedy, _, _ = strings.Cut(remedy, " ("+rotation.ErrDefinite.Error())
	f.exec(remedy)
	f.seed()

	other := *f
	other.arn += "-other"
	other.refused(other.trySeed, "its comment doesn't say so")
}

func TestASeedRunsAgain(t *testing.T) {
	f := newFixture(t)
	f.seed()
	lost := f.current
	f.seed()
	assert.False(t, f.current.Equal(lost), "the first value wasn't lost")
	f.client(f.current)
	f.rotate()
}

func TestARoleOfAnotherIsNotMadeTheAlternate(t *testing.T) {
	f := newFixture(t)
	f.exec("CREATE ROLE " + quote(f.base+"_clone") + " LOGIN PASSWORD 'somebody''s'")
	f.seed()
	f.refused(f.tryRotate, `role "`+f.base+`_clone" wasn't made for this secret`)
	f.exec("GRANT " + quote(f.base+"_owner") + " TO " + quote(f.base+"_clone"))
	f.rotate()
}

func TestASharedRoleOfAnotherIsLeftAlone(t *testing.T) {
	f := newFixture(t)
	f.exec("CREATE ROLE " + quote(f.base+"_owner"))
	f.refused(f.trySeed, `COMMENT ON ROLE "`+f.base+`_owner"`)
}

// AWS's own function has left a clone that is a member of the user.
func TestTheCloneOfAWSsFunctionIsTakenOver(t *testing.T) {
	for _, suffix := range []string{"", "_clone"} {
		t.Run("current"+suffix, func(t *testing.T) {
			f := newFixture(t)
			f.exec(
				"CREATE ROLE %s LOGIN PASSWORD 'old'",
				"CREATE ROLE "+quote(f.base+"_clone")+" LOGIN PASSWORD 'old'",
				"GRANT %s TO "+quote(f.base+"_clone"),
				"GRANT CREATE ON SCHEMA public TO %s",
				"CREATE TABLE old (n int)", "ALTER TABLE old OWNER TO %s",
				"CREATE TABLE cloned (n int)", "ALTER TABLE cloned OWNER TO "+quote(f.base+"_clone"),
			)
			value := f.adminValue(f.database)
			value.Username, value.Password, value.MasterARN = f.base+suffix, spec.ValueString("old"), masterARN
			f.current = f.encode(value)
			for range 2 {
				f.rotate()
				f.allowed("SELECT * FROM old, cloned", "DROP TABLE old, cloned", "CREATE TABLE new (n int)")
			}
		})
	}
}

func TestASuperuserDoesNotAlternate(t *testing.T) {
	f := newFixture(t)
	f.exec("CREATE ROLE %s SUPERUSER LOGIN PASSWORD 'old'")
	value := f.adminValue(f.database)
	value.Username, value.Password, value.MasterARN = f.base, spec.ValueString("old"), masterARN
	f.current = f.encode(value)
	f.refused(f.tryRotate, "is a superuser")
}

// rotation-lambdas#99 and aws-cdk#6358: a KeyError instead of a message.
func TestReport_RotationLambdas99_AWSCDK6358MissingKeysAreNamed(t *testing.T) {
	f := newFixture(t)
	for value, message := range map[string]string{
		`{"engine":"postgres","host":"h","username":"app_clone","password":"p"}`:       `"masterarn"`,
		`{"engine":"postgres","username":"app","password":"p"}`:                        `"host"`,
		`{"engine":"postgres","host":"h","password":"p"}`:                              `"username"`,
		`{"engine":"postgres","host":"h","username":"app"}`:                            `"password"`,
		`{"host":"h","username":"app","password":"p"}`:                                 `"engine"`,
		`{"engine":"oracle","host":"h","username":"app","password":"p"}`:               `"oracle"`,
		`{"engine":"postgres","host":"h","username":"app","password":"p","ssl":"yes"}`: `"ssl"`,
		`{"engine":"postgres","host":"h","username":"app","password":"canary`:          "isn't JSON",
	} {
		f.current = spec.ValueString(value)
		_, err := f.generate()
		require.ErrorIs(t, err, rotation.ErrDefinite, value)
		require.ErrorContains(t, err, message, value)
		assert.NotContains(t, err.Error(), "canary")
	}
	master := f.adminValue("postgres")
	master.Host = ""
	f.masters[masterARN] = f.encode(master)
	err := f.trySeed()
	require.ErrorContains(t, err, masterARN)
	require.ErrorContains(t, err, `"host"`)
}

func TestSeedsAreChecked(t *testing.T) {
	f := newFixture(t)
	for message, change := range map[string]func(*spec.SeedRequest){
		"no Database":    func(r *spec.SeedRequest) { r.Database = nil },
		"without _clone": func(r *spec.SeedRequest) { r.Database.Username += "_clone" },
		`"oracle"`:       func(r *spec.SeedRequest) { r.Database.Engine = "oracle" },
		"too long":       func(r *spec.SeedRequest) { r.Database.Username = strings.Repeat("x", 58) },
		"no name":        func(r *spec.SeedRequest) { r.Database.Username = "_clone" },
		"twice":          func(r *spec.SeedRequest) { r.Database.Username = "a_clone_clone" },
		"zero byte":      func(r *spec.SeedRequest) { r.Database.Username = "a\x00b" },
	} {
		request := f.seedRequest()
		change(request)
		_, err := f.target.Generate(t.Context(), rotation.GenerateRequest{SecretARN: f.arn, Seed: request})
		require.ErrorIs(t, err, rotation.ErrDefinite)
		require.ErrorContains(t, err, message)
	}
}

// An object that somebody works with is handed over later: nobody waits for
// long, and no transaction is broken.
func TestALockIsNotWaitedForLong(t *testing.T) {
	f := newFixture(t)
	f.seed()
	f.exec("CREATE TABLE busy (n int)", "ALTER TABLE busy OWNER TO %s")
	tx, err := f.admin.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT FROM busy")
	require.NoError(t, err)
	before := query[string](f, f.connect(f.adminValue(f.database)), "select rolpassword from pg_authid where rolname = $1", f.base)

	err = f.tryRotate()
	require.ErrorContains(t, err, "lock timeout")
	require.NotErrorIs(t, err, rotation.ErrDefinite)
	require.NoError(t, tx.Commit(t.Context()))
	assert.True(t, before == query[string](f, f.admin, "select rolpassword from pg_authid where rolname = $1", f.base))
	f.rotate()
	f.allowed("DROP TABLE busy")
}
