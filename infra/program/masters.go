package program

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/secretsmanager"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/infra/rotationfunction"
)

// master is the secret of the user who makes a server's other users. It isn't
// the stack's own: RDS manages it, or who set up the server put it.
type master = rotationfunction.Master

// findMasters looks up the master secrets of the servers that the rotation
// functions work on, by the server's name.
func findMasters(ctx *pulumi.Context, stack catalogue.Stack, account account) (map[string]master, error) {
	masters := map[string]master{}
	var errs []error
	for _, secret := range stack.Secrets {
		server := secret.Database.Server
		if _, done := masters[server]; done || server == "" || !secret.NeedsRotator() {
			continue
		}
		found, err := findMaster(ctx, stack.Databases[server].Master, stack.Region, account)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s.%s.master: %w", catalogue.KeyDatabases, server, err))
		}
		masters[server] = found
	}
	return masters, errors.Join(errs...)
}

func findMaster(ctx *pulumi.Context, id, region string, account account) (master, error) {
	args := &secretsmanager.LookupSecretArgs{Name: &id}
	if strings.HasPrefix(id, "arn:") {
		args = &secretsmanager.LookupSecretArgs{Arn: &id}
	}
	found, err := secretsmanager.LookupSecret(ctx, args)
	if err != nil {
		return master{}, fmt.Errorf("look up the secret %s (it must be there before the stack is deployed): %w", id, err)
	}
	key := found.KmsKeyId
	switch {
	case key == "alias/aws/secretsmanager":
		key = ""
	case strings.Contains(key, "alias/"):
		return master{}, fmt.Errorf("the secret %s names its key by the alias %s, which no IAM policy can: give the secret the key's ARN", id, key)
	case key != "" && !strings.HasPrefix(key, "arn:"):
		key = fmt.Sprintf("arn:%s:kms:%s:%s:key/%s", account.partition, region, account.id, key)
	}
	return master{ARN: found.Arn, KeyARN: key}, nil
}
