package lambda

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	executor "github.com/aistudio/secrets/localcloud/lambda"
)

// maxZip is AWS's limit of a zip in a request, in bytes.
const maxZip = 50 << 20

// packages keeps deployment packages and layers on disk, packed and unpacked,
// each content once.
type packages struct {
	dir string

	mu    sync.Mutex
	sizes map[string]int64 // unpacked, by folder
}

// codePackage is a zip that was taken.
type codePackage struct {
	sha256   [sha256.Size]byte
	size     int64 // packed, in bytes
	unpacked int64
}

func newPackages(dir string) *packages {
	return &packages{dir: filepath.Join(dir, "code"), sizes: map[string]int64{}}
}

// sum is the hash as Lambda shows it.
func (p codePackage) sum() string { return base64.StdEncoding.EncodeToString(p.sha256[:]) }

func (p *packages) folder(sum [sha256.Size]byte) string {
	return filepath.Join(p.dir, hex.EncodeToString(sum[:]))
}

// codeDir is the folder of an unpacked package.
func (p *packages) codeDir(c codePackage) string {
	return filepath.Join(p.folder(c.sha256), "unpacked")
}

func (p *packages) zipPath(c codePackage) string {
	return filepath.Join(p.folder(c.sha256), "package.zip")
}

// add takes a zip.
func (p *packages) add(zip []byte) (codePackage, error) {
	if len(zip) > maxZip {
		return codePackage{}, invalid("Uploaded file must be a zip of at most %d bytes; this one has %d.", maxZip, len(zip))
	}
	c := codePackage{sha256: sha256.Sum256(zip), size: int64(len(zip))}
	size, err := p.unpack(p.folder(c.sha256), zip, zip)
	c.unpacked = size
	return c, err
}

// merge unpacks layers one over the other and returns the folder; "" for none.
func (p *packages) merge(layers []codePackage) (string, error) {
	if len(layers) == 0 {
		return "", nil
	}
	h := sha256.New()
	zips := make([][]byte, len(layers))
	for i, l := range layers {
		h.Write(l.sha256[:])
		var err error
		if zips[i], err = os.ReadFile(p.zipPath(l)); err != nil {
			return "", fmt.Errorf("read a layer: %w", err)
		}
	}
	folder := p.folder([sha256.Size]byte(h.Sum([]byte(nil))))
	_, err := p.unpack(folder, nil, zips...)
	return filepath.Join(folder, "unpacked"), err
}

// unpack makes a folder with the zips' content, and with packed beside it if
// there is one, unless it is there. It appears at once or not at all.
func (p *packages) unpack(folder string, packed []byte, zips ...[]byte) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if size, ok := p.sizes[folder]; ok {
		return size, nil
	}
	if err := os.MkdirAll(p.dir, 0o750); err != nil {
		return 0, fmt.Errorf("keep a deployment package: %w", err)
	}
	temp, err := os.MkdirTemp(p.dir, "new-")
	if err != nil {
		return 0, fmt.Errorf("keep a deployment package: %w", err)
	}
	defer os.RemoveAll(temp)
	size, err := executor.Unpack(filepath.Join(temp, "unpacked"), zips...)
	switch {
	case errors.Is(err, executor.ErrTooBig):
		return 0, invalid("Unzipped size must be smaller than %d bytes", executor.MaxUnpacked)
	case errors.Is(err, executor.ErrBadZip):
		return 0, invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")
	case err != nil:
		return 0, err
	}
	if packed != nil {
		if err := os.WriteFile(filepath.Join(temp, "package.zip"), packed, 0o600); err != nil {
			return 0, fmt.Errorf("keep a deployment package: %w", err)
		}
	}
	if err := os.RemoveAll(folder); err != nil { // of a cloud that had this folder before
		return 0, fmt.Errorf("keep a deployment package: %w", err)
	}
	if err := os.Rename(temp, folder); err != nil {
		return 0, fmt.Errorf("keep a deployment package: %w", err)
	}
	p.sizes[folder] = size
	return size, nil
}
