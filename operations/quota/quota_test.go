package quota_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/operations/quota"
)

// With so small a share of the quotas, one promotion is made at once and the next
// has its turn in half an hour; replications have the same quota, reads one of their own, and
// another region's is untouched.
func TestQuotasAreSharedAsAWSDoes(t *testing.T) {
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	clients := func(region string) *secretsmanager.Client {
		return secretsmanager.NewFromConfig(quota.Apply(cloud.Config(region), 0.00001))
	}
	here, there := clients("us-east-1"), clients("us-west-2")
	call := func(do func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return do(ctx)
	}
	promote := func(c *secretsmanager.Client) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := c.StopReplicationToReplica(ctx, &secretsmanager.StopReplicationToReplicaInput{SecretId: aws.String("none")})
			return err
		}
	}
	const waits = "wait for the quota of Secrets Manager "
	err = call(promote(here))
	require.ErrorContains(t, err, "ResourceNotFoundException", "it was made")
	require.ErrorContains(t, call(promote(here)), waits+"StopReplicationToReplica")
	require.ErrorContains(t, call(func(ctx context.Context) error {
		_, err := here.UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{SecretId: aws.String("none")})
		return err
	}), waits+"UpdateSecret")
	_, err = here.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("none")})
	require.ErrorContains(t, err, "ResourceNotFoundException")
	err = call(promote(there))
	require.ErrorContains(t, err, "ResourceNotFoundException")
	assert.NotContains(t, err.Error(), waits)
}
