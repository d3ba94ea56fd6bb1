package secrets_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/secretstest"
	"github.com/aistudio/secrets/sdk/spec"
)

func TestNewTellsAllMistakesAtOnce(t *testing.T) {
	t.Setenv(spec.EnvCacheTTL, "3600")
	t.Setenv(spec.EnvCacheSize, "0")
	_, err := secrets.New(t.Context(),
		secrets.WithTTL(0), secrets.WithMaxStale(-1), secrets.WithTimeout(-time.Second), secrets.WithNegativeTTL(0),
		secrets.WithMinRefresh(0), secrets.WithMaxEntries(-1), secrets.WithFailover("a", "a"), secrets.WithFailoverAfter(0),
		secrets.WithAPI(nil), secrets.WithClock(nil), nil)
	for _, want := range []string{
		`environment variable SECRETS_CACHE_TTL: "3600" is not a duration`, "environment variable SECRETS_CACHE_SIZE: cache size of 0",
		"TTL of 0s", "maximum staleness of -1ns", "timeout of -1s", "negative TTL", "between refreshes", "cache size of -1",
		`failover regions ["a" "a"]`, "time until failover", "WithAPI of nil", "WithClock of nil",
	} {
		require.ErrorContains(t, err, want)
	}
	_, err = secrets.New(t.Context(), secrets.WithRegion("eu-west-1"), secrets.WithFailover("eu-west-1"))
	require.ErrorContains(t, err, "eu-west-1")
}

func TestTheEnvironmentSetsWhatOptionsDoNot(t *testing.T) {
	t.Setenv(spec.EnvCacheTTL, "10m")
	t.Setenv(spec.EnvCacheMaxStale, "1m")
	t.Setenv(spec.EnvCacheSize, "1")
	t.Setenv(spec.EnvTimeout, "2s")
	t.Setenv(spec.EnvFailoverRegions, replica+", "+third)
	t.Setenv(spec.EnvFailoverAfter, "100ms")
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "value")
		store.Put("other", "value")
		regionalFaults(store, map[string]func(context.Context, string, string) error{primary: dark, replica: dark})
		start := time.Now()
		client := newClient(t, store)
		assert.Equal(t, third, read(t, client, name).Region)
		assert.Equal(t, 200*time.Millisecond, time.Since(start))
		read(t, client, "other")
		assert.Equal(t, 1, client.Stats().Entries)

		store.BeforeCall(dark)
		time.Sleep(10 * time.Minute)
		start = time.Now()
		assert.True(t, read(t, client, "other").Stale)
		assert.Equal(t, 2*time.Second+200*time.Millisecond, time.Since(start))
		time.Sleep(time.Minute)
		_, err := client.Get(t.Context(), "other")
		require.Error(t, err)

		_, err = secrets.New(t.Context(), secrets.WithTTL(time.Hour))
		require.NoError(t, err)
	})
}

func TestDefaultTellsWhatIsWrongAtEveryRead(t *testing.T) {
	t.Setenv(spec.EnvCacheTTL, "soon")
	client := secrets.Default()
	require.Same(t, client, secrets.Default())
	_, err := client.Get(t.Context(), name)
	require.ErrorContains(t, err, spec.EnvCacheTTL)
	_, err = client.Refresh(t.Context(), name)
	require.ErrorContains(t, err, spec.EnvCacheTTL)
	client.Invalidate(name)
	assert.Zero(t, client.Stats().Entries)
}

func TestTheZeroClientDoesNotPanic(t *testing.T) {
	var client secrets.Client
	_, err := client.Get(t.Context(), name)
	require.ErrorContains(t, err, "New")
	_, err = client.Refresh(t.Context(), name)
	require.Error(t, err)
	require.Error(t, client.Do(t.Context(), name, nil))
	_, err = client.Newer(t.Context(), name, secrets.Secret{})
	require.Error(t, err)
	client.Invalidate(name)
	assert.Zero(t, client.Stats())
	require.NoError(t, client.Close())
}

func TestAConfigurationWithoutARegionIsAClearError(t *testing.T) {
	client, err := secrets.New(t.Context(), secrets.WithConfig(aws.Config{}))
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	_, err = client.Get(t.Context(), name)
	require.ErrorContains(t, err, "AWS_REGION")
}

func TestTheClientOutlivesTheContextOfNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put(name, "value")
		ctx, cancel := context.WithCancelCause(t.Context())
		client, err := secrets.New(ctx, secrets.WithAPI(store.API), secrets.WithClock(time.Now))
		require.NoError(t, err)
		cancel(errors.New("over"))
		read(t, client, name)
		require.NoError(t, client.Close())
	})
}
