package localdb

import (
	"context"
	"errors"
	"fmt"
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

// errNotFound tells whoever can't install what to do.
var errNotFound = errors.New("no PostgreSQL server programs (initdb and postgres) on PATH or in their usual folders: " +
	"install the package postgresql (Debian, Ubuntu), postgresql-server (Fedora) or postgresql (Homebrew)")

func findPrograms(ctx context.Context, progress func(string)) (programs, error) {
	if found, ok := locate(folders); ok {
		return found, nil
	}
	if err := install(ctx, progress); err != nil {
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
		if info, err := os.Stat(path); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return programs{}, false
		}
	}
	return found, true
}

// install adds Debian's package. It needs root, or a sudo that asks nothing.
func install(ctx context.Context, progress func(string)) error {
	aptGet, err := exec.LookPath("apt-get")
	if err != nil {
		return errNotFound
	}
	prefix := []string{"env"}
	if os.Geteuid() != 0 {
		sudo, err := exec.LookPath("sudo")
		if err != nil || exec.CommandContext(ctx, sudo, "--non-interactive", "true").Run() != nil {
			return errNotFound
		}
		prefix = []string{sudo, "--non-interactive", "env"}
	}
	prefix = append(prefix, "DEBIAN_FRONTEND=noninteractive", aptGet, "-o", "DPkg::Lock::Timeout=300")
	run := func(arguments ...string) error {
		line := append(append([]string{}, prefix...), arguments...)
		output, err := exec.CommandContext(ctx, line[0], line[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("running %s: %w: %s", strings.Join(line, " "), err, tail(output))
		}
		return nil
	}
	report := func(line string) {
		if progress != nil {
			progress(line)
		}
	}
	installPackage := []string{"install", "--yes", "--no-install-recommends", "postgresql"}
	report("no PostgreSQL on this machine: installing the package postgresql")
	if err := run(installPackage...); err == nil {
		return nil
	}
	report("the package lists are old: updating them, then installing postgresql")
	if err := run("update"); err != nil {
		return errors.Join(errNotFound, err)
	}
	if err := run(installPackage...); err != nil {
		return errors.Join(errNotFound, err)
	}
	return nil
}
