package tasks

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// writeTree writes files, by their names relative to the root, into a folder of
// the test.
func writeTree(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		full := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		require.NoError(t, os.WriteFile(full, []byte(content), 0o644))
	}
}

// openTree opens a workspace made of the files, and returns it with what its
// tasks print.
func openTree(t *testing.T, files map[string]string) (*Workspace, *printed) {
	t.Helper()
	root := t.TempDir()
	writeTree(t, root, files)
	out := &printed{}
	w, err := Open(root, out)
	require.NoError(t, err)
	return w, out
}

// printed collects what a task prints.
type printed struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *printed) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(data)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}
