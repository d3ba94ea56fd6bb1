// Command rotate-api-key is the Lambda function that rotates and seeds API
// keys. The environment variables that it reads are those of package spec:
// EnvAPIKeyPrefix and EnvAPIKeyIssuer, and what package function reads.
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/aistudio/secrets/rotators/apikey"
	"github.com/aistudio/secrets/rotators/function"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

func main() { function.Run(spec.KindAPIKey, wire) }

func wire(settings function.Settings) (*rotation.Rotator, error) {
	client := secretsmanager.NewFromConfig(settings.AWS)
	target, err := apikey.New(os.Getenv(spec.EnvAPIKeyPrefix), os.Getenv(spec.EnvAPIKeyIssuer), client)
	if err != nil {
		return nil, fmt.Errorf("reading %s and %s: %w", spec.EnvAPIKeyPrefix, spec.EnvAPIKeyIssuer, err)
	}
	return rotation.New(client, target, settings.Options), nil
}
