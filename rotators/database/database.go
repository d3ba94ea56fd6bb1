// Package database rotates the credentials of PostgreSQL databases, with the
// secrets of AWS's own rotation functions (spec.Database).
//
// A secret that names a master secret (masterarn) alternates between two users,
// as in AWS's alternating-users strategy: <user> and <user>_clone. The one that
// isn't current gets the next password, so the current one goes on working
// until the rotation after that. Open connections are left alone.
//
// Both users are members of a third role, <user>_owner, which can't log in. In
// the secret's database their sessions act as it (ALTER ROLE … IN DATABASE …
// SET role), so that what one creates the other one owns too, and current_user
// is the same whoever is current. Grants to the application belong to that
// role. Those that were made to one of the users are copied to it at every
// rotation, in the secret's database; to take a right away, revoke it from all
// three. What isn't copied: rights and objects in other databases, rights to
// configuration parameters, and user mappings of foreign servers.
//
// A secret without a master secret has a single user, who changes its own
// password: clients that read the old one fail to log in until the rotation
// has ended.
//
// Passwords reach the server as SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677),
// so no statement log holds one. Connections are TLS with a verified
// certificate unless the secret says "ssl": false; there is no way from one to
// the other by itself.
package database

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aistudio/secrets/rotators/password"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// defaultDialTimeout is short, so that a rotation whose network is wrong fails
// with an error before its function's time is over.
const defaultDialTimeout = 5 * time.Second

// Options of a Target. The zero value trusts the system's authorities.
type Options struct {
	// RootCAs are the authorities that may sign a server's certificate. Nil:
	// the system's.
	RootCAs *x509.CertPool
	// ServerName is expected in every server's certificate instead of the
	// secret's host, for hosts that are an alias (CNAME). Empty: the host.
	ServerName string
	// DialTimeout bounds the start of a connection, with name resolution, TLS
	// and login. 0: 5 s.
	DialTimeout time.Duration
	// Logger is told what was changed in a database beside the password. Nil:
	// slog.Default.
	Logger *slog.Logger
}

// Target rotates database credentials. It is safe for concurrent use.
type Target struct {
	masters secretReader
	servers servers
	log     *slog.Logger
}

var _ rotation.Target = (*Target)(nil)

