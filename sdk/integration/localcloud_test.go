package integration_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/faults"
	secrets "github.com/aistudio/secrets/sdk"
)

const (
	primary = "us-east-1"
	replica = "us-west-2"
)

// cloud is a local cloud with one secret, replicated to another region.
type cloud struct {
	*localcloud.Cloud
	admin *secretsmanager.Client
	arn   string
}

func startCloud(t *testing.T) *cloud {
	t.Helper()
	local, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, local.Close()) })
	c := &cloud{Cloud: local, admin: secretsmanager.NewFromConfig(local.Config(primary))}
	made, err := c.admin.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String(secretName), SecretString: aws.String("one"),
		AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(replica)}},
	})
	require.NoError(t, err)
	c.arn = *made.ARN
	require.NoError(t, local.Settle(t.Context()))
	return c
}

func (c *cloud) client(t *testing.T, options ...secrets.Option) *secrets.Client {
	t.Helper()
	options = append([]secrets.Option{secrets.WithConfig(c.Config(primary)), secrets.WithClock(c.Clock().Now)}, options...)
	client, err := secrets.New(t.Context(), options...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return client
}

func (c *cloud) put(t *testing.T, value string) {
	t.Helper()
	_, err := c.admin.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &c.arn, SecretString: &value})
	require.NoError(t, err)
	require.NoError(t, c.Settle(t.Context()))
}

func (c *cloud) fail(t *testing.T, f faults.Fault) {
	t.Helper()
	_, err := c.Faults.Add(f)
	require.NoError(t, err)
}

func (c *cloud) advance(t *testing.T, d time.Duration) {
	t.Helper()
	require.NoError(t, c.Advance(t.Context(), d))
}

func TestReadsByEveryKindOfID(t *testing.T) {
	c := startCloud(t)
	c.put(t, "two")
	client := c.client(t)
	for _, id := range []string{secretName, c.arn, c.arn[:len(c.arn)-7]} {
		secret, err := client.Get(t.Context(), id)
		require.NoError(t, err)
		assert.Equal(t, "two", secret.Value.RevealString())
		assert.Equal(t, c.arn, secret.ARN)
		assert.Equal(t, secretName, secret.Name)
		assert.Equal(t, []string{secrets.StageCurrent}, secret.Stages())
	}
	previous, err := client.GetString(t.Context(), secretName, secrets.Stage(secrets.StagePrevious))
	require.NoError(t, err)
	assert.Equal(t, "one", previous)
	require.NoError(t, client.Prefetch(t.Context(), secretName, c.arn))
	_, err = client.Get(t.Context(), "acme/dev/shop/none")
	require.ErrorIs(t, err, secrets.ErrNotFound)
}

func TestTheTTLOnTheCloudsClock(t *testing.T) {
	c := startCloud(t)
	client := c.client(t)
	read := func() string {
		text, err := client.GetString(t.Context(), secretName)
		require.NoError(t, err)
		return text
	}
	require.Equal(t, "one", read())
	c.put(t, "two")
	c.advance(t, 40*time.Minute)
	assert.Equal(t, "one", read())
	c.advance(t, 20*time.Minute)
	assert.Equal(t, "two", read())
}

func TestAnOutageAndADeletionOfTheSecret(t *testing.T) {
	c := startCloud(t)
	client := c.client(t)
	_, err := client.Get(t.Context(), secretName)
	require.NoError(t, err)

	c.fail(t, faults.Fault{Kind: faults.DropBefore, Region: primary})
	c.advance(t, time.Hour)
	secret, err := client.Get(t.Context(), secretName)
	require.NoError(t, err)
	assert.True(t, secret.Stale)

	for _, f := range []faults.Fault{
		{Kind: faults.Throttle}, {Kind: faults.Error, Code: "InternalServiceError", Status: 500}, {Kind: faults.Error, Code: "ServiceUnavailable", Status: 503},
	} {
		c.Faults.Clear()
		c.fail(t, f)
		c.advance(t, 2*time.Minute)
		secret, err = client.Get(t.Context(), secretName)
		require.NoError(t, err)
		assert.True(t, secret.Stale, f.Kind)
	}
	c.Faults.Clear()

	_, err = c.admin.RemoveRegionsFromReplication(t.Context(), &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: &c.arn, RemoveReplicaRegions: []string{replica}})
	require.NoError(t, err)
	require.NoError(t, c.Settle(t.Context()))
	_, err = c.admin.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: &c.arn})
	require.NoError(t, err)
	c.advance(t, 2*time.Minute)
	_, err = client.Get(t.Context(), secretName)
	require.ErrorIs(t, err, secrets.ErrNotFound)
}

func TestTheReplicaAnswersWhileThePrimaryIsDown(t *testing.T) {
	for label, fault := range map[string]faults.Fault{
		"connections drop": {Kind: faults.DropBefore, Region: primary},
		"no answer":        {Kind: faults.Latency, Region: primary, Delay: time.Minute},
		"throttled":        {Kind: faults.Throttle, Region: primary},
	} {
		t.Run(label, func(t *testing.T) {
			c := startCloud(t)
			c.put(t, "two")
			client := c.client(t, secrets.WithFailover(replica))
			c.fail(t, fault)
			for _, id := range []string{secretName, c.arn, c.arn[:len(c.arn)-7]} {
				secret, err := client.Get(t.Context(), id)
				require.NoError(t, err)
				assert.Equal(t, replica, secret.Region)
				assert.Equal(t, "two", secret.Value.RevealString())
				assert.Contains(t, secret.ARN, ":"+replica+":")
			}
			assert.EqualValues(t, 3, client.Stats().Failovers)
		})
	}
}

// An hour without the primary region: no read fails, of a secret that is cached,
// of one that isn't, and of one that was rotated meanwhile.
func TestThePrimaryIsDownForAnHour(t *testing.T) {
	c := startCloud(t)
	ids := []string{secretName, c.arn, c.arn[:len(c.arn)-7]}
	client := c.client(t, secrets.WithFailover(replica), secrets.WithTTL(10*time.Minute))
	read := func(id string) secrets.Secret {
		secret, err := client.Get(t.Context(), id)
		require.NoError(t, err)
		return secret
	}
	require.Equal(t, primary, read(secretName).Region)
	c.fail(t, faults.Fault{Kind: faults.DropBefore, Region: primary})
	for minute := range 60 {
		c.advance(t, time.Minute)
		for _, id := range ids[:1+minute/20] {
			assert.Equal(t, "one", read(id).Value.RevealString())
		}
	}
	assert.Equal(t, replica, read(secretName).Region)

	c.Faults.Clear()
	c.put(t, "two")
	require.Eventually(t, func() bool { // the probe finds the region back
		c.advance(t, time.Minute)
		secret := read(secretName)
		return secret.Region == primary && secret.Value.RevealString() == "two"
	}, time.Minute, 10*time.Millisecond)
}
