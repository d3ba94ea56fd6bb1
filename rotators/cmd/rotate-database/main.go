// Command rotate-database is the Lambda function that rotates and seeds the
// secrets of databases. The environment variables that it reads are those of
// package spec: EnvDatabaseCAFile and EnvDatabaseServerNames, and what package
// function reads.
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/aistudio/secrets/rotators/database"
	"github.com/aistudio/secrets/rotators/function"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

func main() { function.Run(spec.KindDatabase, wire) }

func wire(settings function.Settings) (*rotation.Rotator, error) {
	roots, err := database.LoadRoots(os.Getenv("LAMBDA_TASK_ROOT"), os.Getenv(spec.EnvDatabaseCAFile))
	if err != nil {
		return nil, fmt.Errorf("reading what %s names: %w", spec.EnvDatabaseCAFile, err)
	}
	names, err := database.ParseServerNames(os.Getenv(spec.EnvDatabaseServerNames))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", spec.EnvDatabaseServerNames, err)
	}
	client := secretsmanager.NewFromConfig(settings.AWS)
	target := database.New(client, database.Options{
		RootCAs: roots, ServerNames: names, RDS: rds.NewFromConfig(settings.AWS), Region: settings.AWS.Region, Logger: settings.Options.Logger,
	})
	return rotation.New(client, target, settings.Options), nil
}
