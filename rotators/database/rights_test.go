package database

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// PostgreSQL 16 asks for ADMIN OPTION where CREATEROLE was enough before.
func TestWhatAPostgresMasterLacks(t *testing.T) {
	existing := []string{"app", `o"wner`}
	for name, test := range map[string]struct {
		rights  roleRights
		missing []string
	}{
		"a superuser":       {roleRights{User: "m", Version: 170002, Superuser: true}, nil},
		"before 16":         {roleRights{User: "m", Version: 150005, CreateRole: true}, nil},
		"no CREATEROLE":     {roleRights{User: "m", Version: 150005}, []string{`ALTER ROLE "m" CREATEROLE`}},
		"16, its own roles": {roleRights{User: "m", Version: 160000, CreateRole: true, Admin: existing}, nil},
		"16, another's": {
			roleRights{User: "m", Version: 160000, CreateRole: true, Admin: existing[:1]},
			[]string{`GRANT "o""wner" TO "m" WITH ADMIN OPTION`},
		},
		"16, nothing": {
			roleRights{User: "m", Version: 180000},
			[]string{`ALTER ROLE "m" CREATEROLE`, `GRANT "app" TO "m" WITH ADMIN OPTION`, `GRANT "o""wner" TO "m" WITH ADMIN OPTION`},
		},
	} {
		assert.Equal(t, test.missing, test.rights.missing(existing), name)
	}
}

// Whoever may grant on a database, by name or by pattern, may on what is in it.
func TestWhatAMySQLMasterMayGrant(t *testing.T) {
	read := func(rows ...string) grants {
		g := grants{}
		for _, row := range rows {
			g.add(row, "")
		}
		return g
	}
	everything := read("GRANT ALL PRIVILEGES ON *.* TO `m`@`%` WITH GRANT OPTION")
	some := read("GRANT SELECT ON `app\\_db`.* TO `m`@`%` WITH GRANT OPTION", "GRANT INSERT ON `log%`.* TO `m`@`%` WITH GRANT OPTION",
		"GRANT UPDATE ON `other`.* TO `m`@`%`", "GRANT `r`@`%` TO `m`@`%` WITH ADMIN OPTION", "GRANT EXECUTE ON `app_db`.* TO `m`@`%` WITH GRANT OPTION")
	for row, may := range map[string]bool{
		"GRANT SELECT ON `app_db`.* TO `u`@`%`":                   true,
		"GRANT SELECT (`a`) ON `app_db`.`t` TO `u`@`%`":           true,
		"GRANT SELECT ON `appxdb`.`t` TO `u`@`%`":                 false,
		"GRANT INSERT ON `log2`.`t` TO `u`@`%`":                   true,
		"GRANT INSERT ON `app_db`.`t` TO `u`@`%`":                 false,
		"GRANT UPDATE ON `other`.`t` TO `u`@`%`":                  false,
		"GRANT SELECT ON *.* TO `u`@`%`":                          false,
		"GRANT EXECUTE ON PROCEDURE `app_db`.`p` TO `u`@`%`":      true,
		"GRANT `r`@`%` TO `u`@`%`":                                true,
		"GRANT `s`@`%` TO `u`@`%`":                                false,
		"GRANT BACKUP_ADMIN ON *.* TO `u`@`%`":                    false,
		"GRANT SELECT ON `app_db`.* TO `u`@`%` WITH GRANT OPTION": true,
	} {
		for key, list := range read(row) {
			for privilege := range list {
				assert.Equal(t, may, some.mayGrant(key, privilege), row)
				assert.True(t, key.kind == kindRole || everything.mayGrant(key, privilege), row)
			}
		}
	}
}
