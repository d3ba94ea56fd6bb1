// Command rotate-database is the Lambda function that rotates and seeds the
// secrets of databases. The environment variables that it reads are those of
// package spec: EnvLogLevel, EnvDatabaseCAFile, EnvDatabaseServerNames and
// EnvFeedTable.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/aistudio/secrets/rotators/database"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/feed"
	"github.com/aistudio/secrets/sdk/spec"
)

func main() {
	rotator, err := wire(context.Background())
	if err != nil {
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("starting the database rotator", "error", err)
		os.Exit(1)
	}
	lambda.Start(rotator.Handle)
}

func wire(ctx context.Context) (*rotation.Rotator, error) {
	var level slog.Level
	if name := os.Getenv(spec.EnvLogLevel); name != "" {
		if err := level.UnmarshalText([]byte(name)); err != nil {
			return nil, fmt.Errorf("reading %s: %w: use debug, info, warn or error", spec.EnvLogLevel, err)
		}
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	roots, err := database.LoadRoots(os.Getenv("LAMBDA_TASK_ROOT"), os.Getenv(spec.EnvDatabaseCAFile))
	if err != nil {
		return nil, fmt.Errorf("reading what %s names: %w", spec.EnvDatabaseCAFile, err)
	}
	names, err := database.ParseServerNames(os.Getenv(spec.EnvDatabaseServerNames))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", spec.EnvDatabaseServerNames, err)
	}
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("loading the AWS configuration: %w", err)
	}
	options := rotation.Options{Logger: log}
	if table := os.Getenv(spec.EnvFeedTable); table != "" {
		options.Feed = feed.NewTable(dynamodb.NewFromConfig(aws), table)
	}
	client := secretsmanager.NewFromConfig(aws)
	target := database.New(client, database.Options{RootCAs: roots, ServerNames: names, RDS: rds.NewFromConfig(aws), Logger: log})
	return rotation.New(client, target, options), nil
}
