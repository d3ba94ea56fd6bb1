package database

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/aistudio/secrets/rotators/rotation"
)

// preparation of the transaction: names mean what PostgreSQL says they mean,
// locks aren't waited for so long that others queue up behind, and changes to
// the same roles come one after the other (the number is this package's own).
const preparation = `
	set local search_path = pg_catalog;
	set local lock_timeout = '2s';
	select pg_advisory_xact_lock(7237110346524714)`

// provide brings about that the target user logs in with the new password, and
// that it and the current user have the same rights, settings and objects,
// through the shared role. What is so already isn't touched.
func (s session) provide(ctx context.Context, c change) error {
	if _, err := s.tx.Conn().PgConn().Exec(ctx, preparation).ReadAll(); err != nil {
		return wrap(err, "waiting for other rotations in the database")
	}
	roles, err := s.roles(ctx, c.base, c.clone, c.owner)
	if err != nil {
		return err
	}
	if c.alone {
		return s.provideAlone(ctx, c, roles)
	}
	if err := s.check(ctx, c, roles); err != nil {
		return err
	}
	if err := s.mayChange(ctx, roles, c.owner, c.target, c.current); err != nil {
		return err
	}
	if err := s.createRoles(ctx, c, roles); err != nil {
		return err
	}
	if err := s.setPassword(ctx, c.target, c.password); err != nil {
		return err
	}
	give, err := s.borrow(ctx, c)
	if err != nil {
		return err
	}
	if err := s.reconcile(ctx, c); err != nil {
		return err
	}
	return s.run(ctx, give)
}

// provideAlone brings about that a user who doesn't alternate logs in with the
// new password. One that isn't there is made, with a comment that says whose it
// is.
func (s session) provideAlone(ctx context.Context, c change, roles map[string]role) error {
	comment := mark(c.secretARN)
	user, exists := roles[c.target]
	if exists && user.Comment != comment {
		if err := c.mayTouch(c.target); err != nil {
			return fmt.Errorf("%w; if the user is this secret's, let an administrator run COMMENT ON ROLE %s IS '%s'", err, quote(c.target), comment)
		}
	}
	if err := s.mayChange(ctx, roles, c.target); err != nil {
		return err
	}
	if !exists {
		if err := s.exec(ctx, "CREATE ROLE %I LOGIN", c.target); err != nil {
			return err
		}
		if err := s.exec(ctx, "COMMENT ON ROLE %I IS %L", c.target, comment); err != nil {
			return err
		}
	}
	return s.setPassword(ctx, c.target, c.password)
}

// check refuses to touch roles that aren't this secret's: whoever can seed or
// write a secret could take over somebody's account otherwise. The mark on the
// shared role and the membership in it can only be given by an administrator
// or by an earlier run of this function.
func (s session) check(ctx context.Context, c change, roles map[string]role) error {
	foreign := func(name, why, remedy string) error {
		return fmt.Errorf("role %q wasn't made for this secret: %s; if it's meant for it, let an administrator run %s (%w)", name, why, remedy, rotation.ErrDefinite)
	}
	comment := fmt.Sprintf("COMMENT ON ROLE %s IS '%s'", quote(c.owner), mark(c.secretARN))
	owner, hasOwner := roles[c.owner]
	if hasOwner && owner.Comment != mark(c.secretARN) {
		return foreign(c.owner, "its comment doesn't say so", comment)
	}
	for _, name := range []string{c.base, c.clone} {
		if _, exists := roles[name]; exists {
			if err := c.mayTouch(name); err != nil {
				return err
			}
		}
		if roles[name].Superuser {
			return fmt.Errorf("user %q is a superuser, whose rights can't be shared: rotate it as a single user, without masterarn (%w)", name, rotation.ErrDefinite)
		}
	}
	if _, exists := roles[c.target]; !exists {
		return nil
	}
	if hasOwner {
		if member, err := s.member(ctx, c.target, c.owner); err != nil || member {
			return err
		}
	}
	// AWS's own function makes the clone a member of the user.
	if c.current != "" {
		if member, err := s.member(ctx, c.clone, c.base); err != nil || member {
			return err
		}
	}
	remedy := fmt.Sprintf("GRANT %s TO %s", quote(c.owner), quote(c.target))
	if !hasOwner {
		remedy = fmt.Sprintf("CREATE ROLE %s; %s; %s", quote(c.owner), comment, remedy)
	}
	return foreign(c.target, fmt.Sprintf("it isn't a member of %q", c.owner), remedy)
}

