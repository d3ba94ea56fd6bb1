package database

import (
	"bytes"
	"context"
	"crypto/x509"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/localcloud/localdb"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	masterARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:aistudio/dev/platform/postgres-admin-M4sT3r"
	secretARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:aistudio/dev/orders/postgres-a1B2c3"
)

// postgres and mariadb are one server each for all tests of the package, which
// log all statements.
var (
	postgres *localdb.Postgres
	mariadb  *localdb.MariaDB
)

func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		forward() // doesn't return
	}
	// Each check of a property is many logins.
	if err := flag.Set("rapid.checks", "25"); err != nil {
		panic(err)
	}
	os.Exit(func() int {
		stop, err := startServers(context.Background())
		if err == nil {
			defer stop()
			return m.Run()
		}
		fmt.Fprintln(os.Stderr, err)
		return 1
	}())
}

func startServers(ctx context.Context) (stop func(), err error) {
	progress := func(line string) { fmt.Fprintln(os.Stderr, line) }
	var group errgroup.Group
	group.Go(func() (err error) {
		postgres, err = localdb.StartPostgres(ctx, localdb.Options{
			Progress: progress, Settings: map[string]string{"log_statement": "all", "log_connections": "on"},
		})
		return err
	})
	group.Go(func() (err error) {
		mariadb, err = localdb.StartMariaDB(ctx, localdb.Options{
			Progress: progress, Settings: map[string]string{"general_log": "on", "plugin_load_add": "auth_ed25519"},
		})
		return err
	})
	err = group.Wait()
	stop = func() {
		if postgres != nil {
			_ = postgres.Close()
		}
		if mariadb != nil {
			_ = mariadb.Close()
		}
	}
	if err != nil {
		stop()
	}
	return stop, err
}

// secrets are the master secrets that a test's function can read, by ARN.
type secrets map[string]spec.Value

func (s secrets) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	value, ok := s[aws.ToString(in.SecretId)]
	if !ok {
		return nil, &types.ResourceNotFoundException{Message: aws.String("Secrets Manager can't find the specified secret.")}
	}
	return &secretsmanager.GetSecretValueOutput{SecretString: aws.String(value.RevealString())}, nil
}

// DescribeSecret answers without tags: no master secret here is RDS's.
func (s secrets) DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error) {
	return &secretsmanager.DescribeSecretOutput{}, nil
}

// fixture is a database of a test's own, a secret for it, and the target. It
// plays Secrets Manager and the engine.
type fixture struct {
	testing.TB
	admin    *pgx.Conn // superuser in the database
	masters  secrets
	target   *Target
	logs     *lockedBuffer
	database string
	base     string // the user
	arn      string
	master   string // ARN of the master secret
	current  spec.Value
	previous spec.Value
	seedOf   spec.DatabaseSeed
	rotation int
	made     []spec.Value // all values that the target has generated
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

var (
	numberMu sync.Mutex
	number   int
)

func next() int {
	numberMu.Lock()
	defer numberMu.Unlock()
	number++
	return number
}

// newFixture makes a database. The secret has no value yet.
func newFixture(t testing.TB) *fixture {
	t.Helper()
	n := next()
	f := &fixture{
		TB: t, masters: secrets{}, logs: &lockedBuffer{},
		database: fmt.Sprintf("test%d", n), base: fmt.Sprintf("app%d", n), arn: fmt.Sprintf("%s-%d", secretARN, n), master: masterARN,
	}
	f.seedOf = spec.DatabaseSeed{
		Engine: spec.EnginePostgres, Host: postgres.Host, Port: postgres.Port, DBName: f.database, MasterSecretARN: masterARN,
	}
	first := f.connect(f.adminValue("postgres"))
	_, err := first.Exec(t.Context(), "CREATE DATABASE "+quote(f.database))
	require.NoError(t, err)
	f.admin = f.connect(f.adminValue(f.database))
	f.masters[masterARN] = f.encode(f.adminValue("postgres"))
	f.target = f.newTarget(Options{})
	return f
}

func (f *fixture) newTarget(options Options) *Target {
	if options.RootCAs == nil {
		options.RootCAs = roots(f.TB, postgres.CAFile, mariadb.CAFile)
	}
	options.Logger = slog.New(slog.NewJSONHandler(f.logs, nil))
	return New(f.masters, options)
}

func roots(t testing.TB, files ...string) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	for _, file := range files {
		bundle, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, pool.AppendCertsFromPEM(bundle))
	}
	return pool
}

func (f *fixture) adminValue(database string) spec.Database {
	return spec.Database{
		Engine: spec.EnginePostgres, Host: postgres.Host, Port: postgres.Port,
		Username: postgres.AdminUser, Password: spec.ValueString(postgres.AdminPassword), DBName: database,
	}
}

func (f *fixture) encode(d spec.Database) spec.Value {
	f.Helper()
	value, err := d.Encode()
	require.NoError(f, err)
	return value
}

