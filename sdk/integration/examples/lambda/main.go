// A Lambda function whose database login comes from the cache.
package main

import (
	"context"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/dbconn/postgres"
)

func main() {
	// Made once, for all invocations of this environment. It reads nothing yet.
	db := postgres.Open(secrets.Default(), os.Getenv("DB_SECRET_ID"), postgres.Options{})

	lambda.Start(func(ctx context.Context) (string, error) {
		var user string
		err := db.QueryRowContext(ctx, "select current_user").Scan(&user)
		return user, err
	})
}
