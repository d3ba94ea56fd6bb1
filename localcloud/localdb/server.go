// Package localdb starts private database servers for tests and for the demo:
// on a free port of the loopback interface, in a temporary folder, over TLS
// with a certification authority of their own. Nothing of them outlives the
// program that started them, and any number can run side by side.
package localdb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	loopback  = "127.0.0.1"
	adminUser = "admin"

	// portTries bounds how often another free port is taken, because the one
	// that was free can be taken by somebody else before the server binds it.
	portTries = 5

	// startTimeout bounds the wait for a server that neither comes up nor ends.
	startTimeout = 60 * time.Second
	pollInterval = 20 * time.Millisecond
)

// Options for StartPostgres and StartMariaDB. The zero value is a server that
// takes TLS connections only and installs what it needs in silence.
type Options struct {
	// Progress is told, in one line each, of what takes long: an installation.
	// It's called on the goroutine of the caller. Nil: nobody is told.
	Progress func(line string)

	// Plaintext starts a server without TLS, for tests that prove a client
	// refuses to talk to one.
	Plaintext bool

	// Settings are added to the server's configuration file as they are, for
	// example "log_statement": "all" for PostgreSQL and "general_log": "on" for
	// MariaDB.
	Settings map[string]string
}

// server is what the servers of all kinds have in common.
type server struct {
	kind    string // for messages
	folder  string
	user    *credential
	process *process
}

// makeFolder makes the server's folder, with one for its data and an empty log
// in it. The folder around the data stays readable for everybody, because the
// certificate in it is for clients that may run as other users.
func (s *server) makeFolder() (err error) {
	if s.folder, err = os.MkdirTemp("", "localdb-"+strings.ToLower(s.kind)+"-"); err != nil {
		return fmt.Errorf("making a folder for %s: %w", s.kind, err)
	}
	if err := os.Chmod(s.folder, 0o755); err != nil { //nolint:gosec // as said above
		return fmt.Errorf("opening %s's folder: %w", s.kind, err)
	}
	for _, folder := range []string{s.data(), s.temporary()} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			return fmt.Errorf("making %s's folder %s: %w", s.kind, filepath.Base(folder), err)
		}
	}
	if err := os.WriteFile(s.log(), nil, 0o644); err != nil { //nolint:gosec // tests read it
		return fmt.Errorf("making %s's log: %w", s.kind, err)
	}
	return s.user.own(s.data(), s.temporary(), s.log())
}

func (s *server) data() string      { return filepath.Join(s.folder, "data") }
func (s *server) temporary() string { return filepath.Join(s.folder, "tmp") }
func (s *server) log() string       { return filepath.Join(s.folder, "server.log") }

// write makes a file that nobody but the server may read.
func (s *server) write(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("writing %s's %s: %w", s.kind, filepath.Base(path), err)
	}
	return s.user.own(path)
}

// certify makes the certificate and writes the authority's where clients find
// it, the path that it returns.
func (s *server) certify() (certificate, string, error) {
	pair, err := newCertificate(loopback, "localhost")
	if err != nil {
		return certificate{}, "", err
	}
	authority := filepath.Join(s.folder, "ca.pem")
	if err := os.WriteFile(authority, pair.authority, 0o644); err != nil { //nolint:gosec // clients of any user read it
		return certificate{}, "", fmt.Errorf("writing %s's certification authority: %w", s.kind, err)
	}
	return pair, authority, nil
}

// command is one of the server's programs, run as the server's user.
func (s *server) command(ctx context.Context, path string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, path, arguments...)
	command.Dir = s.folder
	// Clients look for keys and options in the home folder, and servers make
	// files in the temporary one: both may be closed to the server's user.
	command.Env = append(os.Environ(), "LC_ALL=C", "HOME="+s.folder, "TMPDIR="+s.temporary())
	command.SysProcAttr = processAttributes(s.user)
	return command
}

// errPortTaken is the end of a server whose port somebody else has bound.
var errPortTaken = errors.New("the port is taken")

// run starts the server on a free port, which it returns, and waits until
// ready says so. stop is the signal that ends it at once.
func (s *server) run(ctx context.Context, stop syscall.Signal, ready func() bool, program string, arguments func(port string) []string) (int, error) {
	for try := 1; ; try++ {
		port, err := s.runOnce(ctx, stop, ready, program, arguments)
		if !errors.Is(err, errPortTaken) || try == portTries {
			return port, err
		}
	}
}

func (s *server) runOnce(ctx context.Context, stop syscall.Signal, ready func() bool, program string, arguments func(port string) []string) (int, error) {
	port, err := freePort(ctx)
	if err != nil {
		return 0, err
	}
	log, err := os.OpenFile(s.log(), os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0)
	if err != nil {
		return 0, fmt.Errorf("opening %s's log: %w", s.kind, err)
	}
	defer func() { _ = log.Close() }()
	// Not ctx: it bounds the start, and the server goes on.
	command := s.command(context.WithoutCancel(ctx), program, arguments(strconv.Itoa(port))...)
	command.SysProcAttr = endsWithParent(command.SysProcAttr, stop)
	command.Stdout, command.Stderr = log, log
	started, err := startProcess(command, stop)
	if err != nil {
		return 0, fmt.Errorf("starting %s: %w", program, err)
	}
	if err := s.await(ctx, started, ready); err != nil {
		started.stop()
		return 0, err
	}
	s.process = started
	return port, nil
}

// await polls until the server is ready.
func (s *server) await(ctx context.Context, started *process, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for !ready() {
		select {
		case <-ticker.C:
		case <-started.done:
			log, _ := os.ReadFile(s.log())
			if strings.Contains(string(log), "Address already in use") {
				return errPortTaken
			}
			return fmt.Errorf("%s ended while it started: %s", s.kind, tail(log))
		case <-ctx.Done():
			log, _ := os.ReadFile(s.log())
			return fmt.Errorf("waiting for %s to take connections: %w: %s", s.kind, ctx.Err(), tail(log))
		}
	}
	return nil
}

// close stops the server at once and removes all that it kept.
func (s *server) close() error {
	if s.process != nil {
		s.process.stop()
	}
	if err := os.RemoveAll(s.folder); err != nil {
		return fmt.Errorf("removing the folder of %s: %w", s.kind, err)
	}
	return nil
}

func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	return port, listener.Close()
}

// tail is the end of a program's output, enough to tell what went wrong.
func tail(output []byte) string {
	const most = 2000
	text := strings.TrimSpace(string(output))
	if len(text) > most {
		text = "…" + text[len(text)-most:]
	}
	return text
}

// process is a server that this program has started.
type process struct {
	command *exec.Cmd
	signal  syscall.Signal // what makes it end at once
	done    chan struct{}  // closed when it has ended
}

// stopTimeout is how long a server has to end before it's killed.
const stopTimeout = 10 * time.Second

func (p *process) stop() {
	_ = p.command.Process.Signal(p.signal)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.command.Process.Kill()
		<-p.done
	}
}
