package database

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// anyHost is the host part of users that this package makes without a pattern.
const anyHost = "%"

// provide changes accounts statement by statement: there are no transactions
// for that. The password comes last, so that a step that is killed before isn't
// taken for done when it's run again.
func (e mysqlEngine) provide(ctx context.Context, master spec.Database, c change) error {
	conn, err := e.connect(ctx, master)
	if err != nil {
		return wrap(err, fmt.Sprintf("logging in as master user %q", master.Username))
	}
	defer conn.close()
	s := mysqlSession{mysqlConn: conn, log: e.log}
	if err := s.lock(ctx, c); err != nil {
		return err
	}
	if c.alone {
		return s.provideAlone(ctx, c)
	}
	base, err := s.users(ctx, c.base)
	if err != nil {
		return err
	}
	clone, err := s.users(ctx, c.clone)
	if err != nil {
		return err
	}
	if c.current == "" {
		return s.provideFirst(ctx, c, base, clone)
	}
	if len(base)+len(clone) == 0 {
		return fmt.Errorf("user %q %w (%w)", c.current, errNoAccount, rotation.ErrDefinite)
	}
	return s.reconcile(ctx, c, base, clone)
}

// provideAlone gives all accounts of a user the new password. One that isn't
// there is made.
func (s mysqlSession) provideAlone(ctx context.Context, c change) error {
	accounts, err := s.users(ctx, c.target)
	if err != nil {
		return err
	}
	if len(accounts) == 0 {
		return s.create(ctx, c)
	}
	if err := c.mayTouch(c.target); err != nil {
		return err
	}
	if err := s.mayChange(ctx, nil); err != nil {
		return err
	}
	return s.setPasswords(ctx, "ALTER USER", credentials(accounts, accounts), c.password, "")
}

// provideFirst makes the first user, or finishes what an earlier run began:
// a user without any right, whom it does no harm to take over.
func (s mysqlSession) provideFirst(ctx context.Context, c change, base, clone map[string]mysqlUser) error {
	target := base
	if c.target == c.clone {
		target = clone
	}
	for _, accounts := range []map[string]mysqlUser{base, clone} {
		for _, u := range accounts {
			if err := c.mayTouch(u.user); err != nil {
				return err
			}
			if len(u.grants) > 0 {
				return fmt.Errorf("user %s is there and has rights, so it wasn't made for this secret: drop it, or store its credentials in the secret yourself (%w)",
					u.account, rotation.ErrDefinite)
			}
		}
	}
	if len(target) == 0 {
		return s.create(ctx, c)
	}
	if err := s.mayChange(ctx, nil); err != nil {
		return err
	}
	return s.setPasswords(ctx, "ALTER USER", credentials(target, target), c.password, "")
}

// create makes the user with the plugin that clients of any kind know.
func (s mysqlSession) create(ctx context.Context, c change) error {
	if err := s.mayChange(ctx, nil); err != nil {
		return err
	}
	plugin := pluginSHA2
	if s.version.mariadb {
		plugin = pluginNative
	}
	a := account{c.target, anyHost}
	if err := s.setPasswords(ctx, "CREATE USER", []credential{{a, []method{{plugin: plugin}}}}, c.password, ""); err != nil {
		return err
	}
	reconciled(ctx, s.log, "CREATE USER "+a.String())
	return nil
}

// reconcile brings about that the clone has what the user has, then gives the
// one that isn't current the new password. The user that is current loses
// nothing.
func (s mysqlSession) reconcile(ctx context.Context, c change, base, clone map[string]mysqlUser) error {
	from, to, copied := base, clone, c.clone
	if len(base) == 0 { // somebody has dropped it
		from, to, copied = clone, base, c.base
	}
	plan := s.plan(from, to, copied, copied == c.target)
	if err := s.mayChange(ctx, plan); err != nil {
		return err
	}
	for _, step := range plan {
		if step.create {
			// Nobody knows this password.
			unknown := []credential{{step.account, step.like.methods}}
			if err := s.setPasswords(ctx, "CREATE USER", unknown, spec.ValueString(rand.Text()+"-aA1!"), step.like.definition.clauses(s.version)); err != nil {
				return err
			}
			reconciled(ctx, s.log, "CREATE USER "+step.account.String())
		}
		if err := s.run(ctx, step.statements(s.version)); err != nil {
			return err
		}
	}
	target, err := s.users(ctx, c.target)
	if err != nil {
		return err
	}
	return s.setPasswords(ctx, "ALTER USER", credentials(target, from), c.password, "")
}

// credentials are accounts with the plugins of those of like that have the same
// host part.
func credentials(accounts, like map[string]mysqlUser) []credential {
	var all []credential
	for _, host := range slices.Sorted(maps.Keys(accounts)) {
		methods := accounts[host].methods
		if model, ok := like[host]; ok {
			methods = model.methods
		}
		all = append(all, credential{accounts[host].account, methods})
	}
	return all
}

// step is what changes for one account.
type step struct {
	account
	create bool
	like   mysqlUser // what the account is made like
	define bool      // whether its definition changes
	roles  *string   // the new default roles
	give   grants
	take   grants
}

// plan finds out what the copies lack and, where they aren't in use, what they
// have too much.
func (s mysqlSession) plan(from, to map[string]mysqlUser, copied string, free bool) []step {
	var steps []step
	for _, host := range slices.Sorted(maps.Keys(from)) {
		model := from[host]
		present, exists := to[host]
		if !exists && !free {
			continue // it's made when it's the copy's turn
		}
		wanted := step{account: account{copied, host}, create: !exists, like: model, give: model.grants.without(present.grants), take: grants{}}
		if free {
			wanted.take = present.grants.without(model.grants).only(func(t target) bool { return !t.routine() })
			wanted.define = exists && present.definition.clauses(s.version) != model.definition.clauses(s.version)
		}
		if present.roles != model.roles && (free || present.roles == "") {
			wanted.roles = &model.roles
		}
		// Who makes a routine gets the rights to it from the server.
		back := step{account: model.account, give: present.grants.without(model.grants).only(target.routine), take: grants{}}
		steps = append(steps, wanted, back)
	}
	if !free {
		return steps
	}
	for _, host := range slices.Sorted(maps.Keys(to)) {
		if _, ok := from[host]; !ok { // the user no longer logs in from there
			steps = append(steps, step{account: to[host].account, give: grants{}, take: to[host].grants})
		}
	}
	return steps
}

// statements of a step, but the one that makes the account.
func (p step) statements(version mysqlVersion) []string {
	var statements []string
	if p.define {
		statements = append(statements, "ALTER USER "+p.account.String()+" "+p.like.definition.clauses(version))
	}
	statements = append(statements, p.take.take(p.account)...)
	statements = append(statements, p.give.give(p.account)...)
	if p.roles != nil {
		roles, word := *p.roles, "TO"
		if roles == "" {
			roles = "NONE"
		}
		if version.mariadb {
			word = "FOR"
		}
		statements = append(statements, "SET DEFAULT ROLE "+roles+" "+word+" "+p.account.String())
	}
	return statements
}
