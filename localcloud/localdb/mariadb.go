package localdb

import (
	"bytes"
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

// MariaDB is a running MariaDB server. Its fields don't change; its methods may
// be called from several goroutines.
type MariaDB struct {
	// Host is 127.0.0.1, Port the port on it.
	Host string
	Port int

	// AdminUser may do all, with AdminPassword, from any host.
	AdminUser     string
	AdminPassword string

	// CAFile names the PEM file with the certificate that signed the server's.
	// It's empty when Options.Plaintext was set.
	CAFile string

	// LogFile is the server's log of errors. With the setting "general_log" it
	// writes all statements to GeneralLogFile.
	LogFile        string
	GeneralLogFile string

	programs mariadbPrograms
	server   server
}

// String tells where the server is, without its password.
func (m *MariaDB) String() string {
	return fmt.Sprintf("MariaDB at %s", net.JoinHostPort(m.Host, strconv.Itoa(m.Port)))
}

// GoString is String, so that %#v shows no password either.
func (m *MariaDB) GoString() string { return m.String() }

// StartMariaDB starts a MariaDB server and returns when it takes connections.
// ctx bounds the start alone: the server runs until Close, or until this
// program ends. The server's programs are looked for on PATH and in /usr/sbin
// and /usr/bin; on Debian and its kin the package mariadb-server is installed
// when there are none. A root user's server runs as "mysql" or "nobody".
func StartMariaDB(ctx context.Context, options Options) (_ *MariaDB, err error) {
	programs, err := findMariaDBPrograms(ctx, options.Progress)
	if err != nil {
		return nil, err
	}
	user, err := serverUser("mysql", "nobody")
	if err != nil {
		return nil, err
	}
	m := &MariaDB{
		Host: loopback, AdminUser: adminUser, AdminPassword: rand.Text(),
		programs: programs, server: server{kind: "MariaDB", user: user},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.server.close())
		}
	}()
	if err := m.server.makeFolder(); err != nil {
		return nil, err
	}
	m.LogFile, m.GeneralLogFile = m.server.log(), filepath.Join(m.server.folder, "data", "general.log")
	if err := m.configure(options); err != nil {
		return nil, err
	}
	if err := m.initialise(ctx); err != nil {
		return nil, err
	}
	// The data is thrown away, so the server is killed rather than shut down.
	m.Port, err = m.server.run(ctx, syscall.SIGKILL, m.ready, m.programs.server, func(port string) []string {
		return []string{"--defaults-file=" + m.configuration(), "--port=" + port}
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Close stops the server at once, whoever is connected, and removes all that
// it kept. It may be called more than once.
func (m *MariaDB) Close() error { return m.server.close() }

func (m *MariaDB) configuration() string { return filepath.Join(m.server.folder, "my.cnf") }

func (m *MariaDB) ready() bool {
	log, _ := os.ReadFile(m.LogFile)
	return bytes.Contains(log, []byte("ready for connections"))
}

// configure writes the server's only configuration file.
func (m *MariaDB) configure(options Options) error {
	settings := map[string]string{
		"datadir":           m.server.data(),
		"bind_address":      loopback,
		"socket":            filepath.Join(m.server.data(), "mysqld.sock"),
		"pid_file":          filepath.Join(m.server.data(), "mysqld.pid"),
		"general_log_file":  m.GeneralLogFile,
		"skip_name_resolve": "on",
		// The data is thrown away: nothing has to reach the disk.
		"innodb_flush_log_at_trx_commit": "0",
		"innodb_doublewrite":             "off",
		"innodb_use_native_aio":          "off",
		"innodb_log_file_size":           "4M",
		// Several servers share a machine with the tests.
		"innodb_buffer_pool_size":    "16M",
		"key_buffer_size":            "1M",
		"aria_pagecache_buffer_size": "8M",
		"performance_schema":         "off",
	}
	if !options.Plaintext {
		pair, authority, err := m.server.certify()
		if err != nil {
			return err
		}
		m.CAFile = authority
		settings["require_secure_transport"] = "on"
		settings["ssl_cert"] = filepath.Join(m.server.folder, "server.pem")
		settings["ssl_key"] = filepath.Join(m.server.folder, "server.key")
		if err := errors.Join(
			m.server.write(settings["ssl_cert"], pair.certificate),
			m.server.write(settings["ssl_key"], pair.key),
		); err != nil {
			return err
		}
	}
	for name, value := range options.Settings {
		settings[name] = value
	}
	lines := make([]string, 0, len(settings))
	for name, value := range settings {
		lines = append(lines, name+" = "+value+"\n")
	}
	sort.Strings(lines)
	return m.server.write(m.configuration(), []byte("[mysqld]\n"+strings.Join(lines, "")))
}

// initialise makes the data of a new server, with one user.
func (m *MariaDB) initialise(ctx context.Context) error {
	// The first statement makes users known to a server that is starting up.
	users := filepath.Join(m.server.folder, "users.sql")
	err := m.server.write(users, fmt.Appendf(nil, `FLUSH PRIVILEGES;
CREATE USER '%s'@'%%' IDENTIFIED BY '%s';
GRANT ALL PRIVILEGES ON *.* TO '%[1]s'@'%%' WITH GRANT OPTION;
DELETE FROM mysql.global_priv WHERE user = 'root';
UPDATE mysql.proxies_priv SET user = '%[1]s', host = '%%' WHERE user = 'root' AND host = 'localhost';
DELETE FROM mysql.proxies_priv WHERE user = 'root';
FLUSH PRIVILEGES;
`, m.AdminUser, m.AdminPassword))
	if err != nil {
		return err
	}
	install := m.server.command(ctx, m.programs.install,
		"--defaults-file="+m.configuration(), "--extra-file="+users,
		"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	if output, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("making MariaDB's data in %s with %s: %w: %s", m.server.data(), m.programs.install, err, tail(output))
	}
	if err := os.Remove(users); err != nil {
		return fmt.Errorf("removing MariaDB's first password: %w", err)
	}
	return nil
}
