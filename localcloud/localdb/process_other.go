//go:build unix && !linux

package localdb

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// credential is whom a root user's server runs as; nil is the user itself.
type credential struct{}

func serverUser(...string) (*credential, error) {
	if os.Geteuid() == 0 {
		return nil, errors.New("database servers refuse to run as root: run as an ordinary user")
	}
	return nil, nil
}

func (*credential) own(...string) error { return nil }

// processAttributes: a Ctrl-C at the terminal is for the program that started
// the server. Only Linux can end a child together with its parent.
func processAttributes(*credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

func endsWithParent(attributes *syscall.SysProcAttr, _ syscall.Signal) *syscall.SysProcAttr {
	return attributes
}

func startProcess(command *exec.Cmd, stop syscall.Signal) (*process, error) {
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &process{command: command, signal: stop, done: make(chan struct{})}
	go func() {
		_ = command.Wait() // the server's log tells why it ended
		close(p.done)
	}()
	return p, nil
}
