// Package localdb starts private database servers for tests and for the demo:
// on a free port of the loopback interface, in a temporary folder, over TLS
// with a certification authority of their own. Nothing of them outlives the
// program that started them, and any number can run side by side.
package localdb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
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

// Options for StartPostgres. The zero value is a server that takes TLS
// connections only and installs what it needs in silence.
type Options struct {
	// Progress is told, in one line each, of what takes long: an installation.
	// It's called on the goroutine of the caller. Nil: nobody is told.
	Progress func(line string)
	// Plaintext starts a server without TLS, for tests that prove a client
	// refuses to talk to one.
	Plaintext bool
	// Settings are added to postgresql.conf as they are, for example
	// "log_statement": "all".
	Settings map[string]string
}

// Postgres is a running PostgreSQL server. Its fields don't change; its
// methods may be called from several goroutines.
type Postgres struct {
	// Host is 127.0.0.1, Port the port on it.
	Host string
	Port int
	// AdminUser is a superuser who may log in to the database "postgres" with
	// AdminPassword.
	AdminUser     string
	AdminPassword string
	// CAFile names the PEM file with the certificate that signed the server's.
	// It's empty when Options.Plaintext was set.
	CAFile string
	// LogFile is the server's log.
	LogFile string

	folder   string
	programs programs
	user     *credential
	server   *process
}

// String tells where the server is, without its password.
func (p *Postgres) String() string {
	return fmt.Sprintf("PostgreSQL at %s", net.JoinHostPort(p.Host, strconv.Itoa(p.Port)))
}

// GoString is String, so that %#v shows no password either.
func (p *Postgres) GoString() string { return p.String() }

// StartPostgres starts a PostgreSQL server and returns when it takes
// connections. ctx bounds the start alone: the server runs until Close, or
// until this program ends. The server's programs are looked for on PATH and
// where Linux distributions and Homebrew put them; on Debian and its kin the
// package postgresql is installed when there are none. A root user's server
// runs as "postgres" or "nobody", because PostgreSQL refuses to run as root.
func StartPostgres(ctx context.Context, options Options) (_ *Postgres, err error) {
	programs, err := findPrograms(ctx, options.Progress)
	if err != nil {
		return nil, err
	}
	user, err := serverUser()
	if err != nil {
		return nil, err
	}
	p := &Postgres{Host: loopback, AdminUser: adminUser, AdminPassword: rand.Text(), programs: programs, user: user}
	return p.start(ctx, func() error { return p.initialise(ctx, options) })
}

// StartReplica starts a server that follows this one and answers reads, for
// tests. It has the same administrator and authority, and it must be closed
// before this one.
func (p *Postgres) StartReplica(ctx context.Context) (*Postgres, error) {
	replica := &Postgres{
		Host: p.Host, AdminUser: p.AdminUser, AdminPassword: p.AdminPassword, CAFile: p.CAFile,
		programs: p.programs, user: p.user,
	}
	return replica.start(ctx, func() error { return replica.copyFrom(ctx, p) })
}

// start makes the server's folder, lets fill make its data in it, and starts
// the server on a free port.
func (p *Postgres) start(ctx context.Context, fill func() error) (_ *Postgres, err error) {
	p.folder, err = os.MkdirTemp("", "localdb-postgres-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for PostgreSQL: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(p.folder))
		}
	}()
	if err := p.makeFolder(); err != nil {
		return nil, err
	}
	if err := fill(); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		err := p.run(ctx)
		if err == nil {
			return p, nil
		}
		if !errors.Is(err, errPortTaken) || try == portTries {
			return nil, err
		}
	}
}

// Close stops the server at once, whoever is connected, and removes all that
// it kept. It may be called more than once.
func (p *Postgres) Close() error {
	p.server.stop()
	if err := os.RemoveAll(p.folder); err != nil {
		return fmt.Errorf("removing the folder of %s: %w", p, err)
	}
	return nil
}

func (p *Postgres) data() string { return filepath.Join(p.folder, "data") }

// makeFolder makes the folders and the log. The folder around the data stays
// readable for everybody, because the certificate in it is for clients that may
// run as other users.
func (p *Postgres) makeFolder() error {
	if err := os.Chmod(p.folder, 0o755); err != nil { //nolint:gosec // as said above
		return fmt.Errorf("opening PostgreSQL's folder: %w", err)
	}
	if err := os.Mkdir(p.data(), 0o700); err != nil {
		return fmt.Errorf("making PostgreSQL's data folder: %w", err)
	}
	p.LogFile = filepath.Join(p.folder, "server.log")
	if err := os.WriteFile(p.LogFile, nil, 0o644); err != nil { //nolint:gosec // tests read it
		return fmt.Errorf("making PostgreSQL's log: %w", err)
	}
	return p.user.own(p.data(), p.LogFile)
}

// command is one of the server's programs, run as the server's user.
func (p *Postgres) command(ctx context.Context, path string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, path, arguments...)
	command.Dir = p.folder
	// libpq looks for keys in the home folder, which is another user's.
	command.Env = append(os.Environ(), "LC_ALL=C", "HOME="+p.folder)
	command.SysProcAttr = processAttributes(p.user)
	return command
}

