package remote

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// SecretReader is what ReadSecret calls of *secretsmanager.Client.
type SecretReader interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// ReadSecret returns the current value of another secret, by which a rotator
// shows that it may use a system.
func ReadSecret(ctx context.Context, reader SecretReader, id string) (spec.Value, error) {
	output, err := reader.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: aws.String("AWSCURRENT")})
	var api smithy.APIError
	switch {
	case errors.As(err, &api) && api.ErrorFault() == smithy.FaultClient && api.ErrorCode() != "ThrottlingException":
		return spec.Value{}, fmt.Errorf("reading the secret %s: %w: the function's role must be allowed to read it (%w)", id, err, rotation.ErrDefinite)
	case err != nil:
		return spec.Value{}, fmt.Errorf("reading the secret %s: %w", id, err)
	case output.SecretString != nil:
		return spec.ValueString(*output.SecretString), nil
	}
	return spec.NewValue(output.SecretBinary), nil
}
