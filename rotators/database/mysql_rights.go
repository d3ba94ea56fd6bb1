package database

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aistudio/secrets/rotators/rotation"
)

// mayChange refuses, before anything is changed, what the master user lacks
// the rights for, with the statements that give them.
func (s mysqlSession) mayChange(ctx context.Context, plan []step) error {
	own, err := s.own(ctx)
	if err != nil {
		return err
	}
	if missing := own.missing(plan, s.account); len(missing) > 0 {
		return fmt.Errorf("master user %s lacks rights: let an administrator run %s (%w)", s.account, strings.Join(missing, "; "), rotation.ErrDefinite)
	}
	return nil
}

// own reads what the session's user may do, by its roles too.
func (s mysqlSession) own(ctx context.Context) (grants, error) {
	const doing = "asking the server what the master user may do"
	read := func(query string) (grants, error) {
		rows, err := s.strings(ctx, query)
		if err != nil {
			return nil, wrap(err, doing)
		}
		found := grants{}
		for _, row := range rows {
			found.add(row, "")
		}
		return found, nil
	}
	own, err := read("SHOW GRANTS") // MariaDB's tells of roles too
	if err != nil || s.version.mariadb {
		return own, err
	}
	var roles []string
	for key, list := range own {
		if key.kind == kindRole {
			roles = append(roles, slices.Sorted(maps.Keys(list))...)
		}
	}
	if len(roles) == 0 {
		return own, nil
	}
	return read("SHOW GRANTS FOR CURRENT_USER() USING " + strings.Join(roles, ", "))
}

// missing returns the statements that an administrator has to run so that the
// owner of g can carry out a plan.
func (g grants) missing(plan []step, who account) []string {
	var statements []string
	need := func(statement string) {
		if !slices.Contains(statements, statement) {
			statements = append(statements, statement)
		}
	}
	if !g.has(target{object: "*.*"}, "CREATE USER") {
		need("GRANT CREATE USER ON *.* TO " + who.String())
	}
	for _, step := range plan {
		for _, rights := range []grants{step.give, step.take} {
			for _, key := range slices.SortedFunc(maps.Keys(rights), compareTargets) {
				list := slices.Sorted(maps.Keys(rights[key]))
				if lacking := slices.DeleteFunc(list, func(privilege string) bool { return g.mayGrant(key, privilege) }); len(lacking) > 0 {
					need(grantable(key, lacking, who))
				}
			}
		}
	}
	return statements
}

// grantable is the statement that lets somebody grant privileges.
func grantable(key target, privileges []string, who account) string {
	option := " WITH GRANT OPTION"
	if key.kind == kindRole {
		option = " WITH ADMIN OPTION"
	}
	privileges = slices.DeleteFunc(privileges, func(privilege string) bool { return privilege == grantOption })
	if len(privileges) == 0 {
		privileges = []string{"USAGE"}
	}
	return "GRANT " + strings.Join(privileges, ", ") + on(key) + " TO " + who.String() + option
}

// mayGrant tells whether the owner of g may grant a privilege and revoke it.
func (g grants) mayGrant(key target, privilege string) bool {
	switch key.kind {
	case kindRole:
		return g[target{kind: kindRole, grantable: true}][privilege] || g.has(target{object: "*.*"}, "SUPER") || g.hasDynamic("ROLE_ADMIN", false)
	case kindProxy:
		return true // the server tells; its rules of who may be whose proxy aren't ours
	case kindDynamic:
		return g.hasDynamic(privilege, true)
	case kindRestriction:
		return true
	}
	for held, list := range g {
		if held.kind == kindObject && held.covers(key.object) && list[grantOption] &&
			(privilege == grantOption || list["ALL PRIVILEGES"] || list[privilege] || list[strings.SplitN(privilege, " (", 2)[0]]) {
			return true
		}
	}
	return privilege == "ALL PRIVILEGES" && g.mayGrantAll(key)
}

// mayGrantAll is for MySQL, which lists all privileges instead of saying so:
// who has the grant option everywhere, and creates users, is an administrator.
func (g grants) mayGrantAll(key target) bool {
	everywhere := g[target{object: "*.*"}]
	return key.object != "*.*" && everywhere[grantOption] && everywhere["CREATE USER"] && everywhere["SELECT"] && everywhere["DROP"]
}

func (g grants) hasDynamic(privilege string, toGrant bool) bool {
	return g[target{kind: kindDynamic, object: "*.*", grantable: true}][privilege] ||
		!toGrant && g[target{kind: kindDynamic, object: "*.*"}][privilege] ||
		g[target{object: "*.*"}]["ALL PRIVILEGES"]
}

func (g grants) has(key target, privilege string) bool {
	return g[key][privilege] || g[key]["ALL PRIVILEGES"]
}

// covers tells whether privileges on one object are also for another.
func (t target) covers(object string) bool {
	if t.object == "*.*" || t.object == object {
		return true
	}
	database, ok := strings.CutSuffix(t.object, ".*")
	if !ok {
		return false
	}
	for _, kind := range []string{"PROCEDURE ", "FUNCTION ", "PACKAGE BODY ", "PACKAGE "} {
		object = strings.TrimPrefix(object, kind)
	}
	if name, _ := quotedText(database, 0); len(tokens(object)) > 0 {
		other := tokens(object)[0].text
		return name == other || like(other, name)
	}
	return false
}

// like matches a name with a pattern of LIKE, as names of databases in grants
// are.
func like(name, pattern string) bool {
	if pattern == "" {
		return name == ""
	}
	switch c := pattern[0]; {
	case c == '%':
		return like(name, pattern[1:]) || name != "" && like(name[1:], pattern)
	case name == "":
		return false
	case c == '_':
		return like(name[1:], pattern[1:])
	case c == '\\' && len(pattern) > 1:
		return pattern[1] == name[0] && like(name[1:], pattern[2:])
	default:
		return c == name[0] && like(name[1:], pattern[1:])
	}
}
