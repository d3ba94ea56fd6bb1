// Package feed is the rotation feed: a DynamoDB table of which secret got a new
// version when. Who rotates secrets publishes to it; caches ask it what changed
// (see secrets.WithFeed).
//
//	table := feed.NewTable(dynamodb.NewFromConfig(config), os.Getenv(spec.EnvFeedTable))
//	client, err := secrets.New(ctx, secrets.WithFeed(table, 0))
//
// A cache needs the permission dynamodb:Query on the table, a publisher
// dynamodb:PutItem.
package feed

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/spec"
)

// Retention is how long an entry stays in the table before DynamoDB's time to
// live removes it. Caches look back by minutes; the rest is for people.
const Retention = 7 * 24 * time.Hour

// API is what is needed of DynamoDB. *dynamodb.Client is one.
type API interface {
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Table is a rotation feed in a DynamoDB table. It is safe for concurrent use.
type Table struct {
	api  API
	name string
	now  func() time.Time
}

var _ secrets.Feed = (*Table)(nil)

// NewTable returns the feed in the table of that name or ARN.
func NewTable(api API, name string) *Table { return &Table{api: api, name: name, now: time.Now} }

// WithClock returns the feed with another clock to date entries by, for tests.
func (t *Table) WithClock(now func() time.Time) *Table {
	return &Table{api: t.api, name: t.name, now: now}
}

// Publish notes that the secret has a new current version now. Doing so twice
// does no harm.
func (t *Table) Publish(ctx context.Context, change secrets.Change) error {
	if change.SecretID == "" {
		return errors.New("publish to the rotation feed: the change names no secret")
	}
	now := t.now()
	_, err := t.api.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &t.name,
		Item: map[string]types.AttributeValue{
			spec.FeedKey:     text(spec.FeedName),
			spec.FeedTime:    text(sortKey(now) + "#" + change.SecretID),
			spec.FeedSecret:  text(change.SecretID),
			spec.FeedVersion: text(change.VersionID),
			spec.FeedExpiry:  &types.AttributeValueMemberN{Value: strconv.FormatInt(now.Add(Retention).Unix(), 10)},
		},
	})
	if err != nil {
		return fmt.Errorf("publish secret %q to the rotation feed %q: %w", change.SecretID, t.name, err)
	}
	return nil
}

// Changes returns the changes noted since a time, oldest first. It is one
// request unless there are thousands of them.
func (t *Table) Changes(ctx context.Context, since time.Time) ([]secrets.Change, error) {
	pages := dynamodb.NewQueryPaginator(t.api, &dynamodb.QueryInput{
		TableName:                 &t.name,
		KeyConditionExpression:    aws.String("#feed = :feed AND #time >= :since"),
		ExpressionAttributeNames:  map[string]string{"#feed": spec.FeedKey, "#time": spec.FeedTime},
		ExpressionAttributeValues: map[string]types.AttributeValue{":feed": text(spec.FeedName), ":since": text(sortKey(since))},
	})
	var changes []secrets.Change
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the rotation feed %q: %w", t.name, err)
		}
		for _, item := range page.Items {
			if change := (secrets.Change{SecretID: read(item[spec.FeedSecret]), VersionID: read(item[spec.FeedVersion])}); change.SecretID != "" {
				changes = append(changes, change)
			}
		}
	}
	return changes, nil
}

// sortKey writes a time so that text sorts as time does.
func sortKey(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func read(value types.AttributeValue) string {
	if s, ok := value.(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}
