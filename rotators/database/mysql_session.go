package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// mysqlSession changes accounts as the user of a connection.
type mysqlSession struct {
	*mysqlConn
	log *slog.Logger
}

// strings runs a query whose rows have one column that is a text.
func (s mysqlSession) strings(ctx context.Context, query string, arguments ...any) ([]string, error) {
	rows, err := s.QueryContext(ctx, query, arguments...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var found []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		found = append(found, text)
	}
	return found, rows.Err()
}

// wrap tells of a right that is missing which statement gives it.
func (s mysqlSession) wrap(err error, doing string) error {
	if errorNumber(err) == numberOwnPasswordOnly || errorNumber(err) == 1044 {
		return fmt.Errorf("%s: %w: let an administrator run GRANT SELECT ON mysql.* TO %s (%w)", doing, err, s.account, rotation.ErrDefinite)
	}
	return wrap(err, doing)
}

// lock keeps rotations of the same users apart for as long as the connection
// lives.
func (s mysqlSession) lock(ctx context.Context, c change) error {
	const seconds = 5
	var got *int
	if err := s.QueryRowContext(ctx, "SELECT GET_LOCK(LEFT(CONCAT('secrets-rotation.', MD5(?)), 64), ?)", c.base, seconds).Scan(&got); err != nil {
		return wrap(err, "waiting for another rotation of the same user")
	}
	if got == nil || *got != 1 {
		return fmt.Errorf("another rotation of user %q is under way", c.base)
	}
	return nil
}

// run executes statements that hold names only.
func (s mysqlSession) run(ctx context.Context, statements []string) error {
	for _, statement := range statements {
		if _, err := s.ExecContext(ctx, statement); err != nil {
			return wrap(err, "running "+statement)
		}
		reconciled(ctx, s.log, statement)
	}
	return nil
}

// credential is an account with the plugins that its password is for.
type credential struct {
	account
	methods []method
}

// setPasswords gives accounts a password in one statement, so that a killed
// step has changed all or none of them, of which the server gets the hashes
// only.
func (s mysqlSession) setPasswords(ctx context.Context, verb string, credentials []credential, password spec.Value, clauses string) error {
	var names, hashed, texts []string
	for _, c := range credentials {
		hash, text, err := s.identified(c, password)
		if err != nil {
			return err
		}
		names, hashed, texts = append(names, c.String()), append(hashed, c.String()+hash), append(texts, c.String()+text)
	}
	doing := fmt.Sprintf("changing the password of %s", strings.Join(names, ", "))
	_, err := s.ExecContext(ctx, verb+" "+strings.Join(hashed, ", ")+" "+clauses)
	if err != nil && s.says(ctx, err, numberPrevented) {
		// The server's password policy must see the password.
		_, err = s.ExecContext(ctx, verb+" "+strings.Join(texts, ", ")+" "+clauses)
		if err != nil && s.says(ctx, err, numberPolicy) {
			return fmt.Errorf("%s: the server's password policy refuses the password: %w", doing, rotation.ErrRejected)
		}
	}
	return passwordError(err, doing)
}

// says tells whether MariaDB gave a number as the reason why the last statement
// failed, in its error or, where that says only that an account couldn't be
// changed, in the warnings before it.
func (s mysqlSession) says(ctx context.Context, failure error, number int) bool {
	if !s.version.mariadb {
		return false
	}
	if int(errorNumber(failure)) == number {
		return true
	}
	rows, err := s.QueryContext(ctx, "SHOW WARNINGS")
	if err != nil {
		return false
	}
	defer func() { _ = rows.Close() }()
	found := false
	for rows.Next() {
		var level, message string
		var code int
		found = rows.Scan(&level, &code, &message) == nil && code == number || found
	}
	return found && rows.Err() == nil
}

// identified returns the clauses that set an account's password, by its hashes
// and by itself.
func (s mysqlSession) identified(c credential, password spec.Value) (hashed, text string, err error) {
	var hashes, texts []string
	for _, m := range c.methods {
		if m.hash == "" && m.plugin != pluginNative && m.plugin != pluginSHA2 && m.plugin != pluginEd25519 && len(c.methods) > 1 {
			// Another way in, beside the password, stays.
			hashes, texts = append(hashes, m.plugin), append(texts, m.plugin)
			continue
		}
		hash, err := passwordHash(m.plugin, password)
		if err != nil {
			return "", "", fmt.Errorf("user %q: %w", c.user, err)
		}
		if s.version.mariadb {
			hashes = append(hashes, m.plugin+" USING "+quoteText(hash))
			texts = append(texts, m.plugin+" USING PASSWORD("+quoteText(password.RevealString())+")")
		} else {
			hashes = append(hashes, quoteText(m.plugin)+" AS "+quoteText(hash))
		}
	}
	how := " IDENTIFIED WITH "
	if s.version.mariadb {
		how = " IDENTIFIED VIA "
	}
	return how + strings.Join(hashes, " OR "), how + strings.Join(texts, " OR "), nil
}

// passwordError tells a password that the server's policy refuses from other
// failures. A syntax error would quote the statement.
func passwordError(err error, doing string) error {
	switch errorNumber(err) {
	case numberPolicy:
		return fmt.Errorf("%s: %w: %w", doing, err, rotation.ErrRejected)
	case 1064, 1149:
		return fmt.Errorf("%s: the server doesn't understand the statement, error %d (%w)", doing, errorNumber(err), rotation.ErrDefinite)
	}
	return wrap(err, doing)
}

// changeOwn changes the password of the account that logs in. MySQL takes no
// hash from its owner; it keeps passwords out of its own logs (reference manual,
// "Passwords and logging").
func (e mysqlEngine) changeOwn(ctx context.Context, login spec.Database, password spec.Value) error {
	conn, err := e.connect(ctx, login)
	if err != nil {
		return err
	}
	defer conn.close()
	s := mysqlSession{mysqlConn: conn, log: e.log}
	doing := fmt.Sprintf("changing the password of user %q", login.Username)
	if !s.version.mariadb {
		statement := "ALTER USER CURRENT_USER() IDENTIFIED BY " + quoteText(password.RevealString())
		_, err := s.ExecContext(ctx, statement)
		if errorNumber(err) == numberMissingCurrent {
			_, err = s.ExecContext(ctx, statement+" REPLACE "+quoteText(login.Password.RevealString()))
		}
		return passwordError(err, doing)
	}
	created, err := s.strings(ctx, "SHOW CREATE USER")
	if err != nil {
		return wrap(err, doing)
	}
	u, err := parseUser(strings.Join(created, "\n"))
	if err != nil {
		return err
	}
	if len(u.methods) != 1 {
		return fmt.Errorf("user %q has several plugins to log in by, which only a master user can change together: add masterarn and %q: %q (%w)",
			login.Username, strategyKey, strategySingle, rotation.ErrDefinite)
	}
	hash, err := passwordHash(u.methods[0].plugin, password)
	if err != nil {
		return fmt.Errorf("user %q: %w", login.Username, err)
	}
	_, err = s.ExecContext(ctx, "SET PASSWORD = "+quoteText(hash))
	if err != nil && s.says(ctx, err, numberPrevented) {
		_, err = s.ExecContext(ctx, "SET PASSWORD = PASSWORD("+quoteText(password.RevealString())+")")
	}
	return passwordError(err, doing)
}

var errNoAccount = errors.New("logs in but isn't in the server's table of users: rotate through the server itself, not through a proxy with users of its own")
