package localdb

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// place puts executable files into a folder.
func place(t *testing.T, folder, script string, names ...string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(folder, 0o755))
	for _, name := range names {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+script), 0o755))
	}
}

func TestLocatePrefersPathThenTheNewest(t *testing.T) {
	root := t.TempDir()
	pattern := []string{filepath.Join(root, "postgresql", "*", "bin")}
	t.Setenv("PATH", filepath.Join(root, "path"))

	_, ok := locate(pattern)
	assert.False(t, ok, "found programs where there are none")

	for _, version := range []string{"9.6", "10", "17", "18"} {
		place(t, filepath.Join(root, "postgresql", version, "bin"), "", "initdb", "postgres")
	}
	require.NoError(t, os.Remove(filepath.Join(root, "postgresql", "18", "bin", "postgres")))
	found, ok := locate(pattern)
	require.True(t, ok)
	assert.Equal(t, filepath.Join(root, "postgresql", "17", "bin", "initdb"), found.initdb, "18 has no server")

	require.NoError(t, os.MkdirAll(filepath.Join(root, "path"), 0o755))
	require.NoError(t, os.Symlink(filepath.Join(root, "postgresql", "10", "bin", "initdb"), filepath.Join(root, "path", "initdb")))
	found, ok = locate(pattern)
	require.True(t, ok)
	assert.Equal(t, filepath.Join(root, "postgresql", "10", "bin", "postgres"), found.postgres)
}

// The package manager is a script here that writes down how it was called: what
// is tested is what this package asks of it.
func TestInstall(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		calls  []string
		err    string
	}{
		"at once": {"exit 0", []string{"install"}, ""},
		"after an update": {
			`case "$*" in *install*) test -e "$0.updated";; *update*) touch "$0.updated";; esac`,
			[]string{"install", "update", "install"}, "",
		},
		"offline": {`echo "no network"; exit 100`, []string{"install", "update"}, "no network"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			policy := filepath.Join(folder, "policy-rc.d")
			place(t, folder, `echo "$@" >> "$0.calls"; "`+policy+`"; test $? = 101 || exit 99`+"\n"+test.script, "apt-get")
			place(t, folder, `shift; exec "$@"`, "sudo") // drops --non-interactive
			t.Setenv("PATH", folder+":/usr/bin:/bin")
			var told []string
			err := install(t.Context(), debianPackage{name: "postgresql", missing: errNotFound, policy: policy}, func(line string) { told = append(told, line) })
			if test.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, errNotFound)
				require.ErrorContains(t, err, test.err)
			}
			written, err := os.ReadFile(filepath.Join(folder, "apt-get.calls"))
			require.NoError(t, err)
			lines := strings.Split(strings.TrimSpace(string(written)), "\n")
			require.Len(t, lines, len(test.calls))
			for i, call := range test.calls {
				assert.Contains(t, lines[i], call)
			}
			assert.NotEmpty(t, told)
			assert.NoFileExists(t, policy, "services can't be started any more")
		})
	}
}

func TestInstallNeedsAPackageManager(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	require.ErrorIs(t, install(t.Context(), debianPackage{name: "mariadb-server", missing: errNoMariaDB}, nil), errNoMariaDB)
}
