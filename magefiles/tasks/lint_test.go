package tasks

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLintFindsWhatGofmtWouldChange(t *testing.T) {
	w, _ := openTree(t, map[string]string{
		"go.work":     "go 1.26\nuse ./a\n",
		"a/go.mod":    "module example.com/a\n",
		"a/good.go":   "package a\n\nvar x = 1\n",
		"a/b/wide.go": "package b\n\nvar   x = 1\n",
	})
	err := w.lintFormat()
	require.Error(t, err)
	assert.ErrorContains(t, err, "a/b/wide.go")
	assert.NotContains(t, err.Error(), "good.go")

	writeTree(t, w.Root, map[string]string{"a/b/wide.go": "package b\n"})
	assert.NoError(t, w.lintFormat())
}

// Lint applies the rules of package architecture to the tree.
func TestLintAppliesTheArchitecture(t *testing.T) {
	w, _ := openTree(t, map[string]string{
		"go.work":              "go 1.26\nuse ./sdk\n",
		"sdk/go.mod":           "module github.com/aistudio/secrets/sdk\n",
		"sdk/sdk.go":           "package secrets\n\nfunc init() {}\n",
		"docs/dependencies.md": "# Dependencies\n",
	})
	assert.EqualError(t, w.lintArchitecture(), "sdk/sdk.go:3: an init function: let main, or whoever needs it, call a function with a name")
}

// A database that isn't reached must not read like code without findings, nor
// like code with some.
func TestVulnerabilityDatabaseOutOfReach(t *testing.T) {
	assert.True(t, databaseUnreachable(errors.New("govulncheck: fetching vulnerabilities: Get \"…\": dial tcp: connection refused")))
	assert.False(t, databaseUnreachable(errors.New("Vulnerability #1: GO-2024-0001\nexit status 3")))
}
