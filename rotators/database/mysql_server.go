package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// mysqlEngine is MySQL, MariaDB, and Aurora's MySQL.
type mysqlEngine struct {
	*network
	log       *slog.Logger
	rds       rdsReader
	nameLimit int
}

// sessionSettings make quoting independent of how the server is configured:
// string literals know no escape but a doubled quote, identifiers are quoted
// with backticks, also in what SHOW answers. Nobody waits long for a lock.
var sessionSettings = map[string]string{
	"sql_mode":              "'NO_BACKSLASH_ESCAPES'",
	"sql_quote_show_create": "1",
	"lock_wait_timeout":     "10",
}

// mysqlConn is a connection with the name of the account that it belongs to.
type mysqlConn struct {
	*sql.Conn
	db      *sql.DB
	version mysqlVersion
	account account
}

// mysqlVersion is what a server says of itself.
type mysqlVersion struct {
	text    string
	mariadb bool
}

// connect logs in with a secret's value. It answers with errors that are
// classified. The secret's database isn't chosen: a new user may have no right
// to it yet.
func (e mysqlEngine) connect(ctx context.Context, d spec.Database) (*mysqlConn, error) {
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", net.JoinHostPort(d.Host, strconv.Itoa(port(d)))
	config.User, config.Passwd = d.Username, d.Password.RevealString()
	config.DialFunc = e.dialer()
	config.Timeout = e.timeout
	config.Params = sessionSettings
	config.Logger = &mysql.NopLogger{}
	if !plaintext(d) {
		config.TLS = e.tls(d.Host)
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("preparing a connection: %w", err)
	}
	db := sql.OpenDB(connector)
	c := &mysqlConn{db: db}
	start, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	c.Conn, err = db.Conn(start)
	if errors.Is(err, mysql.ErrMalformPkt) {
		// The driver takes a last byte of 0 off the server's challenge, and then
		// refuses ed25519's as too short: one login in 256. The next has another.
		c.Conn, err = db.Conn(start)
	}
	if err == nil {
		err = c.identify(start, d.Username)
	}
	if err != nil {
		c.close()
		return nil, classify(err)
	}
	return c, nil
}

// identify sees that the session is the user's. A server without its table of
// users asks for no password, and one with an anonymous user takes its for
// anybody's: neither proves anything.
func (c *mysqlConn) identify(ctx context.Context, user string) error {
	var current string
	if err := c.QueryRowContext(ctx, "SELECT version(), current_user()").Scan(&c.version.text, &current); err != nil {
		return err
	}
	c.version.mariadb = strings.Contains(c.version.text, "MariaDB")
	at := strings.LastIndex(current, "@")
	if at < 0 || current[:at] != user {
		return fmt.Errorf("the server takes user %q for %q: it must ask for the user's own password (%w)", user, current, rotation.ErrDefinite)
	}
	c.account = account{user: user, host: current[at+1:]}
	if !c.version.mariadb {
		// Hashes hold bytes that no text can; MySQL prints them in hex if asked.
		_, err := c.ExecContext(ctx, "SET SESSION print_identified_with_as_hex = ON")
		return err
	}
	return nil
}

func (c *mysqlConn) close() {
	if c.Conn != nil {
		_ = c.Conn.Close() // nothing more is wanted of it
	}
	_ = c.db.Close()
}

func (e mysqlEngine) login(ctx context.Context, d spec.Database) error {
	conn, err := e.connect(ctx, d)
	if err != nil {
		return err
	}
	conn.close()
	return nil
}

// verify is a login: rights don't depend on how a session began.
func (e mysqlEngine) verify(ctx context.Context, d spec.Database, _ bool) error {
	return e.login(ctx, d)
}

// follows is asked of RDS, as AWS's own functions do: a user who isn't an
// administrator can't ask the servers.
func (e mysqlEngine) follows(ctx context.Context, replica, primary spec.Database) (bool, error) {
	return replicaOf(ctx, e.rds, replica.Host, primary.Host)
}

// The longest user names, in characters (MySQL reference manual, "Account user
// names and passwords"; MariaDB, "Identifier names").
func mysqlNameLimit(engine string) int {
	if engine == spec.EngineMariaDB {
		return 80
	}
	return 32
}

// checkName knows what a server's table of users can hold. It is in utf8mb3, and
// drops spaces at the end.
func (e mysqlEngine) checkName(name string) error {
	runes := []rune(name)
	switch {
	case len(runes) > e.nameLimit:
		return fmt.Errorf("too long: with %s a name has at most %d characters", cloneSuffix, e.nameLimit)
	case strings.HasSuffix(name, " "):
		return errors.New("the server drops the space at the end of a name")
	}
	for _, r := range runes {
		if r == 0 {
			return errors.New("a name can't hold a zero byte")
		}
		if r > '\uffff' {
			return fmt.Errorf("the server can't store %q in a name", r)
		}
	}
	return nil
}

// Errors of MySQL's reference ("Server error message reference"); MariaDB's are
// the same.
const (
	numberAccessDenied    = 1045
	numberNoPassword      = 1698
	numberPolicy          = 1819 // the password doesn't satisfy the policy
	numberPrevented       = 1290 // an option of the server prevents the statement
	numberOwnPasswordOnly = 1142
	numberMissingCurrent  = 3892 // the current password must be given
)

func errorNumber(err error) uint16 {
	var server *mysql.MySQLError
	if errors.As(err, &server) {
		if server.Number == numberNoPassword {
			return numberAccessDenied
		}
		return server.Number
	}
	return 0
}

// definiteMySQL tells whether an answer is of the classes of authorization and
// of statements that are wrong or forbidden, or one of those without a class.
func definiteMySQL(err error) bool {
	var server *mysql.MySQLError
	if !errors.As(err, &server) {
		for _, fixed := range []error{mysql.ErrCleartextPassword, mysql.ErrNativePassword, mysql.ErrOldPassword, mysql.ErrUnknownPlugin, mysql.ErrOldProtocol} {
			if errors.Is(err, fixed) {
				return true
			}
		}
		return false
	}
	switch string(server.SQLState[:2]) {
	case "28", "42":
		return true
	}
	switch server.Number {
	case numberNoPassword, numberPolicy, numberPrevented,
		1396,       // the account can't be changed
		1524,       // the plugin isn't loaded
		1820, 1862, // the password has expired
		3118, 3955, 4151, // the account is locked
		numberMissingCurrent:
		return true
	}
	return false
}
