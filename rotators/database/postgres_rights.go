package database

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/aistudio/secrets/rotators/rotation"
)

// since16 is the version from which CREATEROLE alone no longer gives the right
// to change every role (PostgreSQL 16 release notes, "Restrict the privileges
// of CREATEROLE").
const since16 = 160000

// roleRights is what a master user may do with roles.
type roleRights struct {
	User       string
	Version    int // server_version_num
	Superuser  bool
	CreateRole bool
	Admin      []string // the roles that it has ADMIN OPTION for
}

// missing returns the statements that an administrator has to run so that the
// roles of these names, which exist, can be changed, and others made.
func (r roleRights) missing(existing []string) []string {
	if r.Superuser {
		return nil
	}
	var statements []string
	if !r.CreateRole {
		statements = append(statements, fmt.Sprintf("ALTER ROLE %s CREATEROLE", quote(r.User)))
	}
	if r.Version < since16 {
		return statements
	}
	for _, name := range existing {
		if !slices.Contains(r.Admin, name) {
			statements = append(statements, fmt.Sprintf("GRANT %s TO %s WITH ADMIN OPTION", quote(name), quote(r.User)))
		}
	}
	return statements
}

// mayChange refuses, before anything is changed, what the master user lacks
// the rights for. Those on objects are found out as they are needed, in the
// same transaction.
func (s session) mayChange(ctx context.Context, roles map[string]role, names ...string) error {
	rows, err := s.tx.Query(ctx, `
		select current_user::text, current_setting('server_version_num')::int, rolsuper, rolcreaterole, array(
			select distinct r.rolname::text from pg_auth_members m join pg_roles r on r.oid = m.roleid
			where m.admin_option and pg_has_role(current_user, m.member, 'USAGE'))
		from pg_roles where rolname = current_user`)
	if err != nil {
		return wrap(err, "asking the database what the master user may do")
	}
	rights, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[roleRights])
	if err != nil {
		return wrap(err, "asking the database what the master user may do")
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		_, exists := roles[name]
		return !exists
	})
	if missing := rights.missing(names); len(missing) > 0 {
		return fmt.Errorf("master user %q lacks rights: let an administrator run %s (%w)", rights.User, strings.Join(missing, "; "), rotation.ErrDefinite)
	}
	return nil
}
