// Command rotation-feed is the Lambda function that writes the rotation feed.
// EventBridge invokes it with CloudTrail's events of Secrets Manager. It reads
// the environment variables EnvFeedTable, EnvMetricsEnvironment and EnvLogLevel of
// package spec.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/aistudio/secrets/rotators/emf"
	"github.com/aistudio/secrets/rotators/rotationfeed"
	"github.com/aistudio/secrets/sdk/feed"
	"github.com/aistudio/secrets/sdk/spec"
)

func main() {
	writer, err := wire(context.Background())
	if err != nil {
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("starting the writer of the rotation feed", "error", err)
		os.Exit(1)
	}
	lambda.Start(writer.Handle)
}

func wire(ctx context.Context) (*rotationfeed.Writer, error) {
	var level slog.Level
	if name := os.Getenv(spec.EnvLogLevel); name != "" {
		if err := level.UnmarshalText([]byte(name)); err != nil {
			return nil, fmt.Errorf("reading %s: %w: use debug, info, warn or error", spec.EnvLogLevel, err)
		}
	}
	table := os.Getenv(spec.EnvFeedTable)
	if table == "" {
		return nil, fmt.Errorf("%s isn't set: it names the table of the rotation feed", spec.EnvFeedTable)
	}
	metrics := emf.New(os.Stdout, spec.MetricNamespace)
	environment := os.Getenv(spec.EnvMetricsEnvironment)
	if environment == "" {
		metrics = nil // CloudWatch takes no dimension without a value
	}
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("loading the AWS configuration: %w", err)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	return rotationfeed.New(feed.NewTable(dynamodb.NewFromConfig(aws), table), log, metrics, environment), nil
}
