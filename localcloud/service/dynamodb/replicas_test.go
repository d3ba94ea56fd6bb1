package dynamodb_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

// A replica has what the table has, whichever of them was written.
func TestReplicas(t *testing.T) {
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	east, west := dynamodb.NewFromConfig(cloud.Config("us-east-1")), dynamodb.NewFromConfig(cloud.Config("us-west-2"))
	name := aws.String("feed")
	_, err = east.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: name, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
	})
	require.NoError(t, err)
	put := func(client *dynamodb.Client, id string) {
		_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: name, Item: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}}})
		require.NoError(t, err)
	}
	count := func(client *dynamodb.Client) int {
		out, err := client.Scan(t.Context(), &dynamodb.ScanInput{TableName: name})
		require.NoError(t, err)
		return len(out.Items)
	}
	replica := func(create, remove string) error {
		update := types.ReplicationGroupUpdate{}
		if create != "" {
			update.Create = &types.CreateReplicationGroupMemberAction{RegionName: &create}
		} else {
			update.Delete = &types.DeleteReplicationGroupMemberAction{RegionName: &remove}
		}
		_, err := east.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: name, ReplicaUpdates: []types.ReplicationGroupUpdate{update}})
		return err
	}
	put(east, "before")
	require.ErrorContains(t, replica("us-west-2", ""), "Streams")
	_, err = east.UpdateTable(t.Context(), &dynamodb.UpdateTableInput{TableName: name, StreamSpecification: &types.StreamSpecification{
		StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages,
	}})
	require.NoError(t, err)
	require.NoError(t, replica("us-west-2", ""))
	require.ErrorContains(t, replica("us-west-2", ""), "already existed")
	require.ErrorContains(t, replica("us-east-1", ""), "local region")
	_, err = east.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{TableName: name, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("ends"), Enabled: aws.Bool(true)}})
	require.NoError(t, err)
	lifetime, err := west.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: name})
	require.NoError(t, err)
	assert.Equal(t, types.TimeToLiveStatusEnabled, lifetime.TimeToLiveDescription.TimeToLiveStatus)

	put(west, "after")
	assert.Equal(t, 2, count(east))
	assert.Equal(t, 2, count(west))
	_, err = east.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: name, Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "after"}}})
	require.NoError(t, err)
	assert.Equal(t, 1, count(west))
	described, err := west.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: name})
	require.NoError(t, err)
	assert.Equal(t, "arn:aws:dynamodb:us-west-2:123456789012:table/feed", *described.Table.TableArn)
	assert.Equal(t, "us-east-1", *described.Table.Replicas[0].RegionName)
	assert.Equal(t, "2019.11.21", *described.Table.GlobalTableVersion)

	require.NoError(t, replica("", "us-west-2"))
	require.ErrorContains(t, replica("", "us-west-2"), "not found")
	put(east, "later")
	_, err = west.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: name})
	require.ErrorContains(t, err, "ResourceNotFoundException")
}
