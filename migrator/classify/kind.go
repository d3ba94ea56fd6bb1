package classify

import (
	"slices"
	"strings"

	"github.com/aistudio/secrets/sdk/spec"
)

// kindOf tells the kind of a secret from its name.
func kindOf(n name, value string) spec.Kind {
	database := n.has("db", "database", "pg", "postgres", "postgresql", "mysql", "mariadb", "rds", "aurora", "sql", "jdbc", "datasource", "flyway", "liquibase") &&
		!n.has("mongo", "mongodb", "redshift", "mssql", "sqlserver", "oracle")
	switch {
	case slices.Contains([]string{"salt", "pepper"}, n.last()):
		return spec.KindCustom // whatever it is made for
	case database && n.has("password", "passwd", "pass", "pwd", "url", "uri", "dsn", "string", "credentials", "secret"):
		return spec.KindDatabase
	case n.has("oauth", "oauth2", "oidc", "refresh") || n.has("client") && n.has("secret") || n.has("access") && n.has("token"):
		return spec.KindOAuth
	case n.has("api", "apikey", "token", "pat", "bearer", "license"), strings.HasPrefix(value, "sk-"):
		return spec.KindAPIKey
	default:
		return spec.KindCustom
	}
}
