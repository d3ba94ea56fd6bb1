package main

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/localdb"
	"github.com/aistudio/secrets/sdk/spec"
)

// database is a world whose secret is that of a user of a real PostgreSQL
// server, with alternating users.
type database struct {
	*world
	postgres *localdb.Postgres
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	postgres, err := localdb.StartPostgres(t.Context(), localdb.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, postgres.Close()) })
	w := newWorld(t, "rotate-database", map[string]string{spec.EnvDatabaseCAFile: postgres.CAFile})
	w.name = "aistudio/dev/orders/postgres"
	master, err := spec.Database{
		Engine: spec.EnginePostgres, Host: postgres.Host, Port: postgres.Port,
		Username: postgres.AdminUser, Password: spec.ValueString(postgres.AdminPassword),
	}.Encode()
	require.NoError(t, err)
	created, err := w.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("aistudio/dev/platform/postgres-admin"), SecretString: aws.String(master.RevealString())})
	require.NoError(t, err)
	w.deploy(spec.SeedRequest{Database: &spec.DatabaseSeed{
		Engine: spec.EnginePostgres, Host: postgres.Host, Port: postgres.Port, Username: "orders", MasterSecretARN: *created.ARN,
	}})
	code, _, stderr := w.rotate("now", "--yes", w.name)
	require.Equal(t, exitDone, code, stderr)
	return &database{w, postgres}
}

// login logs in with the value of a stage, and returns who that is.
func (d *database) login(stage string) (user string, err error) {
	d.Helper()
	output, err := d.secrets.GetSecretValue(d.Context(), &secretsmanager.GetSecretValueInput{SecretId: &d.name, VersionStage: &stage})
	require.NoError(d, err)
	value, err := spec.ParseDatabase(spec.ValueString(*output.SecretString))
	require.NoError(d, err)
	return value.Username, d.connect(value.Username, value.Password.RevealString(), "select 1")
}

func (d *database) connect(user, password, query string) error {
	d.Helper()
	config, err := pgx.ParseConfig("host=" + d.postgres.Host + " sslmode=verify-full sslrootcert=" + d.postgres.CAFile)
	require.NoError(d, err)
	config.Port, config.User, config.Password, config.Database = uint16(d.postgres.Port), user, password, "postgres"
	conn, err := pgx.ConnectConfig(d.Context(), config)
	if err != nil {
		return err
	}
	_, err = conn.Exec(d.Context(), query)
	require.NoError(d, conn.Close(d.Context()))
	return err
}

func TestRollback(t *testing.T) {
	d := newDatabase(t)
	older, newer := d.version("AWSPREVIOUS"), d.version("AWSCURRENT")
	user, err := d.login("AWSCURRENT")
	require.NoError(t, err)
	require.Equal(t, "orders_clone", user)

	code, stdout, stderr := d.rotate("rollback", "--dry-run", d.name)
	require.Equal(t, exitDone, code, stderr)
	assert.Contains(t, stdout, "who has read it since holds the version that stops being current")
	assert.Contains(t, stdout, "as a client would, and it works")
	assert.Contains(t, stdout, "the next rotation starts from")
	assert.Equal(t, newer, d.version("AWSCURRENT"))

	code, stdout, stderr = d.rotate("rollback", "--yes", d.name)
	require.Equal(t, exitDone, code, stderr)
	assert.Contains(t, stdout, "version "+older)
	assert.Equal(t, older, d.version("AWSCURRENT"))
	assert.Equal(t, newer, d.version("AWSPREVIOUS"))
	assert.Nil(t, d.status().Pending, "what was current blocks the next rotation")
	user, err = d.login("AWSCURRENT")
	require.NoError(t, err)
	assert.Equal(t, "orders", user)

	code, _, stderr = d.rotate("rollback", "--yes", d.name)
	require.Equal(t, exitRefused, code, "a second time must not go forward again")
	assert.Contains(t, stderr, "rolled back already")
	code, _, stderr = d.rotate("rollback", "--yes", "--to", older, d.name)
	require.Equal(t, exitDone, code, stderr)
	code, _, stderr = d.rotate("rollback", "--yes", "--to", "00000000-0000-4000-8000-000000000001", d.name)
	require.Equal(t, exitRefused, code)
	assert.Contains(t, stderr, "isn't the previous one")
	assert.Equal(t, older, d.version("AWSCURRENT"))

	// As said: the next rotation gives the other user a new password.
	code, _, stderr = d.rotate("now", "--yes", d.name)
	require.Equal(t, exitDone, code, stderr)
	user, err = d.login("AWSCURRENT")
	require.NoError(t, err)
	assert.Equal(t, "orders_clone", user)
	_, err = d.login("AWSPREVIOUS")
	require.NoError(t, err)
	d.noValues()
	assert.Empty(t, d.cloud.Unsupported())
}

func TestRollbackToWhatDoesNotWorkIsRefused(t *testing.T) {
	d := newDatabase(t)
	older, newer := d.version("AWSPREVIOUS"), d.version("AWSCURRENT")
	require.NoError(t, d.connect(d.postgres.AdminUser, d.postgres.AdminPassword, "alter role orders password 'another'"))
	_, err := d.login("AWSPREVIOUS")
	require.Error(t, err)

	code, _, stderr := d.rotate("rollback", "--yes", d.name)
	require.Equal(t, exitRefused, code)
	assert.Contains(t, stderr, "version "+older+" of "+d.name+" does NOT work")
	assert.Equal(t, newer, d.version("AWSCURRENT"))
	code, stdout, stderr := d.rotate("rollback", "--yes", "--force", d.name)
	require.Equal(t, exitDone, code, stderr)
	assert.Contains(t, stdout, "does NOT work")
	assert.Equal(t, older, d.version("AWSCURRENT"))
	d.noValues()
}

func TestRollbackWaitsForARotation(t *testing.T) {
	w := newKey(t)
	code, _, stderr := w.rotate("now", "--yes", secret)
	require.Equal(t, exitDone, code, stderr)
	w.breakFunction(true)
	code, _, _ = w.rotate("now", "--yes", secret)
	require.Equal(t, exitFailed, code)
	code, _, stderr = w.rotate("rollback", "--yes", secret)
	require.Equal(t, exitRefused, code)
	assert.Contains(t, stderr, `"rotate unstick `+secret+`"`)

	code, _, stderr = w.rotate("cancel", "--yes", secret)
	require.Equal(t, exitDone, code, stderr)
	code, _, stderr = w.rotate("unstick", "--yes", secret)
	require.Equal(t, exitDone, code, stderr)
	code, _, stderr = w.rotate("rollback", "--yes", secret)
	require.Equal(t, exitRefused, code, "a function that can't start verifies nothing")
	assert.Contains(t, stderr, "isn't known whether")
	w.breakFunction(false)
	code, stdout, stderr := w.rotate("rollback", "--yes", secret)
	require.Equal(t, exitDone, code, stderr)
	assert.Contains(t, stdout, "rotation is switched off")
	w.noValues()
}
