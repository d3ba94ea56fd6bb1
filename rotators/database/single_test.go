package database

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// withStrategy adds the key to a value.
func (f *fixture) withStrategy(value spec.Value, strategy string) spec.Value {
	text := value.RevealString()
	return spec.ValueString(text[:len(text)-1] + `,"` + strategyKey + `":"` + strategy + `"}`)
}

// both runs a test on each engine: known tells whether the server knows a user.
func both(t *testing.T, test func(t *testing.T, f *fixture, exec func(...string), known func(string) bool)) {
	t.Run("PostgreSQL", func(t *testing.T) {
		f := newFixture(t)
		test(t, f, func(statements ...string) {
			for _, statement := range statements {
				f.exec(strings.NewReplacer("CREATE USER", "CREATE ROLE", "IDENTIFIED BY", "LOGIN PASSWORD", "ALTER USER", "ALTER ROLE", "DROP USER", "DROP ROLE").Replace(statement))
			}
		}, func(user string) bool {
			return query[bool](f, f.admin, "select exists(select from pg_roles where rolname = $1)", user)
		})
	})
	t.Run("MariaDB", func(t *testing.T) {
		f := newMySQLFixture(t)
		test(t, f.fixture, func(statements ...string) {
			for _, statement := range statements {
				f.exec(strings.ReplaceAll(statement, "%s", "'{user}'@'%'"))
			}
		}, func(user string) bool {
			return f.one(f.admin, "SELECT count(*) FROM mysql.user WHERE user = ?", user) == "1"
		})
	})
}

// value is that of a user of the fixture's server.
func (f *fixture) value(user, password string) spec.Database {
	d := spec.Database{Engine: f.seedOf.Engine, Host: f.seedOf.Host, Port: f.seedOf.Port, Username: user, Password: spec.ValueString(password), MasterARN: masterARN}
	if d.Engine == spec.EnginePostgres {
		d.DBName = f.database
	}
	return d
}

// login tells whether a value logs in.
func (f *fixture) login(value spec.Value) error {
	d := f.parse(value)
	e, err := f.target.engineFor(d.Engine)
	require.NoError(f, err)
	return e.login(f.Context(), d)
}

// rotation-lambdas#64: the master user changes the password of a single user.
func TestReport_RotationLambdas64ASingleUserIsRotatedByTheMaster(t *testing.T) {
	both(t, func(t *testing.T, f *fixture, exec func(...string), known func(string) bool) {
		exec("CREATE USER %s IDENTIFIED BY 'old'")
		f.current = f.withStrategy(f.encode(f.value(f.base, "old")), strategySingle)
		for range 2 {
			f.rotate()
			assert.Equal(t, f.base, f.parse(f.current).Username)
			require.NoError(t, f.login(f.current))
			require.True(t, refused(f.login(f.previous)))
		}
		assert.False(t, known(f.base+"_clone"))

		// The previous value is a proof too.
		f.previous, f.current = f.current, f.withStrategy(f.encode(f.value(f.base, "by hand")), strategySingle)
		f.rotate()
		require.NoError(t, f.login(f.current))

		// Nothing is: whoever writes the secret could take over an account.
		f.previous = f.withStrategy(f.encode(f.value(f.base, "wrong")), strategySingle)
		f.current = f.previous
		err := f.tryRotate()
		require.ErrorIs(t, err, rotation.ErrDefinite)
		require.ErrorContains(t, err, "the current value must log in")
		require.ErrorContains(t, err, "with the previous value")
	})
}

// The server itself can say that a user is the secret's.
func TestASingleUserThatIsMarkedNeedsNoProof(t *testing.T) {
	f := newFixture(t)
	f.exec("CREATE ROLE %s LOGIN PASSWORD 'unknown'")
	f.current = f.withStrategy(f.encode(f.value(f.base, "wrong")), strategySingle)
	_, remedy, _ := strings.Cut(f.tryRotate().Error(), "let an administrator run ")
	f.exec(remedy)
	f.rotate()
	require.NoError(t, f.login(f.current))
}

// rotation-lambdas#151: a user that isn't there is made.
func TestReport_RotationLambdas151AMissingUserIsProvisioned(t *testing.T) {
	for _, strategy := range []string{strategyAlternating, strategySingle} {
		t.Run(strategy, func(t *testing.T) {
			both(t, func(t *testing.T, f *fixture, exec func(...string), known func(string) bool) {
				f.current = f.withStrategy(f.encode(f.value(f.base, "of nobody")), strategy)
				for range 3 {
					f.rotate()
					require.NoError(t, f.login(f.current))
				}
				assert.True(t, known(f.base))
				assert.Equal(t, strategy == strategyAlternating, known(f.base+"_clone"))
			})
		})
	}
}

func TestTheStrategyIsChecked(t *testing.T) {
	f := newFixture(t)
	for value, message := range map[string]string{
		`{"engine":"mysql","host":"h","username":"u","password":"p","rotationstrategy":"canary"}`:                            `"rotationstrategy"`,
		`{"engine":"mysql","host":"h","username":"u","password":"p","rotationstrategy":7}`:                                   `"rotationstrategy"`,
		`{"engine":"postgres","host":"h","username":"u","password":"p","rotationstrategy":"alternating-users"}`:              `"masterarn"`,
		`{"engine":"postgres","host":"h","username":"u_clone_clone","password":"p","masterarn":"m","rotationstrategy":null}`: "twice",
	} {
		f.current = spec.ValueString(value)
		_, err := f.generate()
		require.ErrorIs(t, err, rotation.ErrDefinite, value)
		require.ErrorContains(t, err, message, value)
	}
}
