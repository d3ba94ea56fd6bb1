package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/aistudio/secrets/sdk/spec"
)

// alternate gives the user that isn't current the pending password and all
// that the current one has.
func (t *Target) alternate(ctx context.Context, arn string, current, pending spec.Database) error {
	if err := t.servers.login(ctx, current); err != nil {
		return wrap(err, fmt.Sprintf("the current value must log in before user %q may be changed: logging in as %q", pending.Username, current.Username))
	}
	return t.asMaster(ctx, arn, pending, current)
}

// seed makes the first user. One that exists is only touched when this
// secret's seed has made it before.
func (t *Target) seed(ctx context.Context, arn string, pending spec.Database) error {
	nobody := pending
	nobody.Username, nobody.Password = "", spec.Value{}
	return t.asMaster(ctx, arn, pending, nobody)
}

// asMaster changes the pending value's user in one transaction, so that a
// killed step has changed all or nothing. For a seed current has no user.
func (t *Target) asMaster(ctx context.Context, arn string, pending, current spec.Database) error {
	master, err := t.master(ctx, pending)
	if err != nil {
		return err
	}
	if err := t.sameServer(ctx, master, current); err != nil {
		return err
	}
	users, err := usersOf(pending.Username)
	if err != nil {
		return err
	}
	verifier, err := scramVerifier(pending.Password)
	if err != nil {
		return err
	}
	conn, err := t.servers.connect(ctx, master)
	if err != nil {
		return wrap(err, fmt.Sprintf("logging in as master user %q", master.Username))
	}
	defer hangUp(conn)
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		s := session{tx: tx, log: t.log}
		return s.provide(ctx, plan{
			users: users, target: pending.Username, current: current.Username, verifier: verifier,
			database: dbname(pending), mark: mark(arn),
		})
	})
}

// single changes the password of the secret's only user, as that user. The
// previous value is tried too, as AWS's function does: a secret that was
// changed by hand, and its database not, still has the password before.
func (t *Target) single(ctx context.Context, current, pending spec.Database, previousValue spec.Value) error {
	conn, err := t.servers.connect(ctx, current)
	if refused(err) && previousValue.Len() > 0 {
		previous, parseErr := read("previous", previousValue)
		switch {
		case parseErr != nil:
			err = errors.Join(err, parseErr)
		case sameDatabase(previous, pending) != nil:
			err = errors.Join(err, errors.New("the previous value is for another user or server"))
		default:
			var previousErr error
			if conn, previousErr = t.servers.connect(ctx, previous); previousErr == nil {
				err = nil
			} else {
				err = errors.Join(err, fmt.Errorf("with the previous value: %w", previousErr))
			}
		}
	}
	if err != nil {
		return wrap(err, fmt.Sprintf("logging in as %q to change its password", current.Username))
	}
	defer hangUp(conn)
	verifier, err := scramVerifier(pending.Password)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		s := session{tx: tx, log: t.log}
		// The session may act as another role, who couldn't.
		if err := s.exec(ctx, "SET LOCAL ROLE NONE"); err != nil {
			return err
		}
		return s.setPassword(ctx, pending.Username, verifier)
	})
}
