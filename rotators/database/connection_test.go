package database

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/localdb"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// rotation-lambdas PR#173: without "ssl" the connection was silently plain, and
// a host that is an alias couldn't be verified.
func TestReport_RotationLambdasPR173TLSIsNeverGivenUp(t *testing.T) {
	plain, err := localdb.StartPostgres(t.Context(), localdb.Options{Plaintext: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, plain.Close()) })
	f := newFixture(t)
	value := func(server *localdb.Postgres, ssl *bool) spec.Database {
		return spec.Database{
			Engine: spec.EnginePostgres, Host: server.Host, Port: server.Port, SSL: ssl,
			Username: server.AdminUser, Password: spec.ValueString(server.AdminPassword),
		}
	}
	login := func(options Options, d spec.Database) error {
		return postgresOf(f.newTarget(options)).login(t.Context(), d)
	}

	for name, ssl := range map[string]*bool{"absent": nil, "true": new(true)} {
		err := login(Options{}, value(plain, ssl))
		require.ErrorIs(t, err, rotation.ErrDefinite, name)
		require.ErrorContains(t, err, `"ssl": false`, name)
		require.NoError(t, login(Options{}, value(postgres, ssl)), name)
	}
	require.NoError(t, login(Options{}, value(plain, new(false))), "an explicit false")
	require.ErrorContains(t, login(Options{}, value(postgres, new(false))), "no encryption", "the server wants TLS")

	err = login(Options{RootCAs: x509.NewCertPool()}, value(postgres, nil))
	require.ErrorIs(t, err, rotation.ErrDefinite)
	require.ErrorContains(t, err, spec.EnvDatabaseCAFile)

	alias := value(postgres, nil)
	alias.Host = "127.0.0.2" // reaches nobody, but is verified as any name is
	target := f.newTarget(Options{})
	target.network.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("%s:%d", postgres.Host, postgres.Port))
	}
	err = postgresOf(target).login(t.Context(), alias)
	require.ErrorIs(t, err, rotation.ErrDefinite)
	require.ErrorContains(t, err, "server's certificate")
	target.network.names = map[string]string{"127.0.0.2": "localhost"}
	require.NoError(t, postgresOf(target).login(t.Context(), alias), "the server name is configurable")
}

// The environment of a function must not decide where a password is sent.
func TestTheEnvironmentIsIgnored(t *testing.T) {
	f := newFixture(t)
	for name, value := range map[string]string{
		"PGHOST": "elsewhere.invalid", "PGPORT": "1", "PGUSER": "nobody", "PGPASSWORD": "none", "PGDATABASE": "none",
		"PGSSLMODE": "disable", "PGTARGETSESSIONATTRS": "read-only", "PGOPTIONS": "-c role=none", "PGCHANNELBINDING": "disable",
	} {
		t.Setenv(name, value)
	}
	f.seed()
	f.rotate()
}

