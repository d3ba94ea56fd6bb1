package managedsecret

import (
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
)

// What only some may do with a secret. Reading its metadata is left to IAM:
// auditors need it, and it holds no value.
var (
	reading = []string{"secretsmanager:GetSecretValue"}
	writing = []string{"secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"}
	// managing is the rest of what changes a secret (Secrets Manager user guide,
	// "Actions, resources, and condition keys").
	managing = []string{
		"secretsmanager:CancelRotateSecret", "secretsmanager:DeleteResourcePolicy", "secretsmanager:DeleteSecret",
		"secretsmanager:PutResourcePolicy", "secretsmanager:RemoveRegionsFromReplication",
		"secretsmanager:ReplicateSecretToRegions", "secretsmanager:RestoreSecret", "secretsmanager:RotateSecret",
		"secretsmanager:StopReplicationToReplica", "secretsmanager:TagResource", "secretsmanager:UntagResource",
		"secretsmanager:UpdateSecret",
	}
)

// secretPolicy denies, and allows nothing: what a role may do comes from its
// own policies, and no mistake in those opens the secret to others.
func secretPolicy(args Args) pulumi.StringOutput {
	readers := pulumi.StringArray{}
	for _, reader := range args.Readers {
		readers = append(readers, reader.RoleARN)
	}
	return readers.ToStringArrayOutput().ApplyT(func(readers []string) (string, error) {
		managers := slices.Clone(args.Administrators)
		writers := slices.Clone(managers)
		if args.RotatorRoleARN != "" {
			writers = append(writers, args.RotatorRoleARN)
		}
		return policy.Document{
			denyOthers("ReadByOthers", reading, slices.Concat(writers, readers)),
			denyOthers("WriteByOthers", writing, writers),
			denyOthers("ManageByOthers", managing, managers),
			policy.WithoutTLS("secretsmanager:*", policy.This),
		}.JSON()
	}).(pulumi.StringOutput)
}

// denyOthers denies actions to everybody but the principals, compared by the
// ARN of the user or role, which also matches a role's sessions (IAM user
// guide, "aws:PrincipalArn").
func denyOthers(sid string, actions, principals []string) policy.Statement {
	return policy.Statement{
		Sid:       sid,
		Effect:    policy.Deny,
		Principal: &policy.Principal{AWS: []string{policy.Everyone}},
		Action:    actions,
		Resource:  []string{policy.This},
		Condition: policy.Condition{"ArnNotEquals": {"aws:PrincipalArn": principals}},
	}
}

// readerPolicy lets a role read the secret, and decrypt with the key only what
// Secrets Manager encrypted for this secret.
func readerPolicy(args Args, arn pulumi.StringOutput) pulumi.StringOutput {
	replicaKey := pulumi.StringInput(pulumi.String(""))
	if args.Replica != nil {
		replicaKey = args.Replica.KeyARN
	}
	return pulumi.All(arn, args.KeyARN, replicaKey).ApplyT(func(all []any) (string, error) {
		secrets, keys, regions := []string{all[0].(string)}, []string{all[1].(string)}, []string{args.Region}
		if args.Replica != nil {
			secrets = append(secrets, replicaARN(secrets[0], args.Replica.Region))
			keys = append(keys, all[2].(string))
			regions = append(regions, args.Replica.Region)
		}
		decrypt := policy.ThroughSecretsManager(regions...)
		// Secrets Manager encrypts with the secret's ARN as context (user guide,
		// "Secrets Manager encryption context").
		decrypt["StringEquals"]["kms:EncryptionContext:SecretARN"] = secrets
		return policy.Document{
			{Sid: "Read", Effect: policy.Allow, Action: reading, Resource: secrets},
			{Sid: "Decrypt", Effect: policy.Allow, Action: []string{"kms:Decrypt"}, Resource: keys, Condition: decrypt},
		}.JSON()
	}).(pulumi.StringOutput)
}

// replicaARN returns the ARN of a secret's replica, which differs only in the
// region (user guide, "Replicate secrets across Regions").
func replicaARN(arn, region string) string {
	const regionField = 3
	fields := strings.Split(arn, ":")
	if len(fields) > regionField {
		fields[regionField] = region
	}
	return strings.Join(fields, ":")
}
