package classify_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the default rules of gitleaks make of the same settings, each in a file
// of its own as NAME=value. It measures and asserts nothing, so it only runs
// when GITLEAKS names the program; testdata/README.md has the numbers.
func TestGitleaksOnTheCorpora(t *testing.T) {
	program := os.Getenv("GITLEAKS")
	if program == "" {
		t.Skip("a measurement: set GITLEAKS to the path of gitleaks")
	}
	for _, path := range []string{"testdata/corpus.tsv", "testdata/heldout.tsv", "testdata/heldout2.tsv", "testdata/projects.tsv"} {
		corpus := readCorpus(t, path)
		found := gitleaks(t, program, corpus)
		var hits, missed, wrong int
		for _, e := range corpus {
			switch {
			case e.secret && found[e.line]:
				hits++
			case e.secret:
				missed++
			case found[e.line]:
				wrong++
			}
		}
		t.Logf("%s: recall %.3f, precision %.3f", path, float64(hits)/float64(hits+missed), float64(hits)/float64(hits+wrong))
	}
}

// gitleaks returns the lines of the corpus that it finds a secret in.
func gitleaks(t *testing.T, program string, corpus []example) map[int]bool {
	t.Helper()
	dir, report := t.TempDir(), filepath.Join(t.TempDir(), "report.json")
	file := func(line int) string { return filepath.Join(dir, fmt.Sprintf("%d.env", line)) }
	for _, e := range corpus {
		require.NoError(t, os.WriteFile(file(e.line), []byte(e.setting.Name+"="+e.setting.Value.RevealString()+"\n"), 0o600))
	}
	out, err := exec.CommandContext(t.Context(), program, "dir", dir, "--redact", "--exit-code", "0", "--report-format", "json", "--report-path", report).CombinedOutput()
	require.NoError(t, err, string(out))
	text, err := os.ReadFile(report)
	require.NoError(t, err)
	var findings []struct{ File string }
	require.NoError(t, json.Unmarshal(text, &findings))
	found := map[int]bool{}
	for _, e := range corpus {
		for _, f := range findings {
			found[e.line] = found[e.line] || filepath.Base(f.File) == filepath.Base(file(e.line))
		}
	}
	return found
}
