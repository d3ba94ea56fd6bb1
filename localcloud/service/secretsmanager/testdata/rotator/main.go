// Command rotator is a rotation function for a secret without a service behind
// it, built and run by the tests as Lambda runs any function.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

type event struct{ Step, SecretId, ClientRequestToken, RotationToken string }

func main() {
	client := secretsmanager.NewFromConfig(aws.Config{
		Region:       os.Getenv("AWS_REGION"),
		BaseEndpoint: aws.String(os.Getenv("AWS_ENDPOINT_URL")),
		Credentials: credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")),
	})
	lambda.Start(func(ctx context.Context, e event) error { return rotate(ctx, client, e) })
}

func rotate(ctx context.Context, client *secretsmanager.Client, e event) error {
	d, err := client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &e.SecretId})
	if err != nil {
		return err
	}
	stages := d.VersionIdsToStages[e.ClientRequestToken]
	if slices.Contains(stages, "AWSCURRENT") {
		return nil
	}
	if !slices.Contains(stages, "AWSPENDING") {
		return fmt.Errorf("version %s is not pending", e.ClientRequestToken)
	}
	pending := &secretsmanager.GetSecretValueInput{SecretId: &e.SecretId, VersionId: &e.ClientRequestToken, VersionStage: aws.String("AWSPENDING")}
	switch e.Step {
	case "createSecret":
		var missing *types.ResourceNotFoundException
		if _, err := client.GetSecretValue(ctx, pending); !errors.As(err, &missing) {
			return err
		}
		password, err := client.GetRandomPassword(ctx, &secretsmanager.GetRandomPasswordInput{})
		if err != nil {
			return err
		}
		_, err = client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: &e.SecretId, ClientRequestToken: &e.ClientRequestToken, RotationToken: &e.RotationToken,
			SecretString: password.RandomPassword, VersionStages: []string{"AWSPENDING"},
		})
		return err
	case "testSecret":
		_, err := client.GetSecretValue(ctx, pending)
		return err
	case "finishSecret":
		for version, stages := range d.VersionIdsToStages {
			if slices.Contains(stages, "AWSCURRENT") {
				_, err := client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
					SecretId: &e.SecretId, VersionStage: aws.String("AWSCURRENT"),
					MoveToVersionId: &e.ClientRequestToken, RemoveFromVersionId: &version,
				})
				return err
			}
		}
	}
	return nil
}
