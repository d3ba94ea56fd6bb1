// A service on ECS whose database login comes from the cache, which learns of
// rotations from the feed.
package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/dbconn/postgres"
	"github.com/aistudio/secrets/sdk/feed"
)

func main() {
	ctx := context.Background()
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	changes := feed.NewTable(dynamodb.NewFromConfig(aws), os.Getenv("SECRETS_FEED_TABLE"))
	client, err := secrets.New(ctx, secrets.WithConfig(aws), secrets.WithFeed(changes, 0))
	if err != nil {
		log.Fatal(err)
	}
	db := postgres.Open(client, os.Getenv("DB_SECRET_ID"), postgres.Options{})

	http.HandleFunc("/user", func(w http.ResponseWriter, r *http.Request) {
		var user string
		if err := db.QueryRowContext(r.Context(), "select current_user").Scan(&user); err != nil {
			log.Print(err) // no error of the SDK's has a value in it
			http.Error(w, "the database doesn't answer", http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, user)
	})
	server := &http.Server{Addr: os.Getenv("LISTEN"), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}
