package feed_test

import (
	"context"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/feed"
	"github.com/aistudio/secrets/sdk/spec"
)

func Example() {
	ctx := context.Background()
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	table := feed.NewTable(dynamodb.NewFromConfig(aws), os.Getenv(spec.EnvFeedTable))
	client, err := secrets.New(ctx, secrets.WithConfig(aws), secrets.WithFeed(table, 0))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
}
