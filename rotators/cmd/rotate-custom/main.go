// Command rotate-custom is the Lambda function that rotates and seeds custom
// secrets. The environment variables that it reads are those of package spec:
// EnvPasswordOptions, EnvWebhook, EnvApplier, and what package function reads.
package main

import (
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/aistudio/secrets/rotators/custom"
	"github.com/aistudio/secrets/rotators/function"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

func main() { function.Run(spec.KindCustom, wire) }

func wire(settings function.Settings) (*rotation.Rotator, error) {
	client := secretsmanager.NewFromConfig(settings.AWS)
	target, err := custom.Configure(custom.Config{
		Options: os.Getenv(spec.EnvPasswordOptions), Webhook: os.Getenv(spec.EnvWebhook), Function: os.Getenv(spec.EnvApplier),
	}, client, lambda.NewFromConfig(settings.AWS))
	if err != nil {
		return nil, fmt.Errorf("reading %s, %s and %s: %w", spec.EnvPasswordOptions, spec.EnvWebhook, spec.EnvApplier, err)
	}
	return rotation.New(client, target, settings.Options), nil
}
