//go:build unix

package journal

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// takeLock locks the file until it is closed, or the process ends however it
// does.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the migration's folder: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, errors.Join(ErrLocked, f.Close())
	default:
		return nil, errors.Join(fmt.Errorf("lock the migration's folder: %w", err), f.Close())
	}
}