// New returns a Target that reads master secrets through client, usually a
// *secretsmanager.Client.
func New(client secretReader, options Options) *Target {
	if options.DialTimeout == 0 {
		options.DialTimeout = defaultDialTimeout
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	return &Target{
		masters: client,
		servers: servers{roots: options.RootCAs, serverName: options.ServerName, timeout: options.DialTimeout},
		log:     options.Logger,
	}
}

// Generate returns the current value with a new password and, when users
// alternate, the other user. It changes nothing anywhere. Other keys of the
// secret stay as they are.
func (t *Target) Generate(_ context.Context, request rotation.GenerateRequest) (rotation.GenerateResponse, error) {
	next, err := successor(request)
	if err != nil {
		return rotation.GenerateResponse{}, err
	}
	if next.Password, err = password.Generate(password.ForEngine(next.Engine)); err != nil {
		return rotation.GenerateResponse{}, err
	}
	value, err := next.Encode()
	return rotation.GenerateResponse{Value: value}, err
}

// successor is the next value but for the password.
func successor(request rotation.GenerateRequest) (spec.Database, error) {
	if request.Seed != nil {
		return first(request.Seed.Database)
	}
	next, err := read("current", request.Current)
	if err != nil {
		return spec.Database{}, err
	}
	users, err := usersOf(next.Username)
	switch {
	case err != nil:
		return spec.Database{}, err
	case next.MasterARN != "":
		next.Username = users.other(next.Username)
	case next.Username == users.clone:
		return spec.Database{}, fmt.Errorf(`the secret lacks the key "masterarn", although its user %q is one of two that alternate: add the ARN of the master secret (%w)`,
			next.Username, rotation.ErrDefinite)
	}
	return next, nil
}

func first(seed *spec.DatabaseSeed) (spec.Database, error) {
	if seed == nil {
		return spec.Database{}, fmt.Errorf("the seed request has no Database: say which engine, host, username and masterarn (%w)", rotation.ErrDefinite)
	}
	users, err := usersOf(seed.Username)
	if err != nil {
		return spec.Database{}, err
	}
	if seed.Username != users.base {
		return spec.Database{}, fmt.Errorf("user %q: seed the name without %s, which is added at every second rotation (%w)", seed.Username, cloneSuffix, rotation.ErrDefinite)
	}
	if err := supported(seed.Engine); err != nil {
		return spec.Database{}, err
	}
	next := spec.Database{
		Engine: seed.Engine, Host: seed.Host, Port: seed.Port, Username: seed.Username,
		DBName: seed.DBName, MasterARN: seed.MasterSecretARN, SSL: seed.SSL,
	}
	if next.Port == 0 {
		next.Port = spec.DefaultPort(next.Engine)
	}
	return next, nil
}

// Apply makes the pending value log in. When it does already, nothing is
// changed. The current value must log in: otherwise whoever can write the
// secret could name another user in it and take over that account.
func (t *Target) Apply(ctx context.Context, request rotation.ApplyRequest) (rotation.ApplyResponse, error) {
	pending, err := read("pending", request.Pending)
	if err != nil {
		return rotation.ApplyResponse{}, err
	}
	if err := t.servers.login(ctx, pending); err == nil || !refused(err) {
		return rotation.ApplyResponse{}, wrap(err, "logging in with the pending value")
	}
	if request.Seeding() {
		return rotation.ApplyResponse{}, t.seed(ctx, request.SecretARN, pending)
	}
	current, err := read("current", request.Current)
	if err != nil {
		return rotation.ApplyResponse{}, err
	}
	if err := sameDatabase(current, pending); err != nil {
		return rotation.ApplyResponse{}, err
	}
	if pending.MasterARN == "" {
		return rotation.ApplyResponse{}, t.single(ctx, current, pending, request.Previous)
	}
	return rotation.ApplyResponse{}, t.alternate(ctx, request.SecretARN, current, pending)
}

// Verify logs in with the pending value and, when users alternate, sees that
// the session acts as their shared role.
func (t *Target) Verify(ctx context.Context, request rotation.VerifyRequest) (rotation.VerifyResponse, error) {
	pending, err := read("pending", request.Pending)
	if err != nil {
		return rotation.VerifyResponse{}, err
	}
	return rotation.VerifyResponse{}, t.verify(ctx, pending)
}

func (t *Target) verify(ctx context.Context, pending spec.Database) error {
	conn, err := t.servers.connect(ctx, pending)
	if refused(err) {
		// Not a definite answer: a replica may not know the password yet, and
		// otherwise setSecret sets it when the rotation is tried again.
		return fmt.Errorf("the pending value doesn't log in (yet): %s", err) //nolint:errorlint // the answer is no longer definite
	}
	if err != nil {
		return wrap(err, "logging in with the pending value")
	}
	defer hangUp(conn)
	var role string
	if err := conn.QueryRow(ctx, "select current_user").Scan(&role); err != nil {
		return wrap(err, "asking the database who the pending value's user is")
	}
	if pending.MasterARN == "" {
		return nil
	}
	users, err := usersOf(pending.Username)
	if err != nil {
		return err
	}
	if role != users.owner {
		return fmt.Errorf("sessions of user %q act as %q, not as the shared role: run ALTER ROLE %s IN DATABASE %s SET role TO %s (%w)",
			pending.Username, role, quote(pending.Username), quote(dbname(pending)), quote(users.owner), rotation.ErrDefinite)
	}
	return nil
}

// Retire does nothing: a user has one password, so the next Apply for it has
// taken the old one out of use.
func (t *Target) Retire(context.Context, rotation.RetireRequest) (rotation.RetireResponse, error) {
	return rotation.RetireResponse{}, nil
}

// read parses a value and refuses what can't be rotated, naming the key.
func read(stage string, value spec.Value) (spec.Database, error) {
	d, err := spec.ParseDatabase(value)
	if err == nil {
		err = errors.Join(d.Validate(), supported(d.Engine))
	}
	if err != nil {
		return spec.Database{}, fmt.Errorf("the %s value: %w (%w)", stage, err, rotation.ErrDefinite)
	}
	return d, nil
}

func supported(engine string) error {
	switch engine {
	case spec.EnginePostgres, spec.EngineAuroraPostgres:
		return nil
	}
	return fmt.Errorf("engine %q: this function rotates %s and %s only (%w)", engine, spec.EnginePostgres, spec.EngineAuroraPostgres, rotation.ErrDefinite)
}

// sameDatabase refuses a pending value that wasn't made from the current one:
// somebody has changed the secret in between, and a login proven in one place
// must not change a password in another. That value never works, so it's
// withdrawn and the next rotation starts from the secret as it is.
func sameDatabase(current, pending spec.Database) error {
	users, err := usersOf(current.Username)
	if err != nil {
		return err
	}
	expected := current.Username
	if current.MasterARN != "" {
		expected = users.other(current.Username)
	}
	for _, field := range []struct {
		key  string
		same bool
	}{
		{"engine", current.Engine == pending.Engine},
		{"host", sameHost(current.Host, pending.Host)},
		{"port", port(current) == port(pending)},
		{"dbname", dbname(current) == dbname(pending)},
		{"masterarn", current.MasterARN == pending.MasterARN},
		{"ssl", plaintext(current) == plaintext(pending)},
		{"username", pending.Username == expected},
	} {
		if !field.same {
			return fmt.Errorf("the key %q of the pending value doesn't fit the current one, which has changed since: %w", field.key, rotation.ErrRejected)
		}
	}
	return nil
}
