package localdb

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// programs are the paths of the server's programs, of one version.
type programs struct{ initdb, postgres, backup string }

// folders are where packages put PostgreSQL's programs when they aren't on
// PATH: Debian and its kin, Red Hat's kin, Homebrew.
var folders = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
}

// mariadbPrograms are the paths of MariaDB's.
type mariadbPrograms struct{ server, install string }

// mariadbFolders are where packages put MariaDB's programs when they aren't on
// PATH.
var mariadbFolders = []string{"/usr/sbin", "/usr/bin", "/usr/libexec", "/opt/homebrew/bin", "/usr/local/bin"}

// errNotFound tells whoever can't install what to do.
var errNotFound = errors.New("no PostgreSQL server programs (initdb and postgres) on PATH or in their usual folders: " +
	"install the package postgresql (Debian, Ubuntu), postgresql-server (Fedora) or postgresql (Homebrew)")

var errNoMariaDB = errors.New("no MariaDB server programs (mariadbd and mariadb-install-db) on PATH or in their usual folders: " +
	"install the package mariadb-server (Debian, Ubuntu, Fedora) or mariadb (Homebrew)")

func findPrograms(ctx context.Context, progress func(string)) (programs, error) {
	if found, ok := locate(folders); ok {
		return found, nil
	}
	if err := install(ctx, debianPackage{name: "postgresql", missing: errNotFound, policy: policyFile}, progress); err != nil {
		return programs{}, err
	}
	if found, ok := locate(folders); ok {
		return found, nil
	}
	return programs{}, errNotFound
}

// locate prefers PATH, then the newest version in folders.
func locate(folders []string) (programs, bool) {
	if path, err := exec.LookPath("initdb"); err == nil {
		// What is on PATH is often a link: its target has the whole family.
		if path, err := filepath.EvalSymlinks(path); err == nil {
			if found, ok := programsIn(filepath.Dir(path)); ok {
				return found, true
			}
		}
	}
	for _, pattern := range folders {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			continue // can't happen: the patterns are well-formed
		}
		sort.Slice(matches, func(i, j int) bool { return version(matches[i]) > version(matches[j]) })
		for _, folder := range matches {
			if found, ok := programsIn(folder); ok {
				return found, true
			}
		}
	}
	return programs{}, false
}

// version is the number in a folder's path: 15 of /usr/lib/postgresql/15/bin.
func version(folder string) int {
	number := strings.TrimLeft(filepath.Base(filepath.Dir(folder)), "abcdefghijklmnopqrstuvwxyz@-")
	value, _ := strconv.Atoi(number)
	return value
}

func programsIn(folder string) (programs, bool) {
	found := programs{
		initdb: filepath.Join(folder, "initdb"), postgres: filepath.Join(folder, "postgres"), backup: filepath.Join(folder, "pg_basebackup"),
	}
	for _, path := range []string{found.initdb, found.postgres} {
		if !executable(path) {
			return programs{}, false
		}
	}
	return found, true
}

func findMariaDBPrograms(ctx context.Context, progress func(string)) (mariadbPrograms, error) {
	if found, ok := locateMariaDB(mariadbFolders); ok {
		return found, nil
	}
	if err := install(ctx, debianPackage{name: "mariadb-server", missing: errNoMariaDB, policy: policyFile}, progress); err != nil {
		return mariadbPrograms{}, err
	}
	if found, ok := locateMariaDB(mariadbFolders); ok {
		return found, nil
	}
	return mariadbPrograms{}, errNoMariaDB
}

// locateMariaDB prefers PATH. Unlike PostgreSQL's, a machine has one version.
func locateMariaDB(folders []string) (mariadbPrograms, bool) {
	find := func(name string) string {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		for _, folder := range folders {
			if path := filepath.Join(folder, name); executable(path) {
				return path
			}
		}
		return ""
	}
	found := mariadbPrograms{server: find("mariadbd"), install: find("mariadb-install-db")}
	return found, found.server != "" && found.install != ""
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}
