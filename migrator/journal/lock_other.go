//go:build !unix

package journal

import (
	"errors"
	"os"
)

// takeLock refuses: without a lock that ends with its process, two migrations
// could run at once.
func takeLock(string) (*os.File, error) {
	return nil, errors.New("lock the migration's folder: this operating system isn't supported: use Linux or macOS")
}