// createRoles makes the roles that aren't there, and the users members of the
// shared one.
func (s session) createRoles(ctx context.Context, c change, roles map[string]role) error {
	if c.current != "" {
		if _, ok := roles[c.current]; !ok {
			return fmt.Errorf("user %q logs in but isn't a role of the database: rotate through PostgreSQL itself, not through a proxy with users of its own (%w)", c.current, rotation.ErrDefinite)
		}
	}
	if _, ok := roles[c.owner]; !ok {
		if err := s.exec(ctx, "CREATE ROLE %I NOLOGIN", c.owner); err != nil {
			return err
		}
		if err := s.exec(ctx, "COMMENT ON ROLE %I IS %L", c.owner, mark(c.secretARN)); err != nil {
			return err
		}
	}
	if _, ok := roles[c.target]; !ok {
		if err := s.exec(ctx, "CREATE ROLE %I LOGIN", c.target); err != nil {
			return err
		}
	}
	for _, user := range []string{c.target, c.current} {
		if user == "" {
			continue
		}
		member, err := s.member(ctx, user, c.owner)
		if err != nil {
			return err
		}
		if !member {
			if err := s.exec(ctx, "GRANT %I TO %I", c.owner, user); err != nil {
				return err
			}
		}
	}
	return nil
}

// borrow gives a master user who isn't a superuser, for the length of the
// transaction, the rights of the roles whose objects it has to hand over. It
// returns the statements that give them back.
func (s session) borrow(ctx context.Context, c change) ([]string, error) {
	names := []string{c.owner, c.target}
	if c.current != "" {
		names = append(names, c.current)
	}
	lend, err := s.statements(ctx, `
		select format('GRANT %I TO %I%s', rolname, current_user,
			case when current_setting('server_version_num')::int >= 160000 then ' WITH INHERIT TRUE, SET TRUE' else '' end)
		from pg_roles
		where rolname = any(@names::text[]) and not pg_has_role(current_user, oid, 'USAGE')`, pgx.NamedArgs{"names": names})
	if err != nil || len(lend) == 0 {
		return nil, err
	}
	give, err := s.statements(ctx, `
		select format('REVOKE %I FROM %I', rolname, current_user) from pg_roles
		where rolname = any(@names::text[]) and not pg_has_role(current_user, oid, 'USAGE')`, pgx.NamedArgs{"names": names})
	if err != nil {
		return nil, err
	}
	return give, s.run(ctx, lend)
}

//go:embed postgres/ownership.sql
var ownershipQuery string

//go:embed postgres/attributes.sql
var attributesQuery string

//go:embed postgres/grants.sql
var grantsQuery string

//go:embed postgres/settings.sql
var settingsQuery string

// reconcile makes the statements that are missing, each kind after the one
// before it was run, because one changes what the next one finds: objects come
// first, then rights on what others own, then settings.
func (s session) reconcile(ctx context.Context, c change) error {
	arguments := pgx.NamedArgs{
		"base": c.base, "clone": c.clone, "owner": c.owner,
		"target": c.target, "current": c.current, "database": c.database,
	}
	for _, query := range []string{ownershipQuery, attributesQuery, grantsQuery, settingsQuery} {
		missing, err := s.statements(ctx, query, arguments)
		if err != nil {
			return err
		}
		if err := s.run(ctx, missing); err != nil {
			return err
		}
		if len(missing) == 0 {
			continue
		}
		// PostgreSQL only warns of a grant that the grantor may not make.
		left, err := s.statements(ctx, query, arguments)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return fmt.Errorf("the master user may not share all rights: let an administrator run %s (%w)", strings.Join(left, "; "), rotation.ErrDefinite)
		}
	}
	return nil
}

// mark is what the comment on the shared role says. It leaves out the region,
// which changes when a replica of the secret is promoted.
func mark(arn string) string {
	const region = 3 // arn:aws:secretsmanager:us-east-1:123456789012:secret:name
	parts := strings.Split(arn, ":")
	if len(parts) > region {
		parts = append(parts[:region], parts[region+1:]...)
	}
	return "rotated by " + strings.Join(parts, ":")
}
