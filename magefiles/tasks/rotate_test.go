package tasks

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The exit status says what came out, so it is mage's too; and the command can
// ask at the terminal that mage has.
func TestRotateAsksAndEndsAsItsCommand(t *testing.T) {
	w, _ := openTree(t, map[string]string{"go.work": "go 1.26\n"})
	answers, tell, err := os.Pipe()
	require.NoError(t, err)
	_, err = tell.WriteString("2\n")
	require.NoError(t, err)
	require.NoError(t, tell.Close())
	stdin := os.Stdin
	os.Stdin = answers
	t.Cleanup(func() { os.Stdin = stdin })

	err = w.rotate(t.Context(), "sh", []string{"-c", "read status; exit $status"})
	var exit *ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 2, exit.ExitStatus())
	require.NoError(t, w.rotate(t.Context(), "sh", []string{"-c", "exit 0"}))
}
