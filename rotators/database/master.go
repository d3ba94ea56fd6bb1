package database

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

// secretReader is what this package calls of *secretsmanager.Client.
type secretReader interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// master reads the credentials of the user that may alter the secret's users.
// Its password is only ever sent to the server that its own secret names: a
// writer of the other secret could have it sent to a server of their own.
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

// sameServer refuses a master for another server than the secret's, unless the
// secret's is a replica of it, where nothing can be changed. Then the current
// value must log in at the master's server too, since that is where it gives
// the right to change its other user.
func (t *Target) sameServer(ctx context.Context, master, current spec.Database) error {
	if sameHost(master.Host, current.Host) && port(master) == port(current) {
		return nil
	}
	mismatch := fmt.Sprintf("the master secret %s is for %s:%d and the secret for %s:%d: they must be for the same server, or for one and its replica",
		current.MasterARN, master.Host, port(master), current.Host, port(current))
	if current.Username == "" { // a seed: its user is made where the master is
		return fmt.Errorf("%s (%w)", mismatch, rotation.ErrDefinite)
	}
	replica, inRecovery, err := t.servers.identify(ctx, current)
	if err != nil {
		return wrap(err, mismatch+": asking the secret's")
	}
	primary, _, err := t.servers.identify(ctx, master)
	if err != nil {
		return wrap(err, mismatch+": asking the master's")
	}
	if !inRecovery || replica != primary {
		return fmt.Errorf("%s (%w)", mismatch, rotation.ErrDefinite)
	}
	atPrimary := current
	atPrimary.Host, atPrimary.Port = master.Host, master.Port
	if err := t.servers.login(ctx, atPrimary); err != nil {
		return wrap(err, fmt.Sprintf("the current value must log in at the primary, %s:%d, too", master.Host, port(master)))
	}
	return nil
}
