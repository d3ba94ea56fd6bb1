package database

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/aistudio/secrets/rotators/rotation"
)

// mysqlUser is one account as the server knows it.
type mysqlUser struct {
	account
	methods    []method
	definition definition
	roles      string // the default roles, as the server lists them
	grants     grants
}

// method is a way to log in. Only plugins with a password have a hash.
type method struct{ plugin, hash string }

// definition is what an account has beside its password and rights.
type definition struct {
	require string            // REQUIRE …
	limits  map[string]string // WITH …
	options string            // expiry and locking of passwords and accounts
}

// limitNames are the resource limits, of which the last is MariaDB's only.
var limitNames = []string{"MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS", "MAX_STATEMENT_TIME"}

// clauses is the definition in a statement. What a server doesn't print is what
// a new account has.
func (d definition) clauses(version mysqlVersion) string {
	require := d.require
	if require == "" {
		require = "NONE"
	}
	names := limitNames
	if !version.mariadb {
		names = names[:len(names)-1]
	}
	text := "REQUIRE " + require + " WITH"
	for _, name := range names {
		value := d.limits[name]
		if value == "" {
			value = "0"
		}
		text += " " + name + " " + value
	}
	options := d.options
	for _, missing := range []struct{ words, standard string }{{"ACCOUNT", "ACCOUNT UNLOCK"}, {"PASSWORD EXPIRE", "PASSWORD EXPIRE DEFAULT"}} {
		if !strings.Contains(options, missing.words) {
			options += " " + missing.standard
		}
	}
	return text + " " + strings.TrimSpace(options)
}

// parseUser reads what SHOW CREATE USER prints.
func parseUser(statement string) (mysqlUser, error) {
	all := tokens(statement)
	at := func(i int) token {
		if i < len(all) {
			return all[i]
		}
		return token{start: len(statement), end: len(statement)}
	}
	var u mysqlUser
	i := 2 // CREATE USER
	u.user = at(i).text
	if i++; at(i).is("@") {
		u.host = at(i + 1).text
		i += 2
	}
	u.definition.limits = map[string]string{}

	i, err := u.parseMethods(all, i)
	if err != nil {
		return u, err
	}
	// Each clause reaches to the word that begins the next.
	for i < len(all) {
		start := i
		for i++; i < len(all) && !beginsClause(all, i); i++ {
		}
		text := statement[all[start].start:at(i-1).end]
		rest := func(words int) string {
			return strings.TrimSpace(statement[min(at(start+words).start, at(i-1).end):at(i-1).end])
		}
		switch first := all[start]; {
		case first.is("DEFAULT"):
			u.roles = rest(2)
		case first.is("REQUIRE"):
			u.definition.require = rest(1)
		case first.is("WITH"):
			for n := start + 1; n+1 < i; {
				// MAX_STATEMENT_TIME is printed with decimals.
				end := n + 2
				for end < i && !all[end-1].quoted && (all[end].is(".") || all[end-1].is(".")) {
					end++
				}
				u.definition.limits[strings.ToUpper(all[n].text)] = statement[all[n+1].start:at(end-1).end]
				n = end
			}
		case first.is("ATTRIBUTE"), first.is("COMMENT"), text == "PASSWORD EXPIRE": // the last is undone by a new password
		default:
			u.definition.options = strings.TrimSpace(u.definition.options + " " + text)
		}
	}
	return u, nil
}

// beginsClause knows DEFAULT ROLE from PASSWORD EXPIRE DEFAULT, and REQUIRE from
// PASSWORD REQUIRE CURRENT.
func beginsClause(all []token, i int) bool {
	switch t := all[i]; {
	case t.is("DEFAULT"):
		return i+1 < len(all) && all[i+1].is("ROLE")
	case t.is("REQUIRE"):
		return !all[i-1].is("PASSWORD")
	default:
		return slices.ContainsFunc([]string{
			"WITH", "ACCOUNT", "PASSWORD", "FAILED_LOGIN_ATTEMPTS", "PASSWORD_LOCK_TIME", "ATTRIBUTE", "COMMENT",
		}, t.is)
	}
}

// parseMethods reads the clause that begins at i, and returns where it ends.
func (u *mysqlUser) parseMethods(all []token, i int) (int, error) {
	if i >= len(all) || !all[i].is("IDENTIFIED") {
		u.methods = []method{{plugin: pluginNative}}
		return i, nil
	}
	i++
	next := func() token {
		if i < len(all) {
			i++
			return all[i-1]
		}
		return token{}
	}
	switch how := next(); {
	case how.is("BY"): // PASSWORD 'hash'
		i++
		u.methods = []method{{pluginNative, next().text}}
	case how.is("WITH"), how.is("VIA"):
		for {
			m := method{plugin: next().text}
			if i < len(all) && (all[i].is("AS") || all[i].is("USING")) {
				i++
				m.hash = unhex(next())
			}
			u.methods = append(u.methods, m)
			if i >= len(all) || !all[i].is("OR") {
				break
			}
			i++
		}
	}
	if i < len(all) && all[i].is("AND") {
		return i, fmt.Errorf("user %q has several factors of authentication, and one password doesn't log in: give it one (%w)", u.user, rotation.ErrDefinite)
	}
	return i, nil
}

// unhex reads a hash that MySQL has printed in hex.
func unhex(t token) string {
	if !t.quoted && strings.HasPrefix(t.text, "0x") {
		if text, err := hex.DecodeString(t.text[2:]); err == nil {
			return string(text)
		}
	}
	return t.text
}

// users reads the accounts of a user, by host.
func (s mysqlSession) users(ctx context.Context, name string) (map[string]mysqlUser, error) {
	query := "SELECT host FROM mysql.user WHERE user = ?"
	if s.version.mariadb {
		query += " AND is_role = 'N'"
	}
	hosts, err := s.strings(ctx, query, name)
	if err != nil {
		return nil, s.wrap(err, fmt.Sprintf("looking for the accounts of user %q", name))
	}
	found := make(map[string]mysqlUser, len(hosts))
	for _, host := range hosts {
		if found[host], err = s.user(ctx, account{name, host}); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (s mysqlSession) user(ctx context.Context, a account) (mysqlUser, error) {
	doing := fmt.Sprintf("reading the account %s", a)
	created, err := s.strings(ctx, "SHOW CREATE USER "+a.String())
	if err != nil {
		return mysqlUser{}, s.wrap(err, doing)
	}
	u, err := parseUser(strings.Join(created, "\n"))
	if err != nil {
		return mysqlUser{}, err
	}
	rows, err := s.strings(ctx, "SHOW GRANTS FOR "+a.String())
	if err != nil {
		return mysqlUser{}, s.wrap(err, doing)
	}
	u.account, u.grants = a, grants{}
	for _, row := range rows {
		if role, ok := parseDefaultRole(row); ok {
			u.roles = role
			continue
		}
		u.grants.add(row, a.user)
	}
	return u, nil
}
