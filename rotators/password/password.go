// Package password makes random passwords, with the options of Secrets
// Manager's GetRandomPassword, without a call to it.
package password

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/aistudio/secrets/sdk/spec"
)

const (
	// DefaultLength is Secrets Manager's own default.
	DefaultLength = 32
	// MaxLength is Secrets Manager's own limit.
	MaxLength = 4096
)

const (
	lowercase   = "abcdefghijklmnopqrstuvwxyz"
	uppercase   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits      = "0123456789"
	punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
	space       = " "
)

// Options of Generate, as those of GetRandomPassword (Secrets Manager API
// reference). The zero value is 32 characters of all four types, at least one
// of each.
type Options struct {
	Length             int    // in characters; 0: DefaultLength; at most MaxLength
	ExcludeCharacters  string // none of these
	ExcludeLowercase   bool
	ExcludeUppercase   bool
	ExcludeNumbers     bool
	ExcludePunctuation bool
	IncludeSpace       bool
	// AllowMissingTypes is the opposite of RequireEachIncludedType: a type may
	// be absent by chance.
	AllowMissingTypes bool
}

// ForEngine returns the options for the passwords of a database engine of
// spec.Engines: without what breaks connection strings and shells, as AWS's own
// functions do, and without the colon, which separates PostgreSQL's .pgpass.
func ForEngine(engine string) Options {
	excluded := `/@"'\`
	switch engine {
	case spec.EnginePostgres, spec.EngineAuroraPostgres:
		excluded += ":"
	}
	return Options{ExcludeCharacters: excluded}
}

// Generate returns a password in which every one that the options allow is
// equally likely.
func Generate(options Options) (spec.Value, error) {
	length := options.Length
	if length == 0 {
		length = DefaultLength
	}
	if length < 1 || length > MaxLength {
		return spec.Value{}, fmt.Errorf("password length %d: use 1 to %d", length, MaxLength)
	}
	types := options.types()
	alphabet := strings.Join(types, "")
	if alphabet == "" {
		return spec.Value{}, errors.New("password options exclude every character: exclude less")
	}
	if !options.AllowMissingTypes && length < len(types) {
		return spec.Value{}, fmt.Errorf("password length %d: too short for a character of each of %d types", length, len(types))
	}
	// To draw again until all types are there keeps all passwords equally
	// likely; to place one of each type first wouldn't.
	for {
		password, err := draw(alphabet, length)
		if err != nil {
			return spec.Value{}, err
		}
		if options.AllowMissingTypes || hasAll(password, types) {
			value := spec.NewValue(password)
			clear(password)
			return value, nil
		}
	}
}

// types are the allowed characters of each type that has any.
func (o Options) types() []string {
	var types []string
	for _, group := range []struct {
		characters string
		excluded   bool
	}{
		{lowercase, o.ExcludeLowercase}, {uppercase, o.ExcludeUppercase}, {digits, o.ExcludeNumbers},
		{punctuation, o.ExcludePunctuation}, {space, !o.IncludeSpace},
	} {
		if group.excluded {
			continue
		}
		allowed := strings.Map(func(r rune) rune {
			if strings.ContainsRune(o.ExcludeCharacters, r) {
				return -1
			}
			return r
		}, group.characters)
		if allowed != "" {
			types = append(types, allowed)
		}
	}
	return types
}

func draw(alphabet string, length int) ([]byte, error) {
	size := big.NewInt(int64(len(alphabet)))
	password := make([]byte, length)
	for i := range password {
		index, err := rand.Int(rand.Reader, size)
		if err != nil {
			return nil, fmt.Errorf("drawing a password: %w", err)
		}
		password[i] = alphabet[index.Int64()]
	}
	return password, nil
}

func hasAll(password []byte, types []string) bool {
	for _, characters := range types {
		if !strings.ContainsAny(string(password), characters) {
			return false
		}
	}
	return true
}
