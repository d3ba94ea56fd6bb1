package tasks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// software is what tests start for themselves, from the programs on this machine.
type software struct {
	name       string
	program    string   // one of its programs
	folders    []string // where that is besides PATH; may hold wildcards
	debian     string   // the package of Debian and its kin
	homebrew   string
	candidates string // for the message: what is looked for
}

// browser opens the auditor's pages.
var browser = software{name: "Chromium", program: "chromium", debian: "chromium", homebrew: "chromium", candidates: "chromium"}

var databaseServers = []software{
	{
		name: "PostgreSQL", program: "initdb", folders: []string{"/usr/lib/postgresql/*/bin"},
		debian: "postgresql", homebrew: "postgresql", candidates: "initdb, postgres",
	},
	{
		name: "MariaDB", program: "mariadbd", folders: []string{"/usr/sbin"},
		debian: "mariadb-server", homebrew: "mariadb", candidates: "mariadbd, mariadb-install-db",
	},
}

// policyFile is where Debian's packages ask whether they may start services
// (invoke-rc.d(8)), which ends with 101 when they may not.
const policyFile = "/usr/sbin/policy-rc.d"

// installDatabases makes sure that this machine has the programs of the
// database servers. Where they are missing it installs Debian's packages, if it
// may.
func (w *Workspace) installDatabases(ctx context.Context) error {
	var missing []software
	for _, server := range databaseServers {
		if !server.present() {
			missing = append(missing, server)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if !mayInstall() {
		var errs []error
		for _, server := range missing {
			errs = append(errs, fmt.Errorf("the tests need the programs of a %s server (%s), and this machine has none: "+
				"install the package %s (Debian, Ubuntu: sudo apt-get install %[3]s; macOS: brew install %[4]s)",
				server.name, server.candidates, server.debian, server.homebrew))
		}
		return errors.Join(errs...)
	}
	return w.installPackages(ctx, missing)
}

// installBrowser installs the browser if it is missing and may be installed. The
// tests do without: they tell that the pages weren't opened.
func (w *Workspace) installBrowser(ctx context.Context) error {
	if browser.present() || !mayInstall() {
		return nil
	}
	return w.installPackages(ctx, []software{browser})
}

// mayInstall tells whether this machine has Debian's packages and lets us install
// them.
func mayInstall() bool {
	_, err := exec.LookPath("apt-get")
	return err == nil && os.Geteuid() == 0
}

// installPackages installs Debian's packages, and starts no services of theirs.
func (w *Workspace) installPackages(ctx context.Context, missing []software) error {
	release, err := forbidServices(policyFile)
	if err != nil {
		return err
	}
	return errors.Join(w.aptGet(ctx, missing), release())
}

func (w *Workspace) aptGet(ctx context.Context, missing []software) error {
	var names, packages []string
	for _, each := range missing {
		names, packages = append(names, each.name), append(packages, each.debian)
	}
	what := strings.Join(names, " and ")
	step := w.progress.begin("install %s from Debian's packages", what)
	for _, args := range [][]string{
		{"update"},
		append([]string{"install", "--yes", "--no-install-recommends"}, packages...),
	} {
		var printed strings.Builder
		output := &lines{each: func(line string) {
			step.now("%s", line)
			printed.WriteString(line + "\n")
		}}
		install := command{
			dir:    w.Root,
			name:   "apt-get",
			args:   args,
			env:    []string{"DEBIAN_FRONTEND=noninteractive"},
			stdout: output,
			stderr: output,
		}
		if err := install.run(ctx); err != nil {
			return step.end(withOutput(fmt.Errorf("install %s: %w", what, err), printed.String()))
		}
	}
	for _, each := range missing {
		if !each.present() {
			return step.end(fmt.Errorf("install %s: apt-get succeeded but there is no %s, on PATH or in %q",
				each.name, each.program, each.folders))
		}
	}
	return step.end(nil)
}

// present looks on PATH and where Debian puts the programs of servers, which
// isn't always on PATH there.
func (s software) present() bool {
	if _, err := exec.LookPath(s.program); err == nil {
		return true
	}
	for _, folder := range s.folders {
		if found, err := filepath.Glob(filepath.Join(folder, s.program)); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// forbidServices keeps packages from starting a server of the machine's own,
// until release is called. A policy that the machine has already is left alone.
func forbidServices(policy string) (release func() error, err error) {
	file, err := os.OpenFile(policy, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	switch {
	case errors.Is(err, os.ErrExist):
		return func() error { return nil }, nil
	case err != nil:
		return nil, fmt.Errorf("forbid packages to start services: %w", err)
	}
	_, err = file.WriteString("#!/bin/sh\nexit 101\n")
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("forbid packages to start services: %w", err), os.Remove(policy))
	}
	return func() error {
		if err := os.Remove(policy); err != nil {
			return fmt.Errorf("allow packages to start services again: %w", err)
		}
		return nil
	}, nil
}
