package tasks

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOpenFindsTheRootFromBelow(t *testing.T) {
	root := t.TempDir()
	writeTree(t, root, map[string]string{
		"go.work":            "go 1.26\nuse (\n\t./b/nested\n\t./a\n)\n",
		"a/go.mod":           "module example.com/a\n",
		"b/nested/go.mod":    "module example.com/b\n",
		"b/nested/deep/x.go": "package deep\n",
	})
	w, err := Open(filepath.Join(root, "b", "nested", "deep"), io.Discard)
	require.NoError(t, err)
	assert.Equal(t, root, w.Root)
	assert.Equal(t, []Module{
		{Folder: "a", Path: "example.com/a"},
		{Folder: "b/nested", Path: "example.com/b"},
	}, w.Modules)
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	t.Run("go.work", func(t *testing.T) {
		_, err := Open(t.TempDir(), io.Discard)
		assert.ErrorContains(t, err, "no go.work in")
	})
	t.Run("a module", func(t *testing.T) {
		root := t.TempDir()
		writeTree(t, root, map[string]string{"go.work": "go 1.26\nuse ./gone\n"})
		_, err := Open(root, io.Discard)
		require.ErrorIs(t, err, os.ErrNotExist)
		assert.ErrorContains(t, err, "./gone")
	})
	t.Run("sense in go.work", func(t *testing.T) {
		root := t.TempDir()
		writeTree(t, root, map[string]string{"go.work": "go ahead\n"})
		_, err := Open(root, io.Discard)
		assert.ErrorContains(t, err, "go.work:1")
	})
}
