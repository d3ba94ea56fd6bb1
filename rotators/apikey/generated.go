package apikey

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"regexp"
	"strings"

	"github.com/aistudio/secrets/rotators/password"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// DefaultPrefix begins the keys whose prefix isn't configured.
const DefaultPrefix = "key"

const (
	randomLength   = 43 // 256 bits of 62 characters
	checksumLength = 6  // 32 bits of 62 characters
	base62         = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

var prefixForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// Generated makes keys for services that verify them by the SDK's package
// apikey. Those accept a secret's current and previous keys, so that a key is
// valid from its rotation to the one after the next, and there is no other
// system to change.
type Generated struct{ prefix string }

var _ rotation.Target = Generated{}

// NewGenerated returns the target whose keys begin with the prefix and an
// underscore, so that whoever finds one knows what it is; "": DefaultPrefix.
func NewGenerated(prefix string) (Generated, error) {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	if !prefixForm.MatchString(prefix) {
		return Generated{}, fmt.Errorf("prefix %q of API keys: use a lower-case letter and up to 31 lower-case letters, digits and underscores", prefix)
	}
	return Generated{prefix: prefix}, nil
}

// Generate makes a key, and keeps what else the current value holds.
func (g Generated) Generate(_ context.Context, r rotation.GenerateRequest) (rotation.GenerateResponse, error) {
	value, err := base(r)
	if err != nil {
		return rotation.GenerateResponse{}, err
	}
	random, err := password.Generate(password.Options{Length: randomLength, ExcludePunctuation: true, AllowMissingTypes: true})
	if err != nil {
		return rotation.GenerateResponse{}, err
	}
	body := g.prefix + "_" + random.RevealString()
	value.Key = spec.ValueString(body + checksum(body))
	return encode(value)
}

// Apply has nothing to do: the services read the key from the secret.
func (Generated) Apply(context.Context, rotation.ApplyRequest) (rotation.ApplyResponse, error) {
	return rotation.ApplyResponse{}, nil
}

// Verify checks the key's form and checksum.
func (Generated) Verify(_ context.Context, r rotation.VerifyRequest) (rotation.VerifyResponse, error) {
	value, err := spec.ParseAPIKey(r.Pending)
	if err == nil {
		err = Check(value.Key)
	}
	if err != nil {
		return rotation.VerifyResponse{}, fmt.Errorf("%w (%w)", err, rotation.ErrDefinite)
	}
	return rotation.VerifyResponse{}, nil
}

// Retire has nothing to do: a key without a label is accepted no more.
func (Generated) Retire(context.Context, rotation.RetireRequest) (rotation.RetireResponse, error) {
	return rotation.RetireResponse{}, nil
}

var errForm = errors.New("the API key hasn't the form of a generated one: a prefix, an underscore, 43 random characters and a checksum of 6")

// Check tells whether a key has the form and the checksum of a generated one,
// which finds mistyped and cut-off keys without asking anybody.
func Check(key spec.Value) error {
	text := key.RevealString()
	split := len(text) - checksumLength
	underscore := strings.LastIndexByte(text, '_')
	if underscore < 1 || !prefixForm.MatchString(text[:underscore]) || len(text)-underscore-1 != randomLength+checksumLength {
		return errForm
	}
	if strings.Trim(text[underscore+1:], base62) != "" {
		return errForm
	}
	if checksum(text[:split]) != text[split:] {
		return errors.New("the API key's checksum is wrong")
	}
	return nil
}

// checksum is the CRC-32 (IEEE) in base 62.
func checksum(body string) string {
	sum := crc32.ChecksumIEEE([]byte(body))
	digits := make([]byte, checksumLength)
	for i := checksumLength - 1; i >= 0; i-- {
		digits[i] = base62[sum%uint32(len(base62))]
		sum /= uint32(len(base62))
	}
	return string(digits)
}
