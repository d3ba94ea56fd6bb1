// Command migration-scan is the Lambda function that looks once a day for secrets
// in plaintext. See package scanfunction.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/aistudio/secrets/migrator/quota"
	"github.com/aistudio/secrets/migrator/scanfunction"
	"github.com/aistudio/secrets/sdk/spec"
)

func main() {
	var level slog.Level
	if err := level.UnmarshalText([]byte(os.Getenv(spec.EnvLogLevel))); err != nil {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: level}))
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Error("read the AWS configuration", "error", err)
		os.Exit(1)
	}
	f := &scanfunction.Function{AWS: cfg, Getenv: os.Getenv, Output: os.Stdout, Log: log, Quotas: quota.AWS()}
	lambda.Start(f.Handle)
}
