package integration_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/feed"
	"github.com/aistudio/secrets/sdk/spec"
)

// feed makes the feed's table.
func (c *cloud) feed(t *testing.T) *feed.Table {
	t.Helper()
	tables := dynamodb.NewFromConfig(c.Config(primary))
	_, err := tables.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:   aws.String("feed"),
		BillingMode: types.BillingModePayPerRequest,
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String(spec.FeedKey), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(spec.FeedTime), KeyType: types.KeyTypeRange},
		},
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(spec.FeedKey), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(spec.FeedTime), AttributeType: types.ScalarAttributeTypeS},
		},
	})
	require.NoError(t, err)
	return feed.NewTable(tables, "feed").WithClock(c.Clock().Now)
}

// A change that is published reaches a cache within the feed's interval, long
// before the value's time is over.
func TestAPublishedChangeReachesTheCache(t *testing.T) {
	c := startCloud(t)
	table := c.feed(t)
	client := c.client(t, secrets.WithFeed(table, 30*time.Second))
	read := func() string {
		text, err := client.GetString(t.Context(), secretName)
		require.NoError(t, err)
		return text
	}
	require.Equal(t, "one", read())

	c.put(t, "two")
	c.advance(t, time.Minute)
	require.Equal(t, "one", read(), "without word from the feed the cached value is served")

	require.NoError(t, table.Publish(t.Context(), secrets.Change{SecretID: c.arn}))
	c.advance(t, time.Minute)
	assert.Eventually(t, func() bool { return read() == "two" }, time.Minute, 10*time.Millisecond)
}

// The layer learns of a rotation from the feed, long before the TTL is over.
// Its process has the machine's clock, so the interval is a real second.
func TestTheLayerSeesARotationInTheFeed(t *testing.T) {
	f := startFunction(t, map[string]string{spec.EnvFeedTable: "feed", "SECRETS_FEED_INTERVAL": "1s"})
	table := f.feed(t).WithClock(time.Now)
	require.Equal(t, "one", value(t, f.read(t, secretPath)))
	f.put(t, "two")
	require.Equal(t, "one", value(t, f.read(t, secretPath)), "without word from the feed the cached value is served")
	require.NoError(t, table.Publish(t.Context(), secrets.Change{SecretID: f.arn}))
	assert.Eventually(t, func() bool { return value(t, f.read(t, secretPath)) == "two" }, time.Minute, 10*time.Millisecond)
}
