package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/phase"
)

// stepper is a phase's command line, whose steps find this program in the PATH,
// where the scripts have it.
func stepper(t *testing.T, yes bool) (*change, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	m := &change{
		migration: migration{
			terminal: terminal{in: strings.NewReader(""), out: &out, err: &out, self: func() (string, error) { return exec.LookPath("migrate") }},
			root:     t.TempDir(),
		},
		yes: yes,
	}
	m.open("dev")
	require.NoError(t, os.WriteFile(filepath.Join(m.root, "Pulumi.dev.yaml"), []byte(stackFile), 0o600))
	return m, &out
}

// A step that is a command of this program finds the same files, and is agreed to
// once.
func TestAStepRunsThisProgram(t *testing.T) {
	m, out := stepper(t, true)
	line := m.commandLine(phase.Step{Command: []string{"migrate", "status", "dev", "--folder", m.folder}})
	assert.NotContains(t, line, "--yes", "what changes nothing doesn't ask")
	require.NoError(t, m.run(t.Context(), line))
	assert.Contains(t, out.String(), "There is no plan of dev")

	line = m.commandLine(phase.Step{Command: []string{"migrate", "apply", "dev", "--folder", m.folder}})
	assert.Equal(t, []string{"migrate", "apply", "dev", "--folder", m.folder, "--root", m.root, "--stack-file", m.file, "--config", m.config, "--yes"}, line)
	assert.Error(t, m.run(t.Context(), line), "there is no plan to apply")

	m, _ = stepper(t, false)
	assert.NotContains(t, m.commandLine(phase.Step{Command: []string{"migrate", "apply", "dev"}}), "--yes")
}

// Other commands run where the stacks' files are; their failure ends the phase.
func TestAStepRunsAnotherProgram(t *testing.T) {
	m, out := stepper(t, false)
	line := m.commandLine(phase.Step{Command: []string{"sh", "-c", "pwd; exit $0", "0"}})
	require.NoError(t, m.run(t.Context(), line))
	assert.Contains(t, out.String(), filepath.Base(m.root))
	line[3] = "1"
	assert.Error(t, m.run(t.Context(), line))
}
