package classify_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aistudio/secrets/migrator/classify"
)

func TestRelated(t *testing.T) {
	for name, test := range map[string]struct {
		settings map[string]string
		want     []classify.Group
	}{
		"a database": {
			map[string]string{"DB_HOST": "db", "DB_PORT": "5432", "DB_USER": "app", "DB_PASSWORD": "x", "DB_NAME": "shop", "DB_POOL_SIZE": "5", "PORT": "80"},
			[]classify.Group{{Prefix: "DB", Kind: "database", Engine: "postgres", Members: map[string]string{
				"host": "DB_HOST", "port": "DB_PORT", "username": "DB_USER", "password": "DB_PASSWORD", "dbname": "DB_NAME",
			}}},
		},
		"libpq's own variables": {
			map[string]string{"PGHOST": "db", "PGUSER": "app", "PGPASSWORD": "x", "PGDATABASE": "shop"},
			[]classify.Group{{Prefix: "PG", Kind: "database", Engine: "postgres", Members: map[string]string{
				"host": "PGHOST", "username": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE",
			}}},
		},
		"two databases": {
			map[string]string{
				"ORDERS_DB_HOST": "a", "ORDERS_DB_USERNAME": "a", "ORDERS_DB_PASS": "a", "ORDERS_DB_ENGINE": "mysql",
				"REPORTS_MARIADB_HOST": "b", "REPORTS_MARIADB_USER": "b", "REPORTS_MARIADB_PASSWORD": "b",
			},
			[]classify.Group{
				{Prefix: "ORDERS_DB", Kind: "database", Engine: "mysql", Members: map[string]string{
					"host": "ORDERS_DB_HOST", "username": "ORDERS_DB_USERNAME", "password": "ORDERS_DB_PASS", "engine": "ORDERS_DB_ENGINE",
				}},
				{Prefix: "REPORTS_MARIADB", Kind: "database", Engine: "mariadb", Members: map[string]string{
					"host": "REPORTS_MARIADB_HOST", "username": "REPORTS_MARIADB_USER", "password": "REPORTS_MARIADB_PASSWORD",
				}},
			},
		},
		"parameters": {
			map[string]string{"/shop/db/host": "db", "/shop/db/username": "app", "/shop/db/password": "x", "/shop/db/dbname": "shop"},
			[]classify.Group{{Prefix: "/shop/db", Kind: "database", Members: map[string]string{
				"host": "/shop/db/host", "username": "/shop/db/username", "password": "/shop/db/password", "dbname": "/shop/db/dbname",
			}}},
		},
		"of two hosts the first": {
			map[string]string{"DB_HOST": "a", "DB_HOSTNAME": "b", "DB_USER": "a", "DB_PASSWORD": "a", "DB_NAME": "a"},
			[]classify.Group{{Prefix: "DB", Kind: "database", Members: map[string]string{
				"host": "DB_HOST", "username": "DB_USER", "password": "DB_PASSWORD", "dbname": "DB_NAME",
			}}},
		},
		"a mail server is no database": {
			map[string]string{"SMTP_HOST": "a", "SMTP_PORT": "587", "SMTP_USER": "a", "SMTP_PASSWORD": "a"}, nil,
		},
		"no password": {map[string]string{"DB_HOST": "a", "DB_USER": "a", "DB_NAME": "a"}, nil},
		"nothing":     {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var settings []classify.Setting
			for name, value := range test.settings {
				settings = append(settings, setting(name, value))
			}
			assert.Equal(t, test.want, classify.Related(settings))
		})
	}
}
