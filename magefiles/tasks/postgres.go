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

// installPostgres makes sure that this machine has the programs of a PostgreSQL
// server, which tests start for themselves. Where they are missing it installs
// Debian's package, if it may.
func (w *Workspace) installPostgres(ctx context.Context) error {
	if hasPostgres() {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return errors.New("the tests need the programs of a PostgreSQL server (initdb, postgres), and this machine has none: " +
			"install the package postgresql (Debian, Ubuntu: sudo apt-get install postgresql; macOS: brew install postgresql)")
	}

	step := w.progress.begin("install PostgreSQL from Debian's packages")
	for _, args := range [][]string{
		{"update"},
		{"install", "--yes", "--no-install-recommends", "postgresql"},
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
			return step.end(withOutput(fmt.Errorf("install PostgreSQL: %w", err), printed.String()))
		}
	}
	if !hasPostgres() {
		return step.end(errors.New("install PostgreSQL: apt-get succeeded but there is no initdb, on PATH or in /usr/lib/postgresql/*/bin"))
	}
	return step.end(nil)
}

// hasPostgres looks on PATH and where Debian puts the server's programs, which
// isn't on PATH there.
func hasPostgres() bool {
	if _, err := exec.LookPath("initdb"); err == nil {
		return true
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	return err == nil && len(found) > 0
}
