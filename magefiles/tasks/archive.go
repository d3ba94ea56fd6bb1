package tasks

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// archiveTime is when every file in an archive was last changed, as far as the
// archive says: the first moment that the zip format can tell. A true time
// would make two archives of the same files differ.
var archiveTime = time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)

// zipExecutable returns a zip archive that holds program under the name entry,
// executable by everyone. The same program gives the same bytes.
func zipExecutable(entry string, program []byte) ([]byte, error) {
	var archive bytes.Buffer
	writer := zip.NewWriter(&archive)
	header := &zip.FileHeader{Name: entry, Method: zip.Deflate, Modified: archiveTime}
	header.SetMode(0o755)
	file, err := writer.CreateHeader(header)
	if err != nil {
		return nil, fmt.Errorf("zip %s: %w", entry, err)
	}
	if _, err := file.Write(program); err != nil {
		return nil, fmt.Errorf("zip %s: %w", entry, err)
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("zip %s: %w", entry, err)
	}
	return archive.Bytes(), nil
}

// checksums returns the SHA-256 of each named file of a folder in the format of
// sha256sum, sorted by name, so that `sha256sum -c` in that folder checks them.
func checksums(folder string, names []string) (string, error) {
	names = slices.Sorted(slices.Values(names))
	var sums strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return "", fmt.Errorf("checksum of %s: %w", name, err)
		}
		sum := sha256.Sum256(data)
		fmt.Fprintf(&sums, "%s  %s\n", hex.EncodeToString(sum[:]), name)
	}
	return sums.String(), nil
}

// replaceFile writes a file so that a reader sees the old one or the new one,
// never a half, also when this process is killed in the middle.
func replaceFile(name string, data []byte, mode os.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(data)
	if err == nil {
		err = temporary.Chmod(mode)
	}
	if closeErr := temporary.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temporary.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
