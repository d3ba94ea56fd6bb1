package classify

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/aistudio/secrets/sdk/spec"
)

// Group is settings of one service that describe one login and so become one
// secret.
type Group struct {
	Prefix  string            // what their names begin with: DB for DB_HOST, DB_USER, DB_PASSWORD
	Kind    spec.Kind         // database
	Engine  string            // one of spec.Engines; "": the settings don't tell
	Members map[string]string // setting's name by the secret's JSON key: host, port, username, password, dbname, engine
}

// Words that end a name and the JSON key of a database secret that they mean.
var roles = map[string]string{
	"host": "host", "hostname": "host", "server": "host", "endpoint": "host", "address": "host",
	"port": "port",
	"user": "username", "username": "username", "login": "username",
	"password": "password", "pass": "password", "passwd": "password", "pwd": "password",
	"database": "dbname", "dbname": "dbname", "name": "dbname", "db": "dbname", "schema": "dbname",
	"engine": "engine", "dialect": "engine", "driver": "engine", "adapter": "engine",
}

// Related finds the groups among one service's settings: a password, a user
// and a host or a database with the same prefix. They are in the order of their
// prefixes. A setting belongs to one group at most; where two could be the same
// member, as HOST and HOSTNAME, the first in alphabetical order is taken.
func Related(settings []Setting) []Group {
	values := map[string]string{}
	groups := map[string]Group{}
	for _, s := range slices.SortedFunc(slices.Values(settings), func(a, b Setting) int { return cmp.Compare(a.Name, b.Name) }) {
		prefix, role, ok := roleOf(s.Name)
		if !ok {
			continue
		}
		if _, exists := groups[prefix]; !exists {
			groups[prefix] = Group{Prefix: prefix, Kind: spec.KindDatabase, Members: map[string]string{}}
		}
		if _, taken := groups[prefix].Members[role]; !taken {
			groups[prefix].Members[role] = s.Name
			values[s.Name] = s.Value.RevealString()
		}
	}
	var related []Group
	for _, prefix := range slices.Sorted(maps.Keys(groups)) {
		g := groups[prefix]
		g.Engine = engineOf(prefix, values[g.Members["engine"]], values[g.Members["port"]])
		if g.isDatabase() {
			related = append(related, g)
		}
	}
	return related
}

// isDatabase keeps out logins of other things, as SMTP_HOST, SMTP_USER and
// SMTP_PASSWORD are.
func (g Group) isDatabase() bool {
	has := func(role string) bool { return g.Members[role] != "" }
	return has("password") && has("username") && has("host") && (has("dbname") || g.Engine != "")
}

const separators = "_-./"

// roleOf splits a name into its prefix, as it was written, and the JSON key of
// what follows.
func roleOf(setting string) (prefix, role string, ok bool) {
	n := parseName(setting)
	last := n.last()
	if segment := strings.ToLower(setting[strings.LastIndexAny(setting, separators)+1:]); roles[segment] != "" {
		last = segment // DBNAME after a prefix is one word
	}
	role, ok = roles[last]
	if !ok || len(last) == len(setting) {
		return "", "", false
	}
	return strings.TrimRight(setting[:len(setting)-len(last)], separators), role, true
}

var engines = []struct {
	engine string
	words  []string
	port   string
}{
	{spec.EnginePostgres, []string{"pg", "postgres", "postgresql", "pgx", "psycopg2"}, "5432"},
	{spec.EngineMariaDB, []string{"mariadb"}, ""},
	{spec.EngineMySQL, []string{"mysql", "mysql2", "pymysql"}, "3306"},
}

func engineOf(prefix, engine, port string) string {
	for _, e := range engines {
		if parseName(engine).has(e.words...) || parseName(prefix).has(e.words...) {
			return e.engine
		}
	}
	for _, e := range engines {
		if e.port != "" && port == e.port {
			return e.engine
		}
	}
	return ""
}
