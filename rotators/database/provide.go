package database

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/aistudio/secrets/rotators/rotation"
)

// plan is what a transaction of the master user brings about.
type plan struct {
	users
	target   string // the user that gets the verifier: base or clone
	current  string // the other one, whose value is current; "" for a seed
	verifier string
	database string
	mark     string // the comment on the shared role that says whose it is
}

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
func (s session) provide(ctx context.Context, p plan) error {
	if _, err := s.tx.Conn().PgConn().Exec(ctx, preparation).ReadAll(); err != nil {
		return wrap(err, "waiting for other rotations in the database")
	}
	roles, err := s.roles(ctx, p.base, p.clone, p.owner)
	if err != nil {
		return err
	}
	if err := s.check(ctx, p, roles); err != nil {
		return err
	}
	if err := s.createRoles(ctx, p, roles); err != nil {
		return err
	}
	if err := s.setPassword(ctx, p.target, p.verifier); err != nil {
		return err
	}
	give, err := s.borrow(ctx, p)
	if err != nil {
		return err
	}
	if err := s.reconcile(ctx, p); err != nil {
		return err
	}
	return s.run(ctx, give)
}

// check refuses to touch roles that aren't this secret's: whoever can seed or
// write a secret could take over somebody's account otherwise. The mark on the
// shared role and the membership in it can only be given by an administrator
// or by an earlier run of this function.
func (s session) check(ctx context.Context, p plan, roles map[string]role) error {
	foreign := func(name, why, remedy string) error {
		return fmt.Errorf("role %q wasn't made for this secret: %s; if it's meant for it, let an administrator run %s (%w)", name, why, remedy, rotation.ErrDefinite)
	}
	comment := fmt.Sprintf("COMMENT ON ROLE %s IS '%s'", quote(p.owner), p.mark)
	owner, hasOwner := roles[p.owner]
	if hasOwner && owner.Comment != p.mark {
		return foreign(p.owner, "its comment doesn't say so", comment)
	}
	for _, name := range []string{p.base, p.clone} {
		if roles[name].Superuser {
			return fmt.Errorf("user %q is a superuser, whose rights can't be shared: rotate it as a single user, without masterarn (%w)", name, rotation.ErrDefinite)
		}
	}
	if _, exists := roles[p.target]; !exists {
		return nil
	}
	if hasOwner {
		if member, err := s.member(ctx, p.target, p.owner); err != nil || member {
			return err
		}
	}
	// AWS's own function makes the clone a member of the user.
	if p.current != "" {
		if member, err := s.member(ctx, p.clone, p.base); err != nil || member {
			return err
		}
	}
	remedy := fmt.Sprintf("GRANT %s TO %s", quote(p.owner), quote(p.target))
	if !hasOwner {
		remedy = fmt.Sprintf("CREATE ROLE %s; %s; %s", quote(p.owner), comment, remedy)
	}
	return foreign(p.target, fmt.Sprintf("it isn't a member of %q", p.owner), remedy)
}

// createRoles makes the roles that aren't there, and the users members of the
// shared one.
func (s session) createRoles(ctx context.Context, p plan, roles map[string]role) error {
	if p.current != "" {
		if _, ok := roles[p.current]; !ok {
			return fmt.Errorf("user %q logs in but isn't a role of the database: rotate through PostgreSQL itself, not through a proxy with users of its own (%w)", p.current, rotation.ErrDefinite)
		}
	}
	if _, ok := roles[p.owner]; !ok {
		if err := s.exec(ctx, "CREATE ROLE %I NOLOGIN", p.owner); err != nil {
			return err
		}
		if err := s.exec(ctx, "COMMENT ON ROLE %I IS %L", p.owner, p.mark); err != nil {
			return err
		}
	}
	if _, ok := roles[p.target]; !ok {
		if err := s.exec(ctx, "CREATE ROLE %I LOGIN", p.target); err != nil {
			return err
		}
	}
	for _, user := range []string{p.target, p.current} {
		if user == "" {
			continue
		}
		member, err := s.member(ctx, user, p.owner)
		if err != nil {
			return err
		}
		if !member {
			if err := s.exec(ctx, "GRANT %I TO %I", p.owner, user); err != nil {
				return err
			}
		}
	}
	return nil
}

// borrow gives a master user who isn't a superuser, for the length of the
// transaction, the rights of the roles whose objects it has to hand over. It
// returns the statements that give them back.
func (s session) borrow(ctx context.Context, p plan) ([]string, error) {
	names := []string{p.owner, p.target}
	if p.current != "" {
		names = append(names, p.current)
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

//go:embed ownership.sql
var ownershipQuery string

//go:embed attributes.sql
var attributesQuery string

//go:embed grants.sql
var grantsQuery string

//go:embed settings.sql
var settingsQuery string

// reconcile makes the statements that are missing, each kind after the one
// before it was run, because one changes what the next one finds: objects come
// first, then rights on what others own, then settings.
func (s session) reconcile(ctx context.Context, p plan) error {
	arguments := pgx.NamedArgs{
		"base": p.base, "clone": p.clone, "owner": p.owner,
		"target": p.target, "current": p.current, "database": p.database,
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
