package run_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// passing is what differs from run to run: random ends of ARNs, ids that are
// made of them, keys and versions, and the hours that a slow machine moves.
var passing = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`(:secret:[A-Za-z0-9/_+=.@-]+)-[A-Za-z0-9]{6}\b`), "$1-AbCdEf"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "00000000-0000-0000-0000-000000000000"},
	{regexp.MustCompile(`\b[0-9a-f]{16}\b`), "0123456789abcdef"},
	{regexp.MustCompile(`T\d{2}:?\d{2}:?\d{2}(\.\d+)?Z`), "T00:00:00Z"},
	{regexp.MustCompile(`\d{2}:\d{2} UTC`), "00:00 UTC"},
	{regexp.MustCompile(`(\d{4}-\d{2}-\d{2}) \d{2}:\d{2}\b`), "$1 00:00"},
	{regexp.MustCompile(`("[a-z_]*time": ?)\d{13}`), "${1}0"},
}

// checkGolden compares the reports with the files in testdata/golden.
func checkGolden(t *testing.T, dir string) {
	for _, name := range []string{"report.html", "framework-soc2.html", "report.json", "findings.csv", "findings.asff.json", "findings.ocsf.jsonl"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		for _, p := range passing {
			text = p.pattern.ReplaceAll(text, []byte(p.with))
		}
		golden := filepath.Join("testdata", "golden", name)
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o755))
			require.NoError(t, os.WriteFile(golden, text, 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(text), "%s; when the change is wanted: go test ./run -run Planted -update", name)
	}
}
