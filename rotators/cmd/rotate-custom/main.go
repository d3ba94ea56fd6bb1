// Command rotate-custom is the Lambda function that rotates and seeds custom
// secrets. The environment variables that it reads are those of package spec:
// EnvLogLevel, EnvFeedTable, EnvPasswordOptions and EnvWebhook.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/aistudio/secrets/rotators/custom"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/feed"
	"github.com/aistudio/secrets/sdk/spec"
)

func main() {
	rotator, err := wire(context.Background())
	if err != nil {
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("starting the rotator of custom secrets", "error", err)
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
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("loading the AWS configuration: %w", err)
	}
	client := secretsmanager.NewFromConfig(aws)
	target, err := custom.Configure(os.Getenv(spec.EnvPasswordOptions), os.Getenv(spec.EnvWebhook), client)
	if err != nil {
		return nil, fmt.Errorf("reading %s and %s: %w", spec.EnvPasswordOptions, spec.EnvWebhook, err)
	}
	options := rotation.Options{Logger: slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))}
	if table := os.Getenv(spec.EnvFeedTable); table != "" {
		options.Feed = feed.NewTable(dynamodb.NewFromConfig(aws), table)
	}
	return rotation.New(client, target, options), nil
}
