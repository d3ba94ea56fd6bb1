// Package audittest builds the programs that the auditor's tests run.
package audittest

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

// Build compiles the command in a folder and returns the executable's path.
func Build(t testing.TB, folder string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bootstrap")
	command := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", path, ".")
	command.Dir = folder
	command.Env = append(os.Environ(), "CGO_ENABLED="+cgo())
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
	return path
}

// cgo is the setting with which the packages that a program needs are in the
// build cache: the test's own, or that of mage's builds beside the race detector,
// whose packages no program shares. Anything else compiles the AWS SDK once more,
// which takes a minute or two.
func cgo() string {
	setting := "0"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "-race":
				return "0"
			case "CGO_ENABLED":
				setting = s.Value
			}
		}
	}
	return setting
}

// Zip packs an executable as the code of a function.
func Zip(t testing.TB, path string) []byte {
	t.Helper()
	program, err := os.ReadFile(path)
	require.NoError(t, err)
	var packed bytes.Buffer
	archive := zip.NewWriter(&packed)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Store}
	header.SetMode(0o755)
	file, err := archive.CreateHeader(header)
	require.NoError(t, err)
	_, err = file.Write(program)
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	return packed.Bytes()
}
