package secretsmanager

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"math/big"
	"strings"
	"unicode/utf8"

	"github.com/aistudio/secrets/localcloud/api"
)

type passwordInput struct {
	ExcludeCharacters       *string
	ExcludeLowercase        *bool
	ExcludeNumbers          *bool
	ExcludePunctuation      *bool
	ExcludeUppercase        *bool
	IncludeSpace            *bool
	PasswordLength          *int64
	RequireEachIncludedType *bool
}

type passwordOutput struct{ RandomPassword string }

const (
	defaultPasswordLength = 32
	lowercase             = "abcdefghijklmnopqrstuvwxyz"
	uppercase             = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	numbers               = "0123456789"
	punctuation           = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)

func (s *Service) getRandomPassword(ctx context.Context, r *api.Request, in *passwordInput) (*passwordOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "secretsmanager:GetRandomPassword", Resource: "*"}); err != nil {
		return nil, err
	}
	var c constraints
	c.number("passwordLength", in.PasswordLength, 4096)
	if in.ExcludeCharacters != nil {
		c.size("excludeCharacters", "", utf8.RuneCountInString(*in.ExcludeCharacters), 0, 4096)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	kinds := in.kinds()
	if len(kinds) == 0 {
		return nil, errParameter("No characters are left for the password: all are excluded.")
	}
	length := defaultPasswordLength
	if in.PasswordLength != nil {
		length = int(*in.PasswordLength)
	}
	requireEach := in.RequireEachIncludedType == nil || *in.RequireEachIncludedType
	if requireEach && length < len(kinds) {
		return nil, errParameter("Password length is too short based on the required types.")
	}
	password, err := randomPassword(s.env.Rand, kinds, length, requireEach)
	if err != nil {
		return nil, err
	}
	return &passwordOutput{RandomPassword: password}, nil
}

// kinds are the sets of characters that the password may have, without the
// excluded ones and without sets that are empty then.
func (in *passwordInput) kinds() []string {
	excluded := ""
	if in.ExcludeCharacters != nil {
		excluded = *in.ExcludeCharacters
	}
	var kinds []string
	add := func(set string, leaveOut *bool) {
		if leaveOut != nil && *leaveOut {
			return
		}
		set = strings.Map(func(r rune) rune {
			if strings.ContainsRune(excluded, r) {
				return -1
			}
			return r
		}, set)
		if set != "" {
			kinds = append(kinds, set)
		}
	}
	add(lowercase, in.ExcludeLowercase)
	add(uppercase, in.ExcludeUppercase)
	add(numbers, in.ExcludeNumbers)
	add(punctuation, in.ExcludePunctuation)
	if in.IncludeSpace != nil && *in.IncludeSpace {
		add(" ", nil)
	}
	return kinds
}

// randomPassword draws from all kinds together; with requireEach the first
// characters come from one kind each, and all are shuffled.
func randomPassword(random io.Reader, kinds []string, length int, requireEach bool) (string, error) {
	all := strings.Join(kinds, "")
	password := make([]byte, length)
	for i := range password {
		from := all
		if requireEach && i < len(kinds) {
			from = kinds[i]
		}
		n, err := randomInt(random, len(from))
		if err != nil {
			return "", err
		}
		password[i] = from[n]
	}
	for i := len(password) - 1; i > 0; i-- {
		j, err := randomInt(random, i+1)
		if err != nil {
			return "", err
		}
		password[i], password[j] = password[j], password[i]
	}
	return string(password), nil
}

func randomInt(random io.Reader, below int) (int, error) {
	n, err := rand.Int(random, big.NewInt(int64(below)))
	if err != nil {
		return 0, fmt.Errorf("draw a random number: %w", err)
	}
	return int(n.Int64()), nil
}
