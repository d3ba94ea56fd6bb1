package localdb

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// credential is whom a root user's server runs as; nil is the user itself.
type credential syscall.Credential

// serverUser finds an unprivileged user when this program runs as root.
func serverUser(names ...string) (*credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range names {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("reading the ids of user %q: %w", name, err)
		}
		return &credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("database servers refuse to run as root, and there is no user %s: run as an ordinary user", strings.Join(names, " or "))
}

// own gives files to the server's user.
func (c *credential) own(paths ...string) error {
	if c == nil {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, int(c.Uid), int(c.Gid)); err != nil {
			return fmt.Errorf("giving %s to the database's user: %w", path, err)
		}
	}
	return nil
}

func processAttributes(user *credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Credential: (*syscall.Credential)(user),
		// A Ctrl-C at the terminal is for the program that started the server.
		Setpgid: true,
	}
}

// endsWithParent lets a process get a signal when this program ends.
func endsWithParent(attributes *syscall.SysProcAttr, signal syscall.Signal) *syscall.SysProcAttr {
	attributes.Pdeathsig = signal
	return attributes
}

// startProcess starts a command that ends with this program. Linux sends the
// parent's death signal when the thread that forked ends, not the process: the
// goroutine that starts the command keeps its thread until the command ends.
func startProcess(command *exec.Cmd, stop syscall.Signal) (*process, error) {
	started := make(chan error)
	p := &process{command: command, signal: stop, done: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err != nil {
			return
		}
		_ = command.Wait() // the server's log tells why it ended
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}
