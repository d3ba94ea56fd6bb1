package tasks

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServicesAreForbiddenWhileAPackageIsInstalled(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "policy-rc.d")
	release, err := forbidServices(policy)
	require.NoError(t, err)
	var exit *exec.ExitError
	require.ErrorAs(t, exec.Command(policy, "mariadb", "start").Run(), &exit)
	assert.Equal(t, 101, exit.ExitCode())

	// A second installer at the same time leaves the first one's policy.
	second, err := forbidServices(policy)
	require.NoError(t, err)
	require.NoError(t, second())
	require.FileExists(t, policy)
	require.NoError(t, release())
	require.NoFileExists(t, policy)
}

func TestAServerIsFoundOnPathOrInItsFolder(t *testing.T) {
	root := t.TempDir()
	t.Setenv("PATH", filepath.Join(root, "path"))
	server := software{program: "somedb", folders: []string{filepath.Join(root, "somedb", "*", "bin")}}
	assert.False(t, server.present())
	for _, folder := range []string{filepath.Join(root, "path"), filepath.Join(root, "somedb", "15", "bin")} {
		require.NoError(t, os.MkdirAll(folder, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "somedb"), []byte("#!/bin/sh\n"), 0o755))
		assert.True(t, server.present(), folder)
		require.NoError(t, os.RemoveAll(folder))
	}
}
