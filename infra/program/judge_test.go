package program_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// judgeAgain has another implementation of IAM's evaluation decide the same, from
// the same policies: @cloud-copilot/iam-simulate, which npm installs into a
// temporary folder. Its data is AWS's Service Authorization Reference, with which
// it also checks every policy and testdata/actions.txt.
func judgeAgain(t *testing.T, identities map[string]identity, questions []question) {
	folder := installJudge(t)
	asked, err := json.Marshal(map[string]any{"account": accountID, "identities": identities, "questions": questions, "actions": actionTable(t)})
	require.NoError(t, err)
	judge := exec.CommandContext(t.Context(), "node", "judge.mjs")
	judge.Dir, judge.Stdin = folder, bytes.NewReader(asked)
	var complaints bytes.Buffer
	judge.Stderr = &complaints
	text, err := judge.Output()
	require.NoError(t, err, complaints.String())
	var answer struct {
		Allowed []bool
		Wrong   []string // about policies and the table of actions
	}
	require.NoError(t, json.Unmarshal(text, &answer))
	assert.Empty(t, answer.Wrong)
	require.Len(t, answer.Allowed, len(questions))
	both := map[bool]int{}
	for i, question := range questions {
		assert.Equal(t, question.Allowed, answer.Allowed[i], "%s: %s %s: the emulator's answer, and the other's", question.Principal, question.Attempt, question.Secret)
		both[question.Allowed]++
	}
	t.Logf("%d cells: both allow %d and deny %d", len(questions), both[true], both[false])
}

// installJudge returns a folder with the judge, or skips where there is no npm or
// no registry.
func installJudge(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s isn't on this machine: the emulator alone has judged the matrix", program)
		}
	}
	folder := t.TempDir()
	for _, name := range []string{"package.json", "judge.mjs"} {
		text, err := os.ReadFile(filepath.Join("testdata", "judge", name))
		require.NoError(t, err)
		writeFile(t, filepath.Join(folder, name), text)
	}
	install := exec.CommandContext(t.Context(), "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--fetch-retries=1")
	install.Dir = folder
	if output, err := install.CombinedOutput(); err != nil {
		t.Skipf("npm can't install the judge, so the emulator alone has judged the matrix: %v: %s", err, output)
	}
	return folder
}

// actionTable is testdata/actions.txt for the judge.
func actionTable(t *testing.T) map[string]map[string]any {
	t.Helper()
	table := map[string]map[string]any{}
	for action, about := range readActions(t) {
		keys := about.keys
		if keys == nil {
			keys = []string{}
		}
		table[action] = map[string]any{"onResources": about.onResources, "keys": keys}
	}
	return table
}
