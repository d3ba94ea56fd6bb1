// Package database rotates the credentials of PostgreSQL, MySQL and MariaDB
// databases, and of Aurora's of both kinds, with the secrets of AWS's own
// rotation functions (spec.Database).
//
// # Strategies
//
// A secret that names a master secret (masterarn) alternates between two users,
// as in AWS's alternating-users strategy: <user> and <user>_clone. The one that
// isn't current gets the next password, so the current one goes on working
// until the rotation after that. Open connections are left alone.
//
// A secret without a master secret has a single user, who changes its own
// password: clients that read the old one fail to log in until the rotation
// has ended. With a master secret and the key "rotationstrategy":
// "single-user" the master user changes it.
//
// A user that the server doesn't know is made where there is a master secret
// for it. One that it knows is only ever changed after the secret's value has
// logged in, or where the server itself says whose it is: whoever can write a
// secret could take over another's account otherwise.
//
// # PostgreSQL
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
// # MySQL and MariaDB
//
// Rights are granted to <user>, and taken away from it: at every rotation the
// clone gets what <user> has, with its roles, its TLS requirement and limits,
// for each host part, and what <user> has lost is revoked from it. What only the
// clone was granted is revoked when it's the clone's turn, with one exception:
// rights to single routines, which a server gives to whoever creates one, are
// shared both ways. Nothing is ever revoked from the user that is current.
//
// Tables have no owners there. Views, routines, triggers and events run as
// their DEFINER, who may be either user; that keeps working, since both stay and
// have the same rights. CREATE OR REPLACE is open to both; ALTER VIEW asks for
// the definer itself.
//
// MySQL 8.0 and newer and MariaDB 10.4 and newer are served. Users keep their
// authentication plugin: caching_sha2_password, mysql_native_password (which
// MySQL 9 no longer has) or MariaDB's ed25519.
//
// # What reaches the server
//
// Passwords reach the server as SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677)
// or as the hash of the authentication plugin, so no statement log holds one.
// There are two exceptions, both over the connection's TLS: a MySQL user who
// changes its own password, which MySQL keeps out of its logs itself, and a
// MariaDB server whose password policy must see the password.
//
// Connections are TLS with a verified certificate unless the secret says "ssl":
// false; there is no way from one to the other by itself.
package database

import (
	"context"
	"crypto/x509"
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
	// ServerNames are the names to expect in a certificate instead of the
	// secret's host, by host, for hosts that are an alias (CNAME). See
	// ParseServerNames. Nil: the host is verified.
	ServerNames map[string]string
	// DialTimeout bounds the start of a connection, with name resolution, TLS
	// and login. 0: 5 s.
	DialTimeout time.Duration
	// RDS tells where the server of a master secret that RDS manages is, and
	// which MySQL instance is a replica of which; usually an *rds.Client. Nil:
	// such secrets are refused.
	RDS rdsReader
	// Region is where master secrets are read: of one that a secret names in
	// another region, its replica. Empty: where the secret says.
	Region string
	// Logger is told what was changed in a database beside the password. Nil:
	// slog.Default.
	Logger *slog.Logger
}

// Target rotates database credentials. It is safe for concurrent use.
type Target struct {
	masters secretReader
	region  string
	network *network
	rds     rdsReader
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
		network: &network{roots: options.RootCAs, names: options.ServerNames, timeout: options.DialTimeout},
		rds:     options.RDS,
		region:  options.Region,
		log:     options.Logger,
	}
}

