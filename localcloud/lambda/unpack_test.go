package lambda_test

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/lambda"
)

type entry struct {
	name, content string
	mode          os.FileMode
}

func archive(t testing.TB, entries ...entry) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		f, err := w.CreateHeader(h)
		require.NoError(t, err)
		_, err = f.Write([]byte(e.content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestUnpack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	size, err := lambda.Unpack(dir,
		archive(t, entry{"bootstrap", "one", 0o755}, entry{"lib/", "", os.ModeDir | 0o755}, entry{"lib/a", "a", 0o644}, entry{"link", "lib/a", os.ModeSymlink | 0o777}),
		archive(t, entry{"lib/a", "other", 0o644}),
	)
	require.NoError(t, err)
	assert.Equal(t, int64(3+1+5), size)
	info, err := os.Stat(filepath.Join(dir, "bootstrap"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), info.Mode().Perm())
	b, err := os.ReadFile(filepath.Join(dir, "link"))
	require.NoError(t, err)
	assert.Equal(t, "other", string(b))
}

func TestUnpackRefuses(t *testing.T) {
	for name, z := range map[string][]byte{
		"no zip":           []byte("hello"),
		"parent":           archive(t, entry{"../x", "x", 0o644}),
		"absolute":         archive(t, entry{"/etc/x", "x", 0o644}),
		"through a link":   archive(t, entry{"out", "../..", os.ModeSymlink | 0o777}, entry{"out/x", "x", 0o644}),
		"a link's own end": archive(t, entry{"out", "/", os.ModeSymlink | 0o777}, entry{"out/x", "x", 0o644}),
		"a pipe":           archive(t, entry{"pipe", "", os.ModeNamedPipe | 0o644}),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := lambda.Unpack(filepath.Join(t.TempDir(), "out"), z)
			assert.ErrorIs(t, err, lambda.ErrBadZip)
		})
	}
}

// Nothing is written outside, whatever the archive says.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, entry{"bootstrap", "x", 0o755}))
	f.Add(archive(f, entry{"out", "..", os.ModeSymlink | 0o777}, entry{"out/x", "x", 0o644}))
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, z []byte) {
		parent := t.TempDir()
		_, _ = lambda.Unpack(filepath.Join(parent, "out"), z)
		entries, err := os.ReadDir(parent)
		require.NoError(t, err)
		for _, e := range entries {
			require.Equal(t, "out", e.Name())
		}
	})
}
