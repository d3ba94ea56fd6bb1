package rotationfunction

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
)

// Access is what a function's role reaches.
type Access struct {
	Secrets       []pulumi.StringInput // ARNs of the secrets that it rotates
	KeyARN        pulumi.StringInput   // key of those
	ReplicaRegion string               // where those are replicated to; "": nowhere
	ReplicaKeyARN pulumi.StringInput   // key of the replicas
	Credentials   []Credential         // by which it changes other systems
	ApplierARN    string               // function that applies values on its behalf; "": none
	FeedTableARN  pulumi.StringInput   // rotation feed that it tells; nil: none
	FeedReplica   pulumi.StringInput   // the feed's replica in ReplicaRegion; nil: none
}

// What a managed policy of 6,144 characters has room for, beside all else that a
// function needs (IAM user guide, "IAM and AWS STS quotas"): a secret is named
// once, by up to 200 characters, a credential up to three times, with its key and
// servers.
const (
	secretsAPolicy     = 15
	credentialsAPolicy = 10
)

// standby is what the function's role may do in the replica's region, once
// secrets are promoted there, in as many policies as it takes. Replicas have the
// names and suffixes of their secrets (Secrets Manager user guide, "Replicate
// secrets"), and those of multi-region keys their IDs.
func (a Access) standby(region string) []pulumi.Output {
	replica := func(arn string) string {
		return strings.Replace(arn, ":"+region+":", ":"+a.ReplicaRegion+":", 1)
	}
	var credentials []Credential
	for _, credential := range a.Credentials {
		key := ""
		if strings.Contains(credential.KeyARN, ":key/mrk-") {
			key = replica(credential.KeyARN)
		}
		credentials = append(credentials, Credential{ARN: replica(credential.ARN), KeyARN: key, ServersARN: replica(credential.ServersARN)})
	}
	var all []pulumi.Output
	for part := range slices.Chunk(a.Secrets, secretsAPolicy) {
		there := Access{KeyARN: a.ReplicaKeyARN}
		for _, arn := range part {
			there.Secrets = append(there.Secrets, arn.ToStringOutput().ApplyT(replica).(pulumi.StringOutput))
		}
		if len(all) == 0 {
			there.FeedTableARN = a.FeedReplica
		}
		all = append(all, there.statements(a.ReplicaRegion))
	}
	for part := range slices.Chunk(credentials, credentialsAPolicy) {
		all = append(all, pulumi.ToOutput(Access{Credentials: part}.readCredentials(a.ReplicaRegion)))
	}
	return all
}

// Credential is a secret that the function only reads: the user who makes other
// users of a database, the administrator of an API, the key that signs requests.
type Credential struct {
	ARN    string
	KeyARN string // "": AWS's own key for Secrets Manager, which needs no permission

	// ServersARN matches the database servers one of which the secret's tags
	// name, because RDS manages it; "": RDS doesn't.
	ServersARN string
}

func (a Access) validate() []error {
	var errs []error
	if len(a.Secrets) == 0 {
		errs = append(errs, errors.New("Access.Secrets is missing: the function would have nothing to rotate"))
	}
	if a.KeyARN == nil {
		errs = append(errs, errors.New("Access.KeyARN is missing"))
	}
	if a.ReplicaRegion != "" && a.ReplicaKeyARN == nil {
		errs = append(errs, errors.New("Access.ReplicaKeyARN is missing"))
	}
	for _, credential := range a.Credentials {
		if credential.ARN == "" {
			errs = append(errs, fmt.Errorf("credential %+v: ARN is missing", credential))
		}
	}
	return errs
}

// statements is the policy.Document of the function's role.
func (a Access) statements(region string) pulumi.Output {
	none := pulumi.String("")
	replicaKey, table := a.ReplicaKeyARN, a.FeedTableARN
	if replicaKey == nil {
		replicaKey = none
	}
	if table == nil {
		table = none
	}
	return pulumi.All(pulumi.StringArray(a.Secrets), a.KeyARN, replicaKey, table).ApplyT(func(all []any) policy.Document {
		document := policy.Document{
			{
				Sid:    "Rotate",
				Effect: policy.Allow,
				Action: []string{
					"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue",
					"secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage",
				},
				Resource: all[0].([]string),
			},
			{
				Sid:       "Encrypt",
				Effect:    policy.Allow,
				Action:    []string{"kms:Decrypt", "kms:GenerateDataKey"},
				Resource:  []string{all[1].(string)},
				Condition: policy.ThroughSecretsManager(region),
			},
		}
		if a.ReplicaRegion != "" {
			document = append(document, policy.Statement{
				// Secrets Manager writes the replica on behalf of who writes the
				// secret (user guide, "Troubleshoot replication").
				Sid:       "EncryptReplica",
				Effect:    policy.Allow,
				Action:    []string{"kms:Encrypt", "kms:GenerateDataKey"},
				Resource:  []string{all[2].(string)},
				Condition: policy.ThroughSecretsManager(region, a.ReplicaRegion),
			})
		}
		document = append(document, a.readCredentials(region)...)
		if a.ApplierARN != "" {
			document = append(document, policy.Statement{
				Sid:      "Apply",
				Effect:   policy.Allow,
				Action:   []string{"lambda:InvokeFunction"},
				Resource: []string{a.ApplierARN},
			})
		}
		if arn := all[3].(string); arn != "" {
			document = append(document, policy.Statement{
				Sid:      "TellFeed",
				Effect:   policy.Allow,
				Action:   []string{"dynamodb:PutItem"},
				Resource: []string{arn},
			})
		}
		return document
	})
}

func (a Access) readCredentials(region string) policy.Document {
	var secrets, keys []string
	for _, credential := range a.Credentials {
		secrets = append(secrets, credential.ARN)
		if credential.KeyARN != "" {
			keys = append(keys, credential.KeyARN)
		}
	}
	var document policy.Document
	if len(secrets) > 0 {
		document = append(document, policy.Statement{
			Sid:      "ReadCredentials",
			Effect:   policy.Allow,
			Action:   []string{"secretsmanager:GetSecretValue"},
			Resource: secrets,
		})
	}
	if len(keys) > 0 {
		decrypt := policy.ThroughSecretsManager(region)
		decrypt["StringEquals"]["kms:EncryptionContext:SecretARN"] = secrets
		document = append(document, policy.Statement{
			Sid:       "DecryptCredentials",
			Effect:    policy.Allow,
			Action:    []string{"kms:Decrypt"},
			Resource:  keys,
			Condition: decrypt,
		})
	}
	return append(document, a.findServers()...)
}

// findServers lets the function look up whose user a secret is for, which one
// that RDS manages tells by its tags only (RDS user guide, "Password management
// with Amazon RDS and AWS Secrets Manager").
func (a Access) findServers() policy.Document {
	var secrets, servers []string
	for _, credential := range a.Credentials {
		if credential.ServersARN != "" {
			secrets = append(secrets, credential.ARN)
			servers = append(servers, credential.ServersARN)
		}
	}
	if len(secrets) == 0 {
		return nil
	}
	return policy.Document{
		{
			Sid:      "ReadTags",
			Effect:   policy.Allow,
			Action:   []string{"secretsmanager:DescribeSecret"},
			Resource: secrets,
		},
		{
			Sid:      "FindServers",
			Effect:   policy.Allow,
			Action:   []string{"rds:DescribeDBClusters", "rds:DescribeDBInstances"},
			Resource: slices.Compact(slices.Sorted(slices.Values(servers))),
		},
	}
}
