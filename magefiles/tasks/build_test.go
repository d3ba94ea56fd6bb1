package tasks

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A small workspace with a Lambda function that uses a neighbour, as ours do.
var lambdaTree = map[string]string{
	"go.work":                              "go 1.26\nuse (\n\t./sdk\n\t./rotators\n)\n",
	"sdk/go.mod":                           "module example.com/sdk\n\ngo 1.26\n",
	"sdk/sdk.go":                           "package sdk\n\nfunc Name() string { return \"sdk\" }\n",
	"rotators/go.mod":                      "module example.com/rotators\n\ngo 1.26\n\nrequire example.com/sdk v0.0.0\n\nreplace example.com/sdk => ../sdk\n",
	"rotators/cmd/rotate-database/main.go": "package main\n\nimport \"example.com/sdk\"\n\nfunc main() { println(sdk.Name()) }\n",
	"sdk/cmd/secrets-extension/main.go":    "package main\n\nfunc main() {}\n",
	"rotators/cmd/localcloud/main.go":      "package main\n\nfunc main() { println(\"here\") }\n",
	"dist/rotate-gone_linux_arm64.zip":     "of a function that is no more",
}

// The same sources give the same bytes in another folder, at another time, and
// whatever the environment of who builds.
func TestBuildIsReproducible(t *testing.T) {
	first, _ := openTree(t, lambdaTree)
	require.NoError(t, first.Build(t.Context()))

	second, _ := openTree(t, lambdaTree)
	t.Setenv("GOAMD64", "v3")
	t.Setenv("GOFLAGS", "-tags=other")
	t.Setenv("GOOS", "darwin")
	require.NoError(t, second.BuildLambdas(t.Context()))

	names := []string{"SHA256SUMS", "rotate-database_linux_amd64.zip", "rotate-database_linux_arm64.zip",
		"secrets-extension-layer_linux_amd64.zip", "secrets-extension-layer_linux_arm64.zip"}
	assert.Equal(t, names, namesIn(t, first.path("dist")), "also: the artifact of a function that is no more is removed")
	for _, name := range names {
		one, err := os.ReadFile(first.path("dist", name))
		require.NoError(t, err)
		other, err := os.ReadFile(second.path("dist", name))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(one, other), "%s differs between two builds of the same sources", name)
		assert.NotContains(t, string(one), first.Root)
	}
}

// What is in an archive is what Lambda's runtime provided.al2023 wants, and what
// it wants of a layer.
func TestBuildMakesWhatLambdaRuns(t *testing.T) {
	w, out := openTree(t, lambdaTree)
	require.NoError(t, w.Build(t.Context()))

	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		for name, entry := range map[string]string{"rotate-database": "bootstrap", "secrets-extension-layer": "extensions/secrets-extension"} {
			archive, err := zip.OpenReader(w.path("dist", name+"_linux_"+arch+".zip"))
			require.NoError(t, err)
			defer archive.Close()
			require.Len(t, archive.File, 1)
			executable := archive.File[0]
			assert.Equal(t, entry, executable.Name)
			assert.Equal(t, os.FileMode(0o755), executable.Mode())

			file, err := executable.Open()
			require.NoError(t, err)
			program, err := io.ReadAll(file)
			require.NoError(t, err)
			binary, err := elf.NewFile(bytes.NewReader(program))
			require.NoError(t, err)
			assert.Equal(t, machine, binary.Machine)
			libraries, err := binary.ImportedLibraries()
			require.NoError(t, err)
			assert.Empty(t, libraries, "linked with nothing of the machine that builds")
		}
	}

	check := command{dir: w.path("dist"), name: "sha256sum", args: []string{"--check", "--strict", "SHA256SUMS"}}
	printed, err := check.output(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "rotate-database_linux_amd64.zip: OK\nrotate-database_linux_arm64.zip: OK\n"+
		"secrets-extension-layer_linux_amd64.zip: OK\nsecrets-extension-layer_linux_arm64.zip: OK\n", printed)

	_, err = command{name: w.path("bin", "localcloud")}.output(t.Context())
	require.NoError(t, err)
	assert.Contains(t, out.String(), "build rotate-database for linux/arm64")
}

func TestBuildRefusesACommandThatNoRowKnows(t *testing.T) {
	w, _ := openTree(t, map[string]string{
		"go.work":               "go 1.26\nuse ./a\n",
		"a/go.mod":              "module example.com/a\n",
		"a/cmd/mystery/main.go": "package main\nfunc main() {}\n",
	})
	err := w.Build(t.Context())
	assert.ErrorContains(t, err, "a/cmd/mystery: build doesn't know what this command is")
}

func TestBuildRefusesTwoCommandsOfOneName(t *testing.T) {
	w, _ := openTree(t, map[string]string{
		"go.work":                  "go 1.26\nuse (\n./a\n./b\n)\n",
		"a/go.mod":                 "module example.com/a\n",
		"b/go.mod":                 "module example.com/b\n",
		"a/cmd/localcloud/main.go": "package main\nfunc main() {}\n",
		"b/cmd/localcloud/main.go": "package main\nfunc main() {}\n",
	})
	err := w.Build(t.Context())
	assert.ErrorContains(t, err, "two commands are named localcloud, in a and b")
}

// The error of a build that fails is the compiler's.
func TestBuildShowsWhatTheCompilerSays(t *testing.T) {
	w, _ := openTree(t, map[string]string{
		"go.work":                  "go 1.26\nuse ./a\n",
		"a/go.mod":                 "module example.com/a\n",
		"a/cmd/localcloud/main.go": "package main\nfunc main() { undefined() }\n",
	})
	err := w.Build(t.Context())
	assert.ErrorContains(t, err, "main.go:2:15: undefined: undefined")
}

func namesIn(t *testing.T, folder string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*"))
	require.NoError(t, err)
	names := make([]string, 0, len(paths))
	for _, path := range paths {
		names = append(names, filepath.Base(path))
	}
	return names
}
