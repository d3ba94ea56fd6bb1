package lambda

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
)

// MaxUnpacked is AWS's limit for a function's unzipped code and layers
// together, in bytes.
const MaxUnpacked = 262144000

// Errors of Unpack for what is wrong with the archive.
var (
	ErrBadZip = errors.New("not a zip file that can be unpacked")
	ErrTooBig = fmt.Errorf("the unzipped size must be smaller than %d bytes", MaxUnpacked)
)

// Unpack unpacks zips, one over the other, into dir, which it makes. On an error
// dir may be half full. Nothing is written outside of dir, whatever the
// archives say. It returns the unzipped size in bytes.
func Unpack(dir string, zips ...[]byte) (size int64, err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return 0, fmt.Errorf("unpack: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, fmt.Errorf("unpack: %w", err)
	}
	defer root.Close()
	for _, z := range zips {
		archive, err := zip.NewReader(bytes.NewReader(z), int64(len(z)))
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrBadZip, err)
		}
		for _, f := range archive.File {
			n, err := unpackFile(root, f, MaxUnpacked-size)
			if err != nil {
				return 0, err
			}
			size += n
		}
	}
	return size, nil
}

func unpackFile(root *os.Root, f *zip.File, limit int64) (int64, error) {
	name := path.Clean(strings.TrimSuffix(f.Name, "/"))
	if !fs.ValidPath(name) {
		return 0, fmt.Errorf("%w: the entry %q leads outside", ErrBadZip, f.Name)
	}
	mode := f.Mode()
	if mode.IsDir() {
		return 0, badEntry(f, root.MkdirAll(name, 0o755))
	}
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return 0, badEntry(f, err)
		}
	}
	// A layer may replace a file, or a link, of one before it.
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, badEntry(f, err)
	}
	r, err := f.Open()
	if err != nil {
		return 0, badEntry(f, err)
	}
	defer r.Close()
	switch {
	case mode.IsRegular():
		return writeFile(root, f, name, io.LimitReader(r, limit+1), limit)
	case mode&fs.ModeSymlink != 0:
		target, err := io.ReadAll(io.LimitReader(r, 4096))
		if err != nil {
			return 0, badEntry(f, err)
		}
		return 0, badEntry(f, root.Symlink(string(target), name))
	default:
		return 0, fmt.Errorf("%w: the entry %q is neither file, folder nor link", ErrBadZip, f.Name)
	}
}

func writeFile(root *os.Root, f *zip.File, name string, r io.Reader, limit int64) (n int64, err error) {
	// A child process that starts now would hold the file open for writing until
	// its exec, and the file couldn't be run (ETXTBSY).
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	w, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.Mode().Perm()|0o400)
	if err != nil {
		return 0, badEntry(f, err)
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	n, err = io.Copy(w, r)
	if err != nil {
		return 0, badEntry(f, err)
	}
	if n > limit {
		return 0, ErrTooBig
	}
	return n, nil
}

func badEntry(f *zip.File, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: the entry %q: %w", ErrBadZip, f.Name, cause(err))
}
