package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The database engines that AWS names in secrets (user guide, "JSON structure
// of AWS Secrets Manager secrets").
const (
	EnginePostgres       = "postgres"
	EngineAuroraPostgres = "aurora-postgresql"
	EngineMySQL          = "mysql"
	EngineAuroraMySQL    = "aurora-mysql"
	EngineMariaDB        = "mariadb"
)

// Engines returns the database engines that a secret may name.
func Engines() []string {
	return []string{EnginePostgres, EngineAuroraPostgres, EngineMySQL, EngineAuroraMySQL, EngineMariaDB}
}

// Database is the value of a database secret, with the JSON keys that AWS's
// own rotation functions use: engine, host, port, username, password, dbname,
// masterarn, ssl. Other keys are kept.
type Database struct {
	Engine    string // one of Engines
	Host      string
	Port      int // 0: absent, the engine's own port (see DefaultPort)
	Username  string
	Password  Value
	DBName    string // "" : absent
	MasterARN string // ARN of the secret of a user who may create and alter this one; "": absent
	SSL       *bool  // true: TLS only, false: plaintext only, nil: absent, which this project treats as TLS only

	source Value // the document that was parsed, for what Encode keeps
}

// ParseDatabase reads a database secret. The port may be a number or a string
// of digits, and ssl a boolean or "true" or "false", as AWS's functions take
// them. It doesn't ask for any key to be there: a secret that RDS manages holds
// only username and password. Call Validate for that.
func ParseDatabase(v Value) (Database, error) {
	members, err := parseObject(v)
	if err != nil {
		return Database{}, fmt.Errorf("database secret: %w", err)
	}
	d := Database{source: v}
	var errs []error
	for _, text := range []struct {
		key string
		to  *string
	}{
		{"engine", &d.Engine}, {"host", &d.Host}, {"username", &d.Username}, {"dbname", &d.DBName}, {"masterarn", &d.MasterARN},
	} {
		if *text.to, err = readString(members.get(text.key)); err != nil {
			errs = append(errs, fmt.Errorf("key %q: %w", text.key, err))
		}
	}
	if password, err := readString(members.get("password")); err != nil {
		errs = append(errs, fmt.Errorf("key %q: %w", "password", err))
	} else {
		d.Password = ValueString(password)
	}
	if d.Port, err = readPort(members.get("port")); err != nil {
		errs = append(errs, fmt.Errorf("key %q: %w", "port", err))
	}
	if d.SSL, err = readBool(members.get("ssl")); err != nil {
		errs = append(errs, fmt.Errorf("key %q: %w", "ssl", err))
	}
	if err := errors.Join(errs...); err != nil {
		return Database{}, fmt.Errorf("database secret: %w", err)
	}
	return d, nil
}

// Encode returns the JSON object. Members that didn't change, and those that
// this package doesn't know, are as they were parsed.
func (d Database) Encode() (Value, error) {
	var fields []field
	var errs []error
	text := func(key, s string) {
		f, err := stringField(key, s)
		errs = append(errs, err)
		fields = append(fields, f)
	}
	text("engine", d.Engine)
	text("host", d.Host)
	fields = append(fields, portField(d.Port))
	text("username", d.Username)
	text("password", d.Password.RevealString())
	text("dbname", d.DBName)
	text("masterarn", d.MasterARN)
	fields = append(fields, boolField("ssl", d.SSL))
	if d.Port < 0 || d.Port > maxPort {
		errs = append(errs, fmt.Errorf("key %q: %d is not a port", "port", d.Port))
	}
	if err := errors.Join(errs...); err != nil {
		return Value{}, fmt.Errorf("database secret: %w", err)
	}
	encoded, err := encodeObject(d.source, fields)
	if err != nil {
		return Value{}, fmt.Errorf("database secret: %w", err)
	}
	return encoded, nil
}

// Validate returns all that keeps a client or a rotation function from using
// the secret, or nil.
func (d Database) Validate() error {
	var errs []error
	if err := validateEngine(d.Engine); err != nil {
		errs = append(errs, err)
	}
	for _, need := range []struct {
		key    string
		absent bool
	}{
		{"host", d.Host == ""}, {"username", d.Username == ""}, {"password", d.Password.Len() == 0},
	} {
		if need.absent {
			errs = append(errs, fmt.Errorf("key %q is missing", need.key))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("database secret: %w", err)
	}
	return nil
}

// DefaultPort returns the port that the engine listens on by default, or 0 for
// an unknown engine.
func DefaultPort(engine string) int {
	switch engine {
	case EnginePostgres, EngineAuroraPostgres:
		return 5432
	case EngineMySQL, EngineAuroraMySQL, EngineMariaDB:
		return 3306
	default:
		return 0
	}
}

func validateEngine(engine string) error {
	if engine == "" {
		return fmt.Errorf("key %q is missing: use one of %s", "engine", strings.Join(Engines(), ", "))
	}
	if DefaultPort(engine) == 0 {
		return fmt.Errorf("key %q: unknown engine %q: use one of %s", "engine", engine, strings.Join(Engines(), ", "))
	}
	return nil
}

const maxPort = 65535

func readPort(raw json.RawMessage) (int, error) {
	digits := string(raw)
	switch {
	case raw == nil || digits == "null":
		return 0, nil
	case digits[0] == '"':
		var err error
		if digits, err = decodeString(raw); err != nil {
			return 0, err
		}
	}
	port, err := strconv.Atoi(digits)
	if err != nil || port < 1 || port > maxPort {
		return 0, fmt.Errorf("not a port: write a number from 1 to %d", maxPort)
	}
	return port, nil
}

func portField(port int) field {
	f := field{key: "port", same: func(raw json.RawMessage) bool {
		old, err := readPort(raw)
		return err == nil && old == port
	}}
	if port != 0 {
		f.raw = json.RawMessage(strconv.Itoa(port))
	}
	return f
}

func readBool(raw json.RawMessage) (*bool, error) {
	text := string(raw)
	switch {
	case raw == nil || text == "null":
		return nil, nil
	case text[0] == '"':
		var err error
		if text, err = decodeString(raw); err != nil {
			return nil, err
		}
	}
	switch strings.ToLower(text) {
	case "true":
		return new(true), nil
	case "false":
		return new(false), nil
	}
	return nil, errors.New("neither true nor false")
}

func boolField(key string, b *bool) field {
	f := field{key: key, same: func(raw json.RawMessage) bool {
		old, err := readBool(raw)
		return err == nil && (old == nil) == (b == nil) && (b == nil || *old == *b)
	}}
	if b != nil {
		f.raw = json.RawMessage(strconv.FormatBool(*b))
	}
	return f
}