func (f *fixture) parse(value spec.Value) spec.Database {
	f.Helper()
	d, err := spec.ParseDatabase(value)
	require.NoError(f, err)
	return d
}

// connect logs in as a client does, until the test ends.
func (f *fixture) connect(d spec.Database) *pgx.Conn {
	f.Helper()
	conn, err := postgresFor(f.TB, defaultDialTimeout).connect(f.Context(), d)
	require.NoError(f, err)
	f.Cleanup(func() { hangUp(conn) })
	return conn
}

// client is connect with a secret's value.
func (f *fixture) client(value spec.Value) *pgx.Conn {
	f.Helper()
	return f.connect(f.parse(value))
}

func postgresFor(t testing.TB, timeout time.Duration) postgresEngine {
	t.Helper()
	return postgresEngine{network: &network{roots: roots(t, postgres.CAFile), timeout: timeout}, log: slog.Default()}
}

func postgresOf(target *Target) postgresEngine {
	return postgresEngine{network: target.network, log: target.log}
}

// exec runs statements as the administrator; %s is the user's quoted name.
func (f *fixture) exec(statements ...string) {
	f.Helper()
	for _, statement := range statements {
		_, err := f.admin.Exec(f.Context(), strings.ReplaceAll(statement, "%s", quote(f.base)))
		require.NoError(f, err, statement)
	}
}

func (f *fixture) seedRequest() *spec.SeedRequest {
	seed := f.seedOf
	seed.Username, seed.DBName = f.base, f.database
	return &spec.SeedRequest{Step: spec.StepSeed, SecretID: f.arn, Database: &seed}
}

// clean fails the test when an error or the log holds a password.
func (f *fixture) clean(err error) error {
	f.Helper()
	values := append([]spec.Value{f.current, f.previous, f.masters[f.master]}, f.made...)
	for _, value := range values {
		d, parseErr := spec.ParseDatabase(value)
		if parseErr != nil || d.Password.Len() < 10 {
			continue
		}
		password := d.Password.RevealString()
		if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), password) || strings.Contains(f.logs.String(), password) {
			f.Error("a password is in an error or in the log")
		}
	}
	return err
}

// trySeed gives the secret its first value, as the engine does.
func (f *fixture) trySeed() (err error) {
	f.Helper()
	defer func() { _ = f.clean(err) }()
	generated, err := f.target.Generate(f.Context(), rotation.GenerateRequest{SecretARN: f.arn, Token: "seed", Seed: f.seedRequest()})
	if err != nil {
		return err
	}
	f.made = append(f.made, generated.Value)
	if _, err := f.target.Apply(f.Context(), rotation.ApplyRequest{SecretARN: f.arn, Token: "seed", Pending: generated.Value}); err != nil {
		return err
	}
	if _, err := f.target.Verify(f.Context(), rotation.VerifyRequest{SecretARN: f.arn, Token: "seed", Pending: generated.Value}); err != nil {
		return err
	}
	f.current = generated.Value
	return nil
}

func (f *fixture) seed() {
	f.Helper()
	require.NoError(f, f.trySeed())
}

// generate makes the next rotation's pending value.
func (f *fixture) generate() (spec.Value, error) {
	f.Helper()
	f.rotation++
	response, err := f.target.Generate(f.Context(), rotation.GenerateRequest{
		SecretARN: f.arn, Token: fmt.Sprint(f.rotation), Current: f.current,
	})
	f.made = append(f.made, response.Value)
	return response.Value, f.clean(err)
}

func (f *fixture) apply(pending spec.Value) error {
	f.Helper()
	_, err := f.target.Apply(f.Context(), rotation.ApplyRequest{
		SecretARN: f.arn, Token: fmt.Sprint(f.rotation), Pending: pending, Current: f.current, Previous: f.previous,
	})
	return f.clean(err)
}

// tryRotate does what the engine does in four steps.
func (f *fixture) tryRotate() error {
	f.Helper()
	pending, err := f.generate()
	if err != nil {
		return err
	}
	if err := f.apply(pending); err != nil {
		return err
	}
	if _, err := f.target.Verify(f.Context(), rotation.VerifyRequest{SecretARN: f.arn, Token: fmt.Sprint(f.rotation), Pending: pending}); err != nil {
		return err
	}
	if f.previous.Len() > 0 {
		_, err := f.target.Retire(f.Context(), rotation.RetireRequest{SecretARN: f.arn, Retired: f.previous, Current: f.current, Pending: pending})
		if err != nil {
			return err
		}
	}
	f.previous, f.current = f.current, pending
	return nil
}

func (f *fixture) rotate() {
	f.Helper()
	require.NoError(f, f.tryRotate())
}

// query runs a statement and returns the only column of its only row.
func query[T any](f *fixture, conn *pgx.Conn, statement string, arguments ...any) T {
	f.Helper()
	var result T
	require.NoError(f, conn.QueryRow(f.Context(), statement, arguments...).Scan(&result), statement)
	return result
}
