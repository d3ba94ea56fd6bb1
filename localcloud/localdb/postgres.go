package localdb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
)

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

	programs programs
	server   server
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
func StartPostgres(ctx context.Context, options Options) (*Postgres, error) {
	programs, err := findPrograms(ctx, options.Progress)
	if err != nil {
		return nil, err
	}
	user, err := serverUser("postgres", "nobody")
	if err != nil {
		return nil, err
	}
	p := &Postgres{
		Host: loopback, AdminUser: adminUser, AdminPassword: rand.Text(),
		programs: programs, server: server{kind: "PostgreSQL", user: user},
	}
	return p.start(ctx, func() error { return p.initialise(ctx, options) })
}

// StartReplica starts a server that follows this one and answers reads, for
// tests. It has the same administrator and authority, and it must be closed
// before this one.
func (p *Postgres) StartReplica(ctx context.Context) (*Postgres, error) {
	replica := &Postgres{
		Host: p.Host, AdminUser: p.AdminUser, AdminPassword: p.AdminPassword, CAFile: p.CAFile,
		programs: p.programs, server: server{kind: p.server.kind, user: p.server.user},
	}
	return replica.start(ctx, func() error { return replica.copyFrom(ctx, p) })
}

// start makes the server's folder, lets fill make its data in it, and starts
// the server on a free port. SIGQUIT makes PostgreSQL end at once, without a
// last checkpoint.
func (p *Postgres) start(ctx context.Context, fill func() error) (_ *Postgres, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, p.server.close())
		}
	}()
	if err := p.server.makeFolder(); err != nil {
		return nil, err
	}
	p.LogFile = p.server.log()
	if err := fill(); err != nil {
		return nil, err
	}
	p.Port, err = p.server.run(ctx, syscall.SIGQUIT, p.ready, p.programs.postgres, func(port string) []string {
		return []string{"-D", p.server.data(), "-p", port}
	})
	return p, err
}

// ready reads the server's own record of its state, the eighth line of
// postmaster.pid, as pg_ctl does.
func (p *Postgres) ready() bool {
	state, _ := os.ReadFile(filepath.Join(p.server.data(), "postmaster.pid"))
	lines := strings.Split(string(state), "\n")
	return len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready"
}

// Close stops the server at once, whoever is connected, and removes all that
// it kept. It may be called more than once.
func (p *Postgres) Close() error { return p.server.close() }

// copyFrom makes the data folder a copy of a running server's, with the
// configuration that makes it follow.
func (p *Postgres) copyFrom(ctx context.Context, primary *Postgres) error {
	source := fmt.Sprintf("host=%s port=%d user=%s", primary.Host, primary.Port, primary.AdminUser)
	if primary.CAFile != "" {
		source += " sslmode=verify-full sslrootcert=" + primary.CAFile
	}
	backup := p.server.command(ctx, p.programs.backup,
		"--pgdata", p.server.data(), "--dbname", source, "--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
	backup.Env = append(backup.Env, "PGPASSWORD="+primary.AdminPassword)
	if output, err := backup.CombinedOutput(); err != nil {
		return fmt.Errorf("copying %s with %s: %w: %s", primary, p.programs.backup, err, tail(output))
	}
	return nil
}

// initialise makes the data of a new server, with its configuration.
func (p *Postgres) initialise(ctx context.Context, options Options) error {
	passwordFile := filepath.Join(p.server.folder, "password")
	if err := p.server.write(passwordFile, []byte(p.AdminPassword)); err != nil {
		return err
	}
	initdb := p.server.command(ctx, p.programs.initdb,
		"--pgdata", p.server.data(), "--username", p.AdminUser, "--pwfile", passwordFile,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C",
		"--wal-segsize", "1", "--no-sync", "--no-instructions")
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("making a PostgreSQL cluster in %s with %s: %w: %s", p.server.data(), p.programs.initdb, err, tail(output))
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
		pair, authority, err := p.server.certify()
		if err != nil {
			return err
		}
		p.CAFile = authority
		files["server.pem"], files["server.key"] = pair.certificate, pair.key
	}
	for name, content := range files {
		if err := p.server.write(filepath.Join(p.server.data(), name), content); err != nil {
			return err
		}
	}
	return appendSettings(filepath.Join(p.server.data(), "postgresql.conf"), settings)
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
