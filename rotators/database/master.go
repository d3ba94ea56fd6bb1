package database

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// secretReader is what this package calls of *secretsmanager.Client.
type secretReader interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
}

// master reads the credentials of the user that may alter the secret's users.
// Its password is only ever sent to the server that its own secret names: a
// writer of the other secret could have it sent to a server of their own.
func (t *Target) master(ctx context.Context, arn string, c change) (spec.Database, error) {
	arn = t.nearby(arn)
	doing := fmt.Sprintf("reading the master secret %s", arn)
	output, err := t.masters.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn, VersionStage: aws.String("AWSCURRENT")})
	if err != nil {
		return spec.Database{}, denied(doing, "read it", err)
	}
	value := spec.NewValue(output.SecretBinary)
	if output.SecretString != nil {
		value = spec.ValueString(*output.SecretString)
	}
	if value, err = t.locate(ctx, arn, value); err != nil {
		return spec.Database{}, fmt.Errorf("%s: %w", doing, err)
	}
	master, _, err := t.read("master secret's", value)
	if err != nil {
		return spec.Database{}, fmt.Errorf("%s: %w", doing, err)
	}
	for _, user := range []string{c.base, c.clone, c.owner} {
		if master.Username == user {
			return spec.Database{}, fmt.Errorf("the master secret %s is for user %q, who can't be one of the users that are rotated by it (%w)",
				arn, master.Username, rotation.ErrDefinite)
		}
	}
	return master.Database, nil
}

// nearby is the ARN of a secret, or of its replica in the target's region: a
// secret that was promoted in a second region still names the master of the
// first one, and replicas have the name and suffix of their secrets.
func (t *Target) nearby(arn string) string {
	parts := strings.Split(arn, ":")
	if t.region == "" || len(parts) != 7 || parts[2] != "secretsmanager" {
		return arn
	}
	parts[3] = t.region
	return strings.Join(parts, ":")
}

// denied tells what the function's role needs, when AWS's answer was final.
func denied(doing, permission string, err error) error {
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorFault() == smithy.FaultClient && api.ErrorCode() != "ThrottlingException" && api.ErrorCode() != "Throttling" {
		return fmt.Errorf("%s: %w: the function's role must be allowed to %s (%w)", doing, err, permission, rotation.ErrDefinite)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// sameServer refuses a master for another server than the secret's, unless the
// secret's is a replica of it, where nothing can be changed. Then the current
// value must log in at the master's server too, since that is where it gives
// the right to change its other user.
func (t *Target) sameServer(ctx context.Context, e engine, masterARN string, master, current spec.Database) error {
	if sameHost(master.Host, current.Host) && port(master) == port(current) {
		return nil
	}
	mismatch := fmt.Sprintf("the master secret %s is for %s:%d and the secret for %s:%d: they must be for the same server, or for one and its replica",
		masterARN, master.Host, port(master), current.Host, port(current))
	if current.Username == "" { // its user is made where the master is
		return fmt.Errorf("%s (%w)", mismatch, rotation.ErrDefinite)
	}
	follows, err := e.follows(ctx, current, master)
	if err != nil {
		return fmt.Errorf("%s: %w", mismatch, err)
	}
	if !follows {
		return fmt.Errorf("%s (%w)", mismatch, rotation.ErrDefinite)
	}
	atPrimary := current
	atPrimary.Host, atPrimary.Port = master.Host, master.Port
	if err := e.login(ctx, atPrimary); err != nil {
		return wrap(err, fmt.Sprintf("the current value must log in at the primary, %s:%d, too", master.Host, port(master)))
	}
	return nil
}
