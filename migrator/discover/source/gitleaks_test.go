package source_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/discover/source"
)

// What gitleaks makes of the same tree, without what is left out of it. It
// measures and asserts nothing, so it only runs when GITLEAKS names the program.
func TestGitleaksOnTheTree(t *testing.T) {
	program := os.Getenv("GITLEAKS")
	if program == "" {
		t.Skip("a measurement: set GITLEAKS to the path of gitleaks")
	}
	dir, report := t.TempDir(), filepath.Join(t.TempDir(), "report.json")
	files := tree()
	result := scan(t, files, source.Options{Allow: []string{"allowed/**", "*_test.go"}})
	bad, ours, theirs, wrong := 0, map[string]bool{}, map[string]bool{}, 0
	for _, f := range result.Findings {
		ours[fmt.Sprintf("%s:%d", f.File, f.Line)] = true
	}
	for name, file := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, file.Data, 0o600))
	}
	out, err := exec.CommandContext(t.Context(), program, "dir", dir, "--redact", "--exit-code", "0", "--report-format", "json", "--report-path", report).CombinedOutput()
	require.NoError(t, err, string(out))
	text, err := os.ReadFile(report)
	require.NoError(t, err)
	var findings []struct {
		File      string
		StartLine int
	}
	require.NoError(t, json.Unmarshal(text, &findings))
	for _, f := range findings {
		name, err := filepath.Rel(dir, f.File)
		require.NoError(t, err)
		line := strings.Split(string(files[name].Data), "\n")[f.StartLine-1]
		theirs[fmt.Sprintf("%s:%d", name, f.StartLine)] = true
		if !strings.Contains(line, "bad") {
			wrong++
			t.Logf("gitleaks, wrongly: %s:%d: %s", name, f.StartLine, line)
		}
	}
	foundByThem := 0
	for name, file := range files {
		for i, line := range strings.Split(string(file.Data), "\n") {
			if strings.Contains(line, "bad") {
				bad++
				if theirs[fmt.Sprintf("%s:%d", name, i+1)] {
					foundByThem++
				}
			}
		}
	}
	t.Logf("%d credentials: %d found here, %d by gitleaks, which also names %d lines without one", bad, len(ours), foundByThem, wrong)
}