// Generate returns the current value with a new password and, when users
// alternate, the other user. It changes nothing anywhere. Other keys of the
// secret stay as they are.
func (t *Target) Generate(_ context.Context, request rotation.GenerateRequest) (rotation.GenerateResponse, error) {
	next, err := t.successor(request)
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
func (t *Target) successor(request rotation.GenerateRequest) (spec.Database, error) {
	if request.Seed != nil {
		return t.first(request.Seed.Database)
	}
	next, engine, err := t.read("current", request.Current)
	if err != nil {
		return spec.Database{}, err
	}
	users, err := usersOf(next.Username, engine)
	switch {
	case next.strategy == strategySingle:
	case err != nil:
		return spec.Database{}, err
	case next.alternates():
		next.Username = users.other(next.Username)
	case next.Username == users.clone:
		return spec.Database{}, fmt.Errorf(`the secret lacks the key "masterarn", although its user %q is one of two that alternate: add the ARN of the master secret (%w)`,
			next.Username, rotation.ErrDefinite)
	}
	return next.Database, nil
}

func (t *Target) first(seed *spec.DatabaseSeed) (spec.Database, error) {
	if seed == nil {
		return spec.Database{}, fmt.Errorf("the seed request has no Database: say which engine, host, username and masterarn (%w)", rotation.ErrDefinite)
	}
	engine, err := t.engineFor(seed.Engine)
	if err != nil {
		return spec.Database{}, err
	}
	users, err := usersOf(seed.Username, engine)
	if err != nil {
		return spec.Database{}, err
	}
	if seed.Username != users.base {
		return spec.Database{}, fmt.Errorf("user %q: seed the name without %s, which is added at every second rotation (%w)", seed.Username, cloneSuffix, rotation.ErrDefinite)
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
	return rotation.ApplyResponse{}, t.apply(ctx, request)
}

func (t *Target) apply(ctx context.Context, request rotation.ApplyRequest) error {
	pending, engine, err := t.read("pending", request.Pending)
	if err != nil {
		return err
	}
	if err := engine.login(ctx, pending.Database); err == nil || !refused(err) {
		return wrap(err, "logging in with the pending value")
	}
	if request.Seeding() {
		return t.seed(ctx, engine, request.SecretARN, pending)
	}
	current, _, err := t.read("current", request.Current)
	if err != nil {
		return err
	}
	expected := current.Username
	if current.alternates() {
		users, err := usersOf(current.Username, engine)
		if err != nil {
			return err
		}
		expected = users.other(current.Username)
	}
	if err := sameDatabase(current, pending, expected); err != nil {
		return err
	}
	switch {
	case pending.alternates():
		return t.alternate(ctx, engine, request.SecretARN, current, pending)
	case pending.MasterARN != "":
		return t.singleByMaster(ctx, engine, request.SecretARN, current, pending, request.Previous)
	}
	return t.single(ctx, engine, current, pending, request.Previous)
}

// Verify logs in with the pending value. On PostgreSQL it also sees that the
// session of a user who alternates acts as the shared role.
func (t *Target) Verify(ctx context.Context, request rotation.VerifyRequest) (rotation.VerifyResponse, error) {
	pending, engine, err := t.read("pending", request.Pending)
	if err != nil {
		return rotation.VerifyResponse{}, err
	}
	err = engine.verify(ctx, pending.Database, pending.alternates())
	if refused(err) {
		// Not a definite answer: a replica may not know the password yet, and
		// otherwise setSecret sets it when the rotation is tried again.
		err = fmt.Errorf("the pending value doesn't log in (yet): %s", err) //nolint:errorlint // the answer is no longer definite
		return rotation.VerifyResponse{}, err
	}
	return rotation.VerifyResponse{}, wrap(err, "logging in with the pending value")
}

// Retire does nothing: a user has one password, so the next Apply for it has
// taken the old one out of use.
func (t *Target) Retire(context.Context, rotation.RetireRequest) (rotation.RetireResponse, error) {
	return rotation.RetireResponse{}, nil
}

// read parses a value and refuses what can't be rotated, naming the key.
func (t *Target) read(stage string, v spec.Value) (value, engine, error) {
	refuse := func(err error) (value, engine, error) {
		return value{}, nil, fmt.Errorf("the %s value: %w (%w)", stage, err, rotation.ErrDefinite)
	}
	d, err := spec.ParseDatabase(v)
	if err == nil {
		err = d.Validate()
	}
	if err != nil {
		return refuse(err)
	}
	strategy, err := readStrategy(v, d.MasterARN != "")
	if err != nil {
		return refuse(err)
	}
	e, err := t.engineFor(d.Engine)
	if err == nil {
		err = e.checkName(d.Username)
	}
	if err != nil {
		return refuse(err)
	}
	return value{Database: d, strategy: strategy}, e, nil
}

// sameDatabase refuses a pending value that wasn't made from the current one:
// somebody has changed the secret in between, and a login proven in one place
// must not change a password in another. That value never works, so it's
// withdrawn and the next rotation starts from the secret as it is.
func sameDatabase(current, pending value, user string) error {
	for _, field := range []struct {
		key  string
		same bool
	}{
		{"engine", current.Engine == pending.Engine},
		{"host", sameHost(current.Host, pending.Host)},
		{"port", port(current.Database) == port(pending.Database)},
		{"dbname", current.DBName == pending.DBName},
		{"masterarn", current.MasterARN == pending.MasterARN},
		{"ssl", plaintext(current.Database) == plaintext(pending.Database)},
		{strategyKey, current.alternates() == pending.alternates()},
		{"username", pending.Username == user},
	} {
		if !field.same {
			return fmt.Errorf("the key %q of the pending value doesn't fit the current one, which has changed since: %w", field.key, rotation.ErrRejected)
		}
	}
	return nil
}
