// Command auditor is the Lambda function that audits a stack's secrets once a
// day. See package function.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/aistudio/secrets/auditor/function"
	"github.com/aistudio/secrets/auditor/run"
	"github.com/aistudio/secrets/sdk/spec"
)

func main() {
	run.LimitMemory()
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
	f := &function.Function{AWS: cfg, Getenv: os.Getenv, Output: os.Stdout, Log: log}
	lambda.Start(f.Handle)
}
