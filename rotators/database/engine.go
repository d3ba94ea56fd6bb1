package database

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// engine is what the strategies need of one kind of database server. Every
// method may be called again after it was killed half-way.
type engine interface {
	// login tells whether a value logs in.
	login(ctx context.Context, d spec.Database) error

	// follows tells whether the first value's server is a replica of the
	// second's.
	follows(ctx context.Context, replica, primary spec.Database) (bool, error)

	// provide brings about, as the master user, that a user logs in with a new
	// password and has the rights that it should.
	provide(ctx context.Context, master spec.Database, c change) error

	// changeOwn changes a user's password as the user itself.
	changeOwn(ctx context.Context, login spec.Database, password spec.Value) error

	// verify uses a value as a client would.
	verify(ctx context.Context, d spec.Database, alternates bool) error

	// checkName tells what is wrong with a user's name, if anything.
	checkName(name string) error
}

// change is what a master user brings about.
type change struct {
	users

	// target gets the password: the base user or its clone.
	target   string
	password spec.Value

	// current is the user whose value is current and logs in. It's empty for a
	// seed, and where denied is set.
	current string

	// denied is why the current value doesn't log in. Then a user that isn't
	// there is made, and one that is stays as it is: whoever can write the
	// secret could take over another's account otherwise.
	denied error

	// alone is set where the target doesn't alternate with another.
	alone bool

	database  string
	secretARN string
}

// mayTouch refuses users that exist while nothing has proven that they are the
// secret's.
func (c change) mayTouch(existing ...string) error {
	if c.denied == nil || len(existing) == 0 {
		return nil
	}
	return fmt.Errorf("the current value must log in before user %q may be changed: %w", strings.Join(existing, `" and "`), c.denied)
}

// engineFor returns the engine that a value names.
func (t *Target) engineFor(name string) (engine, error) {
	switch name {
	case spec.EnginePostgres, spec.EngineAuroraPostgres:
		return postgresEngine{network: t.network, log: t.log}, nil
	case spec.EngineMySQL, spec.EngineAuroraMySQL, spec.EngineMariaDB:
		return mysqlEngine{network: t.network, log: t.log, rds: t.rds, nameLimit: mysqlNameLimit(name)}, nil
	}
	return nil, fmt.Errorf("engine %q: this function rotates %s only (%w)", name, strings.Join(spec.Engines(), ", "), rotation.ErrDefinite)
}

// sameFamily tells whether two engines are spoken to alike: Aurora's secrets may
// name either.
func sameFamily(a, b string) bool {
	return spec.DefaultPort(a) == spec.DefaultPort(b)
}

// reconciled tells the log of a statement that changed rights. It holds names
// only.
func reconciled(ctx context.Context, log *slog.Logger, statement string) {
	log.InfoContext(ctx, "database reconciled", "statement", statement)
}
