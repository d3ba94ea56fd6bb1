package run_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// checkBrowser opens the pages in a real browser without a network: it logs
// nothing to its console, loads nothing, and shows the findings.
func checkBrowser(t *testing.T, dir string) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no Chromium on this machine, so the pages weren't opened; `go tool mage test` installs it where it may")
	}
	for page, want := range map[string]string{"report.html": "acme/prod/app/public", "framework-soc2.html": "CC6.1"} {
		var stdout, stderr strings.Builder
		cmd := exec.CommandContext(t.Context(), browser, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(),
			"--enable-logging=stderr", "--v=0", "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", "file://"+filepath.Join(dir, page))
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		require.NoError(t, cmd.Run(), stderr.String())
		assert.Contains(t, stdout.String(), want, page)
		assert.NotContains(t, stderr.String(), "CONSOLE", page)
		for _, outside := range []string{`src="http`, `href="http`, "url(", "<script"} {
			assert.NotContains(t, stdout.String(), outside, page)
		}
	}
}
