package rotationfunction

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
)

// Access is what a function's role reaches.
type Access struct {
	Secrets       []pulumi.StringInput // ARNs of the secrets that it rotates
	KeyARN        pulumi.StringInput   // key of those
	ReplicaRegion string               // where those are replicated to; "": nowhere
	ReplicaKeyARN pulumi.StringInput   // key of the replicas
	Masters       []Master             // whom it asks to create and alter users
}

// Master is a secret that the function only reads.
type Master struct {
	ARN    string
	KeyARN string // "": AWS's own key for Secrets Manager, which needs no permission
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
	for _, master := range a.Masters {
		if master.ARN == "" {
			errs = append(errs, fmt.Errorf("master %+v: ARN is missing", master))
		}
	}
	return errs
}

func rolePolicy(args Args, logsARN pulumi.StringOutput) pulumi.StringOutput {
	access := args.Access
	replicaKey := access.ReplicaKeyARN
	if replicaKey == nil {
		replicaKey = pulumi.String("")
	}
	secrets := pulumi.StringArray(access.Secrets)
	return pulumi.All(logsARN, access.KeyARN, replicaKey, secrets).ApplyT(func(all []any) (string, error) {
		logs, key, replicaKey, secrets := all[0].(string), all[1].(string), all[2].(string), all[3].([]string)
		document := policy.Document{
			{
				Sid:    "Rotate",
				Effect: policy.Allow,
				Action: []string{
					"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue",
					"secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage",
				},
				Resource: secrets,
			},
			{
				Sid:       "Encrypt",
				Effect:    policy.Allow,
				Action:    []string{"kms:Decrypt", "kms:GenerateDataKey"},
				Resource:  []string{key},
				Condition: policy.ThroughSecretsManager(args.Region),
			},
			{
				// The streams of the function's own group: a stream's name isn't
				// known beforehand (Service Authorization Reference, CloudWatch
				// Logs, resource type log-stream).
				Sid:      "Log",
				Effect:   policy.Allow,
				Action:   []string{"logs:CreateLogStream", "logs:PutLogEvents"},
				Resource: []string{logs + ":*"},
			},
			{
				// X-Ray has no resources for these (Service Authorization
				// Reference, AWS X-Ray).
				Sid:      "Trace",
				Effect:   policy.Allow,
				Action:   []string{"xray:PutTelemetryRecords", "xray:PutTraceSegments"},
				Resource: []string{"*"},
			},
		}
		if access.ReplicaRegion != "" {
			document = append(document, policy.Statement{
				// Secrets Manager writes the replica on behalf of who writes the
				// secret (user guide, "Troubleshoot replication").
				Sid:       "EncryptReplica",
				Effect:    policy.Allow,
				Action:    []string{"kms:Encrypt", "kms:GenerateDataKey"},
				Resource:  []string{replicaKey},
				Condition: policy.ThroughSecretsManager(args.Region, access.ReplicaRegion),
			})
		}
		document = append(document, readMasters(args)...)
		if args.VPC != nil {
			document = append(document, networkInterfaces)
		}
		return document.JSON()
	}).(pulumi.StringOutput)
}

func readMasters(args Args) policy.Document {
	var secrets, keys []string
	for _, master := range args.Access.Masters {
		secrets = append(secrets, master.ARN)
		if master.KeyARN != "" {
			keys = append(keys, master.KeyARN)
		}
	}
	var document policy.Document
	if len(secrets) > 0 {
		document = append(document, policy.Statement{
			Sid:      "ReadMasters",
			Effect:   policy.Allow,
			Action:   []string{"secretsmanager:GetSecretValue"},
			Resource: secrets,
		})
	}
	if len(keys) > 0 {
		decrypt := policy.ThroughSecretsManager(args.Region)
		decrypt["StringEquals"]["kms:EncryptionContext:SecretARN"] = secrets
		document = append(document, policy.Statement{
			Sid:       "DecryptMasters",
			Effect:    policy.Allow,
			Action:    []string{"kms:Decrypt"},
			Resource:  keys,
			Condition: decrypt,
		})
	}
	return document
}

// networkInterfaces is what Lambda does in a VPC with the function's role. It
// refuses a role that has less, and two of the actions know no resources
// (Lambda developer guide, "Giving Lambda functions access to resources in an
// Amazon VPC").
var networkInterfaces = policy.Statement{
	Sid:    "NetworkInterfaces",
	Effect: policy.Allow,
	Action: []string{
		"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
		"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
	},
	Resource: []string{"*"},
}
