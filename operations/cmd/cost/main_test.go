package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/operations/cost"
)

func run(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = execute(&out, &err, args)
	return code, out.String(), err.String()
}

func TestCost(t *testing.T) {
	prod := filepath.Join("..", "..", "..", "Pulumi.prod.yaml")
	text, err := os.ReadFile(prod)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "Pulumi.prod.yaml")
	require.NoError(t, os.WriteFile(file, append(text, "\n  aistudio-secrets:cost:\n    instances: 9\n    otherAlarms: 8\n"...), 0o600))

	code, stdout, stderr := run("--stack", file, "--json", "--other-alarms", "3")
	require.Equal(t, exitDone, code, stderr)
	var e cost.Estimate
	require.NoError(t, json.Unmarshal([]byte(stdout), &e))
	assert.InDelta(t, 9, e.Assumptions["instances"], 0, "of the stack's file")
	assert.InDelta(t, 3, e.Assumptions["otherAlarms"], 0, "a flag comes first")
	assert.InDelta(t, 12, e.Assumptions["restartsPerDay"], 0)

	code, _, stderr = run("--stack", prod, "--limit", "1")
	assert.Equal(t, exitOver, code)
	assert.Contains(t, stderr, "over the limit")
	code, _, _ = run("--stack", prod, "--limit", "1000")
	assert.Equal(t, exitDone, code)
	for name, args := range map[string][]string{
		"no stack": {}, "no such stack": {"--stack", "nowhere.yaml"}, "no number": {"--stack", prod, "--other-alarms", "5 or so"}, "not a number": {"--stack", prod, "--other-alarms", "NaN"},
		"negative": {"--stack", prod, "--other-alarms", "-1"}, "no such flag": {"--stack", prod, "--colour"}, "both": {"--stack", prod, "--json", "--markdown"},
	} {
		code, _, stderr := run(args...)
		assert.Equal(t, exitUsage, code, name)
		assert.NotEmpty(t, stderr, name)
	}
}