// vault#21610, #7834, #29377: characters that break a URL.
func TestReport_Vault21610_7834_29377AnyCharacterMayBeInNamesAndPasswords(t *testing.T) {
	hostile := []string{
		`a@b/c!d#e`, `per%cent %I %L %s`, `it's`, `"quoted"`, `back\slash\`, `semi;colon -- /*`, ` leading and trailing `,
		`$user`, `dollar$$x$$`, `UPPER lower`, `ünïcödé 密码 🔑`, `new` + "\n" + `line` + "\t" + `tab`, `select`, strings.Repeat("x", 57), strings.Repeat("é", 28),
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		name := make([]byte, 1+random.IntN(40))
		for i := range name {
			name[i] = byte(' ' + random.IntN('~'-' '+1))
		}
		hostile = append(hostile, string(name))
	}
	f := newFixture(t)
	for i, text := range hostile {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			one := *f
			one.TB, one.base, one.arn, one.previous = t, text, fmt.Sprintf("%s'%d", f.arn, i), spec.Value{}
			master := one.adminValue("postgres")
			master.Username, master.Password = "master "+text[:min(len(text), 40)], spec.ValueString(text+" of the master")
			_, err := f.admin.Exec(t.Context(), "CREATE ROLE "+quote(master.Username)+" SUPERUSER LOGIN PASSWORD '"+strings.ReplaceAll(text, "'", "''")+" of the master'")
			require.NoError(t, err)
			one.masters[masterARN] = one.encode(master)
			one.seed()
			one.rotate()
			one.rotate()
			one.allowed("SELECT 1")
		})
	}
}

func TestADatabaseOfAnyNameIsRotated(t *testing.T) {
	f := newFixture(t)
	name := `o'r"d%Is ` + f.database
	f.exec("CREATE DATABASE " + quote(name))
	f.database = name
	f.seed()
	f.rotate()
	f.rotate()
}

// rotation-lambdas PR#13: the real connection error was hidden by the next.
func TestReport_RotationLambdasPR13TheFirstErrorIsShown(t *testing.T) {
	f := newFixture(t)
	f.seed()
	pending, err := f.generate()
	require.NoError(t, err)
	calls := 0
	f.target.network.dial = func(context.Context, string, string) (net.Conn, error) {
		calls++
		return nil, errors.New("no route to host")
	}
	err = f.apply(pending)
	require.ErrorContains(t, err, "no route to host")
	require.NotErrorIs(t, err, rotation.ErrDefinite)
	assert.Equal(t, 1, calls, "another login was tried, whose error could hide the first")

	// And all that was tried is told.
	f.target = f.newTarget(Options{})
	single := f.parse(f.current)
	single.MasterARN, single.Password = "", spec.ValueString("canary-1")
	f.current, single.Password = f.encode(single), spec.ValueString("canary-0")
	f.previous = f.encode(single)
	pending, err = f.generate()
	require.NoError(t, err)
	err = f.apply(pending)
	require.ErrorIs(t, err, rotation.ErrDefinite)
	assert.Equal(t, 2, strings.Count(err.Error(), "28P01"))
	assert.NotContains(t, err.Error(), "canary")
}

// aws-cdk#17265: a function that waits 30 s for a network that drops packets
// has no time left to tell.
func TestReport_AWSCDK17265AServerThatDoesNotAnswerIsGivenUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	f := newFixture(t)
	f.seed()
	silent := f.parse(f.current)
	silent.Port = listener.Addr().(*net.TCPAddr).Port
	f.current = f.encode(silent)
	f.target = f.newTarget(Options{DialTimeout: 50 * time.Millisecond})
	pending, err := f.generate()
	require.NoError(t, err)
	err = f.apply(pending)
	require.ErrorContains(t, err, "timeout")
	require.NotErrorIs(t, err, rotation.ErrDefinite, "the network may come back")
}

// A server that asks for no password proves nothing about the current value.
func TestAServerThatAsksForNoPasswordIsRefused(t *testing.T) {
	folder, err := os.MkdirTemp("", "rotators-test-") //nolint:usetesting // t.TempDir is in a folder that is closed to others
	require.NoError(t, err)
	defer func() { _ = os.RemoveAll(folder) }()
	require.NoError(t, os.Chmod(folder, 0o755))
	rules := filepath.Join(folder, "trust.conf")
	require.NoError(t, os.WriteFile(rules, []byte("hostssl all all 127.0.0.1/32 trust\n"), 0o644)) //nolint:dupword // columns
	trusting, err := localdb.StartPostgres(t.Context(), localdb.Options{Settings: map[string]string{"hba_file": rules}})
	require.NoError(t, err)
	defer func() { require.NoError(t, trusting.Close()) }()

	value := spec.Database{
		Engine: spec.EnginePostgres, Host: trusting.Host, Port: trusting.Port,
		Username: trusting.AdminUser, Password: spec.ValueString("anything"),
	}
	f := newFixture(t)
	err = postgresOf(f.newTarget(Options{RootCAs: roots(t, trusting.CAFile)})).login(t.Context(), value)
	require.ErrorContains(t, err, "must ask for a password")
	require.ErrorIs(t, err, rotation.ErrDefinite)
}

func TestSingleUser(t *testing.T) {
	f := newFixture(t)
	f.exec("CREATE ROLE %s LOGIN PASSWORD 'old'")
	value := f.adminValue(f.database)
	value.Username, value.Password = f.base, spec.ValueString("old")
	f.current = f.encode(value)
	for range 3 {
		f.rotate()
		assert.Equal(t, f.base, f.parse(f.current).Username)
		conn := f.client(f.current)
		assert.Equal(t, f.base, query[string](f, conn, "select current_user"))
		require.True(t, refused(postgresOf(f.target).login(t.Context(), f.parse(f.previous))))
	}

	// Somebody has changed the secret but not the database.
	kept := f.current
	value.Password = spec.ValueString("by hand")
	f.previous, f.current = kept, f.encode(value)
	f.rotate()
	f.client(f.current)

	value.Password = spec.ValueString("by hand again")
	f.previous, f.current = f.encode(value), f.encode(value)
	f.refused(f.tryRotate, "logging in as")
}

func TestAUserThatNoLongerAlternatesRotatesAlone(t *testing.T) {
	f := newFixture(t)
	f.seed()
	alone := f.parse(f.current)
	alone.MasterARN = ""
	f.current = f.encode(alone)
	f.rotate()
	f.client(f.current)
}

// The example of RFC 7677, section 3: the keys aren't printed there, but what
// is proven with them.
func TestSCRAMVerifierIsThatOfTheRFC(t *testing.T) {
	decode := func(text string) []byte {
		b, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		return b
	}
	verifier, err := scramVerifierWith(spec.ValueString("pencil"), decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
	require.NoError(t, err)
	keys, ok := strings.CutPrefix(verifier, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
	require.True(t, ok, verifier)
	stored, server, _ := strings.Cut(keys, ":")

	message := "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	mac := func(key []byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(message))
		return h.Sum(nil)
	}
	assert.Equal(t, decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), mac(decode(server)))
	clientKey := decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	for i, b := range mac(decode(stored)) {
		clientKey[i] ^= b
	}
	sum := sha256.Sum256(clientKey)
	assert.Equal(t, decode(stored), sum[:])
}

func TestLoadRoots(t *testing.T) {
	none, err := LoadRoots("", "")
	require.NoError(t, err)
	assert.Nil(t, none, "the system's")
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "empty.pem"), []byte("not PEM"), 0o600))
	_, err = LoadRoots(folder, "empty.pem")
	require.ErrorContains(t, err, "no PEM certificate")
	_, err = LoadRoots(folder, "none.pem")
	require.ErrorIs(t, err, os.ErrNotExist)
}
