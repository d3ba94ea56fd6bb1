package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

// secretReader is what this package calls of *secretsmanager.Client.
type secretReader interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// master reads the credentials of the user that may alter the secret's users.
// They must be for the same server: otherwise a writer of the secret could
// have the master's password sent to a server of their own.
func (t *Target) master(ctx context.Context, d spec.Database) (spec.Database, error) {
	doing := fmt.Sprintf("reading the master secret %s", d.MasterARN)
	output, err := t.masters.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &d.MasterARN, VersionStage: aws.String("AWSCURRENT")})
	var api smithy.APIError
	switch {
	case errors.As(err, &api) && api.ErrorFault() == smithy.FaultClient && api.ErrorCode() != "ThrottlingException":
		return spec.Database{}, fmt.Errorf("%s: %w: the function's role must be allowed to read it (%w)", doing, err, rotation.ErrDefinite)
	case err != nil:
		return spec.Database{}, fmt.Errorf("%s: %w", doing, err)
	}
	value := spec.NewValue(output.SecretBinary)
	if output.SecretString != nil {
		value = spec.ValueString(*output.SecretString)
	}
	master, err := read("master secret's", value)
	if err != nil {
		return spec.Database{}, fmt.Errorf("%s: %w", doing, err)
	}
	if !sameHost(master.Host, d.Host) || port(master) != port(d) {
		return spec.Database{}, fmt.Errorf("the master secret %s is for %s:%d and the secret for %s:%d: they must be for the same server (%w)",
			d.MasterARN, master.Host, port(master), d.Host, port(d), rotation.ErrDefinite)
	}
	users, err := usersOf(d.Username)
	if err != nil {
		return spec.Database{}, err
	}
	switch master.Username {
	case users.base, users.clone, users.owner:
		return spec.Database{}, fmt.Errorf("the master secret %s is for user %q, who can't be one of the users that alternate (%w)",
			d.MasterARN, master.Username, rotation.ErrDefinite)
	}
	// Grants and owners are of one database, the secret's.
	master.DBName = dbname(d)
	return master, nil
}
