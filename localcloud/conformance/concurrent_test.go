package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/localcloud"
)

// TestManyClients lets 100 clients work at the same time, each on a secret of
// its own and all on one that they share. Run it with -race.
func TestManyClients(t *testing.T) {
	const clients, rounds = 100, 5
	ctx := t.Context()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	first := sm.NewFromConfig(cloud.Config(region))
	shared, err := first.CreateSecret(ctx, &sm.CreateSecretInput{
		Name: aws.String("shared"), SecretString: aws.String("value of nobody"),
		AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(drRegion)}},
	})
	require.NoError(t, err)
	require.NoError(t, cloud.Settle(ctx))

	work := func(n int) error {
		client, dr := sm.NewFromConfig(cloud.Config(region)), sm.NewFromConfig(cloud.Config(drRegion))
		own := aws.String(fmt.Sprintf("own/%d", n))
		if _, err := client.CreateSecret(ctx, &sm.CreateSecretInput{Name: own, SecretString: aws.String("0")}); err != nil {
			return err
		}
		for round := range rounds {
			value := aws.String(fmt.Sprintf("%d of %d", round, n))
			if _, err := client.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: own, SecretString: value}); err != nil {
				return err
			}
			got, err := client.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: own})
			if err != nil {
				return err
			}
			if *got.SecretString != *value {
				return fmt.Errorf("%s has the value of somebody else", *own)
			}
			if round == 0 {
				if _, err := client.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: shared.ARN, SecretString: aws.String("value of " + *own)}); err != nil {
					return err
				}
			}
			for _, c := range []*sm.Client{client, dr} {
				out, err := c.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: aws.String("shared")})
				if err != nil {
					return err
				}
				if !strings.HasPrefix(*out.SecretString, "value of ") {
					return fmt.Errorf("the shared secret has a value that nobody gave it")
				}
			}
			if _, err := client.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: shared.ARN}); err != nil {
				return err
			}
			if _, err := client.ListSecrets(ctx, &sm.ListSecretsInput{MaxResults: aws.Int32(10)}); err != nil {
				return err
			}
		}
		if n%2 == 0 {
			_, err := client.DeleteSecret(ctx, &sm.DeleteSecretInput{SecretId: own, ForceDeleteWithoutRecovery: aws.Bool(true)})
			return err
		}
		return nil
	}
	var group errgroup.Group
	for n := range clients {
		group.Go(func() error { return work(n) })
	}
	require.NoError(t, group.Wait())
	require.NoError(t, cloud.Settle(ctx))

	d, err := first.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: shared.ARN})
	require.NoError(t, err)
	holders := map[string]int{}
	for _, stages := range d.VersionIdsToStages {
		for _, stage := range stages {
			holders[stage]++
		}
	}
	assert.Equal(t, map[string]int{"AWSCURRENT": 1, "AWSPREVIOUS": 1}, holders)
	copied, err := sm.NewFromConfig(cloud.Config(drRegion)).DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: aws.String("shared")})
	require.NoError(t, err)
	assert.Equal(t, d.VersionIdsToStages, copied.VersionIdsToStages)
	left := 0
	pages := sm.NewListSecretsPaginator(first, &sm.ListSecretsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		require.NoError(t, err)
		left += len(page.SecretList)
	}
	assert.Equal(t, 1+clients/2, left)
}
