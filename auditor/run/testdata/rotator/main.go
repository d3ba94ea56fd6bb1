// Command rotator is a rotation function for the tests: it makes new values, or
// fails in its second step if it is told to. It never reads a value, so a secret
// that nobody else reads stays unread.
package main

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

type event struct{ Step, SecretId, ClientRequestToken, RotationToken string }

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		panic(err)
	}
	client := secretsmanager.NewFromConfig(cfg)
	lambda.Start(func(ctx context.Context, e event) error { return rotate(ctx, client, e) })
}

func rotate(ctx context.Context, client *secretsmanager.Client, e event) error {
	described, err := client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &e.SecretId})
	if err != nil {
		return err
	}
	switch e.Step {
	case "createSecret":
		password, err := client.GetRandomPassword(ctx, &secretsmanager.GetRandomPasswordInput{})
		if err != nil {
			return err
		}
		_, err = client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: &e.SecretId, ClientRequestToken: &e.ClientRequestToken, RotationToken: &e.RotationToken,
			SecretString: password.RandomPassword, VersionStages: []string{"AWSPENDING"},
		})
		var exists *types.ResourceExistsException
		if errors.As(err, &exists) {
			return nil // from an attempt before
		}
		return err
	case "setSecret":
		if os.Getenv("FAILS") != "" {
			return errors.New("the system refused the new value")
		}
	case "finishSecret":
		for version, stages := range described.VersionIdsToStages {
			if slices.Contains(stages, "AWSCURRENT") && version != e.ClientRequestToken {
				_, err := client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
					SecretId: &e.SecretId, VersionStage: aws.String("AWSCURRENT"),
					MoveToVersionId: &e.ClientRequestToken, RemoveFromVersionId: &version,
				})
				if err != nil {
					return err
				}
			}
		}
		// Left on the version, the label would look like a rotation that isn't
		// complete as soon as somebody puts a value by hand.
		_, err := client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &e.SecretId, VersionStage: aws.String("AWSPENDING"), RemoveFromVersionId: &e.ClientRequestToken,
		})
		return err
	}
	return nil
}
