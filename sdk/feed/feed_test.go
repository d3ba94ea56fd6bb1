package feed_test

import (
	"context"
	"errors"
	"sort"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/feed"
	"github.com/aistudio/secrets/sdk/secretstest"
	"github.com/aistudio/secrets/sdk/spec"
)

// table is DynamoDB as far as the feed uses it, with pages of two items.
type table struct {
	mu    sync.Mutex
	items map[string]map[string]types.AttributeValue // by sort key
	err   error
}

func (d *table) PutItem(_ context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.items == nil {
		d.items = map[string]map[string]types.AttributeValue{}
	}
	d.items[value(in.Item[spec.FeedTime])] = in.Item
	return &dynamodb.PutItemOutput{}, d.err
}

func (d *table) Query(_ context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, d.err
	}
	var keys []string
	for key := range d.items {
		if key >= value(in.ExpressionAttributeValues[":since"]) && key > value(in.ExclusiveStartKey[spec.FeedTime]) {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	out := &dynamodb.QueryOutput{}
	for i, key := range keys {
		if i == 2 {
			out.LastEvaluatedKey = map[string]types.AttributeValue{spec.FeedTime: &types.AttributeValueMemberS{Value: keys[1]}}
			break
		}
		out.Items = append(out.Items, d.items[key])
	}
	return out, nil
}

func value(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	}
	return ""
}

func TestWhatIsPublishedIsRead(t *testing.T) {
	db := &table{}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	now := start
	published := feed.NewTable(db, "feed").WithClock(func() time.Time { return now })
	var want []secrets.Change
	for i := range 5 {
		change := secrets.Change{SecretID: "acme/dev/shop/" + strconv.Itoa(i), VersionID: "v" + strconv.Itoa(i)}
		require.NoError(t, published.Publish(t.Context(), change))
		want = append(want, change)
		now = now.Add(time.Second / 4)
	}
	got, err := published.Changes(t.Context(), start)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	got, err = published.Changes(t.Context(), start.Add(3*time.Second/4))
	require.NoError(t, err)
	assert.Equal(t, want[3:], got)
	got, err = published.Changes(t.Context(), now)
	require.NoError(t, err)
	assert.Empty(t, got)
	for _, item := range db.items {
		assert.Equal(t, spec.FeedName, value(item[spec.FeedKey]))
		expires, err := strconv.ParseInt(value(item[spec.FeedExpiry]), 10, 64)
		require.NoError(t, err)
		assert.InDelta(t, start.Add(feed.Retention).Unix(), expires, 5)
	}
}

func TestErrorsNameTableAndSecret(t *testing.T) {
	down := errors.New("throttled")
	broken := feed.NewTable(&table{err: down}, "feed-dev")
	err := broken.Publish(t.Context(), secrets.Change{SecretID: "acme/dev/shop/db"})
	require.ErrorIs(t, err, down)
	require.ErrorContains(t, err, "acme/dev/shop/db")
	_, err = broken.Changes(t.Context(), time.Now())
	require.ErrorIs(t, err, down)
	require.ErrorContains(t, err, "feed-dev")
	require.Error(t, broken.Publish(t.Context(), secrets.Change{VersionID: "v"}))
}

func TestACacheFollowsTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put("acme/dev/shop/db", "one")
		changes := feed.NewTable(&table{}, "feed")
		client := store.Client(t, secrets.WithClock(time.Now), secrets.WithFeed(changes, 0))
		_, err := client.Get(t.Context(), "acme/dev/shop/db")
		require.NoError(t, err)
		version := store.Put("acme/dev/shop/db", "two")
		require.NoError(t, changes.Publish(t.Context(), secrets.Change{SecretID: secretstest.ARN("acme/dev/shop/db"), VersionID: version}))
		for range 31 {
			time.Sleep(time.Second)
			_, err := client.Get(t.Context(), "acme/dev/shop/db")
			require.NoError(t, err)
		}
		text, err := client.GetString(t.Context(), "acme/dev/shop/db")
		require.NoError(t, err)
		assert.Equal(t, "two", text)
	})
}
