package database

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// session is one transaction in which roles are changed.
type session struct {
	tx  pgx.Tx
	log *slog.Logger
}

// quote quotes an identifier, for error messages that hold statements.
func quote(identifier string) string { return pgx.Identifier{identifier}.Sanitize() }

// exec runs a statement that PostgreSQL can't take parameters for. The server
// fills in the arguments by its own rules: %I is an identifier, %L a literal.
func (s session) exec(ctx context.Context, format string, arguments ...string) error {
	var statement string
	if err := s.tx.QueryRow(ctx, "select pg_catalog.format($1, variadic $2::text[])", format, arguments).Scan(&statement); err != nil {
		return wrap(err, "quoting the statement "+format)
	}
	if _, err := s.tx.Exec(ctx, statement); err != nil {
		return wrap(err, fmt.Sprintf("running the statement %s with %q", format, arguments))
	}
	return nil
}

// run executes statements that a query of this package has made. They hold
// names only.
func (s session) run(ctx context.Context, statements []string) error {
	for _, statement := range statements {
		_, err := s.tx.Exec(ctx, statement)
		if code(err) == codeInsufficientPrivilege {
			return fmt.Errorf("the master user may not: %w: let an administrator run %s (%w)", err, statement, rotation.ErrDefinite)
		}
		if err != nil {
			return wrap(err, "running "+statement)
		}
		reconciled(ctx, s.log, statement)
	}
	return nil
}

// statements collects what a query makes.
func (s session) statements(ctx context.Context, query string, arguments pgx.NamedArgs) ([]string, error) {
	rows, err := s.tx.Query(ctx, query, arguments)
	if err != nil {
		return nil, wrap(err, "asking the database what is missing")
	}
	made, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return made, wrap(err, "asking the database what is missing")
}

// setPassword makes a user log in with a password, of which the server gets
// the verifier only.
func (s session) setPassword(ctx context.Context, user string, password spec.Value) error {
	verifier, err := scramVerifier(password)
	if err != nil {
		return err
	}
	var statement string
	err = s.tx.QueryRow(ctx, "select pg_catalog.format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)", user, verifier).Scan(&statement)
	if err == nil {
		_, err = s.tx.Exec(ctx, statement)
	}
	doing := fmt.Sprintf("changing the password of user %q", user)
	switch code(err) {
	case "":
		return wrap(err, doing)
	case codeInvalidParameter: // what password policies answer with
		return fmt.Errorf("%s: %w: %w", doing, err, rotation.ErrRejected)
	case codeInsufficientPrivilege:
		return fmt.Errorf("%s: %w: the user who does it needs CREATEROLE, and since PostgreSQL 16 ADMIN OPTION for role %s (%w)",
			doing, err, quote(user), rotation.ErrDefinite)
	}
	return wrap(err, doing)
}

// role is a row of pg_roles.
type role struct {
	Name        string
	OID         uint32
	Superuser   bool
	Login       bool
	CreateDB    bool
	CreateRole  bool
	Replication bool
	BypassRLS   bool
	Limit       int32 // of connections; -1: none
	Comment     string
}

const rolesQuery = `
	select rolname, oid, rolsuper, rolcanlogin, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconnlimit,
		coalesce(shobj_description(oid, 'pg_authid'), '')
	from pg_roles where rolname = any($1::text[])`

// roles returns those that exist, by name.
func (s session) roles(ctx context.Context, names ...string) (map[string]role, error) {
	const doing = "looking for the roles in the database"
	rows, err := s.tx.Query(ctx, rolesQuery, names)
	if err != nil {
		return nil, wrap(err, doing)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[role])
	if err != nil {
		return nil, wrap(err, doing)
	}
	byName := make(map[string]role, len(found))
	for _, role := range found {
		byName[role.Name] = role
	}
	return byName, nil
}

// member tells whether a role is a member of another, also through others.
func (s session) member(ctx context.Context, role, of string) (bool, error) {
	var is bool
	err := s.tx.QueryRow(ctx, "select pg_has_role($1::name, $2::name, 'MEMBER')", role, of).Scan(&is)
	return is, wrap(err, fmt.Sprintf("asking whether role %q is a member of %q", role, of))
}
