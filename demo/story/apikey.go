package story

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/apikey"
	"github.com/aistudio/secrets/sdk/feed"
	"github.com/aistudio/secrets/sdk/spec"
)

// feedInterval is how often the cache asks the feed: so that nobody has to wait
// here, more often than by default.
const feedInterval = time.Second

// KeyRotation is how the rotation of an API key went.
type KeyRotation struct {
	Noticed time.Duration // from the rotation until the cache had the new key, whose TTL is an hour
}

// rotateKey rotates an API key while one service presents it and another
// verifies it: the feed tells the verifier's cache, and both keys are accepted.
func (w *World) rotateKey(ctx context.Context) (result KeyRotation, err error) {
	config := w.ReaderConfig(keyOwnerRole)
	cache, err := secrets.New(ctx, secrets.WithConfig(config), secrets.WithTTL(time.Hour),
		secrets.WithFeed(feed.NewTable(dynamodb.NewFromConfig(config), feedTable), feedInterval))
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, cache.Close()) }()
	verifier := apikey.New(cache, keyName)
	before, err := w.readKey(ctx)
	if err != nil {
		return result, err
	}
	if err := verify(ctx, verifier, before, secrets.StageCurrent); err != nil {
		return result, err
	}

	if _, err := secretsmanager.NewFromConfig(w.Cloud.Config(Region)).RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: aws.String(keyName)}); err != nil {
		return result, fmt.Errorf("rotate %s: %w", keyName, err)
	}
	if err := w.Cloud.Settle(ctx); err != nil {
		return result, err
	}
	rotated := time.Now()
	after, err := w.readKey(ctx)
	if err != nil {
		return result, err
	}
	if after.VersionID == before.VersionID {
		return result, fmt.Errorf("version %s of %s is still current: the rotation did not happen or failed", before.VersionID, keyName)
	}
	if err := awaitVersion(ctx, cache, after.VersionID); err != nil {
		return result, err
	}
	result = KeyRotation{Noticed: time.Since(rotated)}
	return result, errors.Join(
		verify(ctx, verifier, before, secrets.StagePrevious),
		verify(ctx, verifier, after, secrets.StageCurrent))
}

// key is an API key as a service presents it.
type key struct {
	value     spec.Value
	VersionID string
}

// readKey reads the key as the service that presents it.
func (w *World) readKey(ctx context.Context) (key, error) {
	out, err := secretsmanager.NewFromConfig(w.ReaderConfig(keyUserRole)).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(keyName)})
	if err != nil {
		return key{}, fmt.Errorf("read %s: %w", keyName, err)
	}
	parsed, err := spec.ParseAPIKey(spec.ValueString(aws.ToString(out.SecretString)))
	if err != nil {
		return key{}, err
	}
	return key{parsed.Key, aws.ToString(out.VersionId)}, nil
}

// verify presents a key and wants it accepted as that of a stage.
func verify(ctx context.Context, verifier *apikey.Verifier, k key, stage string) error {
	match, err := verifier.Verify(ctx, k.value.RevealString())
	if err != nil {
		return fmt.Errorf("verify the key of version %s: %w", k.VersionID, err)
	}
	if match.Stage != stage {
		return fmt.Errorf("the key of version %s is accepted as %s, not as %s", k.VersionID, match.Stage, stage)
	}
	return nil
}

// awaitVersion waits until a cache has a version.
func awaitVersion(ctx context.Context, cache *secrets.Client, version string) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		cached, err := cache.Get(ctx, keyName)
		if err != nil {
			return err
		}
		if cached.VersionID == version {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until the feed tells the cache of version %s: %w", version, context.Cause(ctx))
		}
	}
}

// String is the result in a few words.
func (r KeyRotation) String() string {
	return fmt.Sprintf("the old and the new one are accepted; the feed told the cache after %.1f s", r.Noticed.Seconds())
}
