package rotation

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/aws/smithy-go"

	"github.com/aistudio/secrets/sdk/spec"
)

// seedPause is between two tries of a seed that was denied access.
const seedPause = 2 * time.Second

// seedPatiently seeds, and goes on trying for a while if access is denied.
func (r *Rotator) seedPatiently(ctx context.Context, request spec.SeedRequest) (*spec.SeedResult, error) {
	giveUp := time.Now().Add(r.seedPatience)
	for {
		result, err := r.seed(ctx, request)
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != "AccessDeniedException" || time.Now().Add(seedPause).After(giveUp) {
			return result, err
		}
		r.log.InfoContext(ctx, "access denied: trying again, in case the role is new", "secret", request.SecretID)
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(seedPause):
		}
	}
}

// seed gives a secret its first value. The value is stored last, because
// Secrets Manager makes a secret's first version current whatever its stage,
// and readers must not see a value that doesn't work yet.
//
// A seed that was killed before it stored the value has left a user with a
// password that nobody knows; the next one gives the user another. One that
// lost a race, or whose answer was lost, finds that its version has a value
// already: that one is applied again and stays.
func (r *Rotator) seed(ctx context.Context, request spec.SeedRequest) (*spec.SeedResult, error) {
	secret, _, err := r.store.describe(ctx, request.SecretID)
	if err != nil {
		return nil, err
	}
	token := seedToken(secret.arn)
	result := &spec.SeedResult{SecretID: secret.arn, VersionID: token}
	switch secret.current {
	case "":
	case token:
		return result, r.reseed(ctx, secret.arn, token)
	default:
		result.VersionID = secret.current
		return result, nil
	}

	value, err := r.generate(ctx, GenerateRequest{SecretARN: secret.arn, Token: token, Seed: &request})
	if err != nil {
		return nil, err
	}
	if err := r.applyFirst(ctx, secret.arn, token, value); err != nil {
		return nil, err
	}
	err = r.store.put(ctx, secret.arn, token, version{Value: value}, []string{stageCurrent}, spec.Value{})
	if errors.Is(err, errOtherValue) {
		return result, r.reseed(ctx, secret.arn, token)
	}
	if err != nil {
		return nil, err
	}
	result.Seeded = true
	return result, nil
}

// reseed makes sure that the value which a seed has stored works.
func (r *Rotator) reseed(ctx context.Context, arn, token string) error {
	stored, err := r.store.readSoon(ctx, arn, token, "")
	if err != nil {
		return err
	}
	return r.applyFirst(ctx, arn, token, stored.Value)
}

func (r *Rotator) applyFirst(ctx context.Context, arn, token string, value spec.Value) error {
	if _, err := r.target.Apply(ctx, ApplyRequest{SecretARN: arn, Token: token, Pending: value}); err != nil {
		return fmt.Errorf("applying the first value: %w", err)
	}
	if _, err := r.target.Verify(ctx, VerifyRequest{SecretARN: arn, Token: token, Pending: value, Seeding: true}); err != nil {
		return fmt.Errorf("verifying the first value: %w", err)
	}
	return nil
}

// seedToken is the id of the version that a seed makes, the same at every try:
// a UUID of version 8 (RFC 9562) that is a digest of the secret's ARN.
func seedToken(arn string) string {
	sum := sha256.Sum256([]byte(spec.StepSeed + "\x00" + arn))
	id := sum[:16]
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
}
