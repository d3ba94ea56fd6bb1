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

// credential is a secret by which a rotation function changes another system:
// of the user who makes a database's other users, of an API's administrator. It
// isn't the stack's own: RDS manages it, or who set up the system put it.
type credential = rotationfunction.Credential

// findCredentials looks up what the rotation functions that have something to
// do read beside their secrets, by the path of its key.
func findCredentials(ctx *pulumi.Context, stack catalogue.Stack, account account) (map[string]credential, error) {
	needed := map[string]bool{}
	for _, secret := range stack.Secrets {
		if !secret.NeedsRotator() {
			continue
		}
		for _, path := range sorted(stack.CredentialsOf(secret)) {
			needed[path] = true
		}
	}
	configured := stack.Credentials()
	found := map[string]credential{}
	var errs []error
	for _, path := range sorted(needed) {
		credential, err := findCredential(ctx, configured[path], stack.Region, account)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
		found[path] = credential
	}
	return found, errors.Join(errs...)
}

func masterPath(server string) string { return catalogue.KeyDatabases + "." + server + ".master" }

func findCredential(ctx *pulumi.Context, id, region string, account account) (credential, error) {
	args := &secretsmanager.LookupSecretArgs{Name: &id}
	if strings.HasPrefix(id, "arn:") {
		args = &secretsmanager.LookupSecretArgs{Arn: &id}
	}
	found, err := secretsmanager.LookupSecret(ctx, args)
	if err != nil {
		return credential{}, fmt.Errorf("look up the secret %s (it must be there before the stack is deployed): %w", id, err)
	}
	key := found.KmsKeyId
	switch {
	case key == "alias/aws/secretsmanager":
		key = ""
	case strings.Contains(key, "alias/"):
		return credential{}, fmt.Errorf("the secret %s names its key by the alias %s, which no IAM policy can: give the secret the key's ARN", id, key)
	case key != "" && !strings.HasPrefix(key, "arn:"):
		key = fmt.Sprintf("arn:%s:kms:%s:%s:key/%s", account.partition, region, account.id, key)
	}
	return credential{ARN: found.Arn, KeyARN: key, ServersARN: managedServers(found.Arn, region, account)}, nil
}

// managedServers matches the database servers among which the one is whose
// master secret RDS manages. RDS names such secrets by an ID that is in no ARN.
func managedServers(secretARN, region string, account account) string {
	for prefix, kind := range map[string]string{":secret:rds!cluster-": "cluster", ":secret:rds!db-": "db"} {
		if strings.Contains(secretARN, prefix) {
			return strings.Join([]string{"arn", account.partition, "rds", region, account.id, kind, "*"}, ":")
		}
	}
	return ""
}
