// Package function is what the rotation functions' programs have in common: the
// settings that all of them read from their environment.
package function

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/aistudio/secrets/rotators/emf"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/feed"
	"github.com/aistudio/secrets/sdk/spec"
)

// Settings are what every rotation function has.
type Settings struct {
	AWS     aws.Config
	Options rotation.Options // with logger, metrics and feed
}

// Run makes the rotator of a kind of secrets and hands it the events that Lambda
// sends. It doesn't return: if the rotator can't be made, it logs why and ends
// the process, which Lambda reports as a failed start.
//
// It reads the environment variables EnvLogLevel and EnvFeedTable of package
// spec, and AWS's own.
func Run(kind spec.Kind, wire func(Settings) (*rotation.Rotator, error)) {
	rotator, err := New(context.Background(), kind, wire)
	if err != nil {
		slog.New(slog.NewJSONHandler(os.Stderr, nil)).Error("starting the rotation function", "kind", kind, "error", err)
		os.Exit(1)
	}
	lambda.Start(rotator.Serve)
}

// New is Run without Lambda: it returns the rotator that the environment asks
// for, or all that the environment got wrong.
func New(ctx context.Context, kind spec.Kind, wire func(Settings) (*rotation.Rotator, error)) (*rotation.Rotator, error) {
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
	settings := Settings{AWS: aws, Options: rotation.Options{
		Kind:    kind,
		Logger:  slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
		Metrics: emf.New(os.Stdout, spec.MetricNamespace),
	}}
	if table := os.Getenv(spec.EnvFeedTable); table != "" {
		settings.Options.Feed = feed.NewTable(dynamodb.NewFromConfig(aws), table)
	}
	return wire(settings)
}
