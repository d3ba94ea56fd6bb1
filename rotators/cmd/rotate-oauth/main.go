// Command rotate-oauth is the Lambda function that rotates the tokens of OAuth
// clients. What it needs to know stands in the secrets; of the environment it
// reads what package function does.
package main

import (
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/aistudio/secrets/rotators/function"
	"github.com/aistudio/secrets/rotators/oauth"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

func main() { function.Run(spec.KindOAuth, wire) }

func wire(settings function.Settings) (*rotation.Rotator, error) {
	return rotation.New(secretsmanager.NewFromConfig(settings.AWS), oauth.New(nil), settings.Options), nil
}
