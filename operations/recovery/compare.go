package recovery

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// newKey makes the key of a run's digests. It is never stored, so a digest says
// nothing to anybody else.
func newKey() ([]byte, error) {
	key := make([]byte, sha256.Size)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make the key of the digests: %w", err)
	}
	return key, nil
}

// digest is that of a version's value.
type digest struct {
	version string
	sum     [sha256.Size]byte
}

var errNoValue = errors.New("no value")

// digest reads the current version and forgets its value.
func (e *Estate) digest(ctx context.Context, client *secretsmanager.Client, name string) (digest, error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	if has(err, "ResourceNotFoundException") {
		return digest{}, errNoValue
	}
	if err != nil {
		return digest{}, short(err)
	}
	mac := hmac.New(sha256.New, e.key)
	kind := byte('b')
	if out.SecretString != nil {
		kind = 's'
	}
	mac.Write([]byte{kind})
	mac.Write([]byte(aws.ToString(out.SecretString)))
	mac.Write(out.SecretBinary)
	clear(out.SecretBinary)
	d := digest{version: aws.ToString(out.VersionId)}
	mac.Sum(d.sum[:0])
	return d, nil
}

// same checks that a secret has the same current version with the same value
// under both clients, its regions'.
func (e *Estate) same(ctx context.Context, name string, one, other *secretsmanager.Client) error {
	a, err := e.digest(ctx, one, name)
	if err != nil && !errors.Is(err, errNoValue) {
		return err
	}
	b, otherErr := e.digest(ctx, other, name)
	switch {
	case errors.Is(err, errNoValue) && errors.Is(otherErr, errNoValue):
		return nil
	case otherErr != nil:
		return otherErr
	case err != nil:
		return err
	case a.version != b.version:
		return fmt.Errorf("the current version is %s here and %s there", a.version, b.version)
	case a.sum != b.sum:
		return fmt.Errorf("version %s has different values", a.version)
	}
	return nil
}
