package tasks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A tool that prints the version it was built with.
var hammer = tool{
	name:            "hammer",
	module:          "example.com/hammer",
	pkg:             "example.com/hammer/cmd/hammer",
	versionVariable: "example.com/hammer/version.Version",
	version:         []string{"version"},
}

var hammerTree = map[string]string{
	"go.work":                                  "go 1.26\n",
	"tools/hammer/go.mod":                      "module example.com/tools/hammer\n\ngo 1.26\n\ntool example.com/hammer/cmd/hammer\n\nrequire example.com/hammer v1.2.3 // indirect\n\nreplace example.com/hammer => ./upstream\n",
	"tools/hammer/go.sum":                      "",
	"tools/hammer/upstream/go.mod":             "module example.com/hammer\n\ngo 1.26\n",
	"tools/hammer/upstream/version/v.go":       "package version\n\nvar Version = \"unset\"\n",
	"tools/hammer/upstream/cmd/hammer/main.go": "package main\n\nimport (\n\t\"fmt\"\n\n\t\"example.com/hammer/version\"\n)\n\nfunc main() { fmt.Println(version.Version) }\n",
}

// A tool is built once, and again when its pin changes or the program is gone.
func TestInstallBuildsOncePerPin(t *testing.T) {
	w, out := openTree(t, hammerTree)
	builds := func() int { return strings.Count(out.String(), "build hammer v1.") / 2 } // begin and end
	install := func() string {
		program, err := w.install(t.Context(), hammer)
		require.NoError(t, err)
		assert.Equal(t, w.path("bin", "hammer"), program)
		printed, err := command{name: program}.output(t.Context())
		require.NoError(t, err)
		return strings.TrimSpace(printed)
	}

	assert.Equal(t, "v1.2.3", install())
	assert.Equal(t, 1, builds())
	assert.Equal(t, "v1.2.3", install())
	assert.Equal(t, 1, builds(), "nothing changed")

	require.NoError(t, os.Remove(w.path("bin", "hammer")))
	assert.Equal(t, "v1.2.3", install())
	assert.Equal(t, 2, builds(), "the program was gone")

	writeTree(t, w.Root, map[string]string{
		"tools/hammer/go.mod": strings.Replace(hammerTree["tools/hammer/go.mod"], "v1.2.3", "v1.3.0", 1),
	})
	assert.Equal(t, "v1.3.0", install())
	assert.Equal(t, 3, builds(), "the pin changed")
}

// A build that fails leaves no stamp, so that the next run tries again.
func TestInstallTriesAgainAfterAFailure(t *testing.T) {
	w, _ := openTree(t, hammerTree)
	writeTree(t, w.Root, map[string]string{"tools/hammer/upstream/version/v.go": "package version\n\nvar Version int = \"\"\n"})
	_, err := w.install(t.Context(), hammer)
	require.ErrorContains(t, err, "install hammer: ")
	assert.ErrorContains(t, err, "cannot use")

	writeTree(t, w.Root, map[string]string{"tools/hammer/upstream/version/v.go": hammerTree["tools/hammer/upstream/version/v.go"]})
	_, err = w.install(t.Context(), hammer)
	require.NoError(t, err)
}

func TestInstallPrefersAGoodProgramOnPath(t *testing.T) {
	tests := map[string]struct {
		script string
		used   bool
	}{
		"the pinned version":    {"echo v1.2.3", true},
		"a newer one":           {"echo v1.10.0", true},
		"an older one":          {"echo v1.2.2", false},
		"another major version": {"echo v2.0.0", false},
		"a development build":   {"echo v1.9.0-dev", false},
		"nonsense":              {"echo hello", false},
		"a broken program":      {"exit 1", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			program := filepath.Join(folder, "hammer")
			require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"+test.script+"\n"), 0o755))
			t.Setenv("PATH", folder+":"+os.Getenv("PATH"))

			found := hammer.onPath(t.Context(), "v1.2.3")
			if test.used {
				assert.Equal(t, program, found)
			} else {
				assert.Empty(t, found)
			}
		})
	}
}

// The tools of this project are pinned, each in a module of its own.
func TestOurToolsArePinned(t *testing.T) {
	w, err := Open(".", &printed{})
	require.NoError(t, err)
	for _, tool := range []tool{pulumi, golangciLint, govulncheck} {
		pin, err := w.pin(tool)
		require.NoError(t, err)
		assert.True(t, goodVersion(pin.version, pin.version), "%s is pinned to %s", tool.name, pin.version)
	}
}

func TestAPinThatIsMissing(t *testing.T) {
	w, _ := openTree(t, map[string]string{
		"go.work":             "go 1.26\n",
		"tools/hammer/go.mod": "module example.com/tools/hammer\n",
		"tools/hammer/go.sum": "",
	})
	_, err := w.install(t.Context(), hammer)
	assert.ErrorContains(t, err, "tools/hammer/go.mod doesn't require example.com/hammer")
}