// copyFrom makes the data folder a copy of a running server's, with the
// configuration that makes it follow.
func (p *Postgres) copyFrom(ctx context.Context, primary *Postgres) error {
	source := fmt.Sprintf("host=%s port=%d user=%s", primary.Host, primary.Port, primary.AdminUser)
	if primary.CAFile != "" {
		source += " sslmode=verify-full sslrootcert=" + primary.CAFile
	}
	backup := p.command(ctx, p.programs.backup,
		"--pgdata", p.data(), "--dbname", source, "--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
	backup.Env = append(backup.Env, "PGPASSWORD="+primary.AdminPassword)
	if output, err := backup.CombinedOutput(); err != nil {
		return fmt.Errorf("copying %s with %s: %w: %s", primary, p.programs.backup, err, tail(output))
	}
	return nil
}

// initialise makes the data of a new server, with its configuration.
func (p *Postgres) initialise(ctx context.Context, options Options) error {
	passwordFile := filepath.Join(p.folder, "password")
	if err := os.WriteFile(passwordFile, []byte(p.AdminPassword), 0o600); err != nil {
		return fmt.Errorf("writing PostgreSQL's first password: %w", err)
	}
	if err := p.user.own(passwordFile); err != nil {
		return err
	}
	initdb := p.command(ctx, p.programs.initdb,
		"--pgdata", p.data(), "--username", p.AdminUser, "--pwfile", passwordFile,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C",
		"--wal-segsize", "1", "--no-sync", "--no-instructions")
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("making a PostgreSQL cluster in %s with %s: %w: %s", p.data(), p.programs.initdb, err, tail(output))
	}
	if err := os.Remove(passwordFile); err != nil {
		return fmt.Errorf("removing PostgreSQL's first password: %w", err)
	}

	access, tls := "hostssl", "on"
	if options.Plaintext {
		access, tls = "host", "off"
	}
	rules := fmt.Sprintf("%[1]s all all %[2]s/32 scram-sha-256\n%[1]s replication all %[2]s/32 scram-sha-256\n", access, loopback) //nolint:dupword // columns
	settings := map[string]string{
		"listen_addresses":        loopback,
		"unix_socket_directories": "",
		"password_encryption":     "scram-sha-256",
		"ssl":                     tls,
		"ssl_cert_file":           "server.pem",
		"ssl_key_file":            "server.key",
		"lc_messages":             "C",
		// The data is thrown away: nothing has to reach the disk.
		"fsync":              "off",
		"synchronous_commit": "off",
		"full_page_writes":   "off",
		// Several servers share a machine with the tests.
		"shared_buffers": "16MB",
	}
	for name, value := range options.Settings {
		settings[name] = value
	}
	files := map[string][]byte{"pg_hba.conf": []byte(rules)}
	if !options.Plaintext {
		pair, err := newCertificate(loopback, "localhost")
		if err != nil {
			return err
		}
		p.CAFile = filepath.Join(p.folder, "ca.pem")
		if err := os.WriteFile(p.CAFile, pair.authority, 0o644); err != nil { //nolint:gosec // clients of any user read it
			return fmt.Errorf("writing PostgreSQL's certification authority: %w", err)
		}
		files["server.pem"], files["server.key"] = pair.certificate, pair.key
	}
	for name, content := range files {
		path := filepath.Join(p.data(), name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return fmt.Errorf("writing PostgreSQL's %s: %w", name, err)
		}
		if err := p.user.own(path); err != nil {
			return err
		}
	}
	return appendSettings(filepath.Join(p.data(), "postgresql.conf"), settings)
}

func appendSettings(path string, settings map[string]string) error {
	lines := make([]string, 0, len(settings))
	for name, value := range settings {
		lines = append(lines, fmt.Sprintf("%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''")))
	}
	sort.Strings(lines)
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("opening PostgreSQL's configuration: %w", err)
	}
	_, err = file.WriteString("\n" + strings.Join(lines, ""))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing PostgreSQL's configuration: %w", err)
	}
	return nil
}

// errPortTaken is the end of a server whose port somebody else has bound.
var errPortTaken = errors.New("the port is taken")

// run starts the server on a free port and waits until it's ready.
func (p *Postgres) run(ctx context.Context) error {
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(p.LogFile, os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("opening PostgreSQL's log: %w", err)
	}
	defer func() { _ = log.Close() }()

	// Not ctx: it bounds the start, and the server goes on.
	command := p.command(context.WithoutCancel(ctx), p.programs.postgres, "-D", p.data(), "-p", strconv.Itoa(port))
	command.Stdout, command.Stderr = log, log
	server, err := startProcess(command)
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.programs.postgres, err)
	}
	if err := p.await(ctx, server); err != nil {
		server.stop()
		return err
	}
	p.Port, p.server = port, server
	return nil
}

// await polls the server's own record of its state, the eighth line of
// postmaster.pid, as pg_ctl does.
func (p *Postgres) await(ctx context.Context, server *process) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		state, _ := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
		lines := strings.Split(string(state), "\n")
		if len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready" {
			return nil
		}
		select {
		case <-ticker.C:
		case <-server.done:
			log, _ := os.ReadFile(p.LogFile)
			if strings.Contains(string(log), "Address already in use") {
				return errPortTaken
			}
			return fmt.Errorf("PostgreSQL ended while it started: %s", tail(log))
		case <-ctx.Done():
			log, _ := os.ReadFile(p.LogFile)
			return fmt.Errorf("waiting for PostgreSQL to take connections: %w: %s", ctx.Err(), tail(log))
		}
	}
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
	done    chan struct{} // closed when the server has ended
}

// stopSignal makes PostgreSQL end at once, without a last checkpoint.
const stopSignal = syscall.SIGQUIT

// stopTimeout is how long a server has to end before it's killed.
const stopTimeout = 10 * time.Second

func (p *process) stop() {
	_ = p.command.Process.Signal(stopSignal)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.command.Process.Kill()
		<-p.done
	}
}
