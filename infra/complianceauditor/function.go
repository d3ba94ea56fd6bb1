package complianceauditor

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/dailyfunction"
	"github.com/aistudio/secrets/infra/function"
	"github.com/aistudio/secrets/infra/policy"
	"github.com/aistudio/secrets/sdk/spec"
)

// deployFunction registers the function and what invokes it once a day.
func (c *ComplianceAuditor) deployFunction(ctx *pulumi.Context, name string, args Args) error {
	environment := pulumi.StringMap{spec.EnvAuditBucket: c.BucketName, spec.EnvAuditTopic: args.Topic.ARN}
	if args.ReportURL != "" {
		environment[spec.EnvAuditReportURL] = pulumi.String(args.ReportURL)
	}
	if args.SecurityHub {
		environment[spec.EnvAuditSecurityHub] = pulumi.String("true")
	}
	auditor, err := dailyfunction.New(ctx, name, dailyfunction.Args{
		Function: function.Args{
			Name:             FunctionName(args.Prefix),
			Description:      "Audits the secrets of " + args.Prefix,
			ArchivePath:      args.ArchivePath,
			Architecture:     args.Architecture,
			MemoryMB:         args.MemoryMB,
			LogRetentionDays: args.LogRetentionDays,
			Environment:      environment,
			Allow:            c.access(args),
			Tags:             args.Tags,
		},
		Partition: args.Partition,
		AccountID: args.AccountID,
		Region:    args.Region,
		Hour:      args.Hour,
	}, pulumi.Parent(c))
	if err != nil {
		return err
	}
	c.FunctionARN = auditor.ARN
	return nil
}

// access is what the auditor's role may do: read what has no value, keep its
// reports, and tell.
func (c *ComplianceAuditor) access(args Args) pulumi.Output {
	return pulumi.All(c.bucketARN, args.Topic.ARN, args.Topic.KeyARN).ApplyT(func(all []any) policy.Document {
		bucket, topic, key := all[0].(string), all[1].(string), all[2].(string)
		document := policy.Document{
			{
				// All secrets of the account with their keys, functions and trails:
				// those that nobody declared are what an audit is for.
				Sid:      "Audit",
				Effect:   policy.Allow,
				Action:   spec.AuditActions(),
				Resource: []string{"*"},
			},
			{
				// Whatever is allowed by mistake, here or by another policy.
				Sid:      "NeverAValue",
				Effect:   policy.Deny,
				Action:   []string{"secretsmanager:BatchGetSecretValue", "secretsmanager:GetSecretValue"},
				Resource: []string{"*"},
			},
			{
				// So that S3 says of an object that it isn't there, and not that it
				// is forbidden (API reference, GetObject).
				Sid:      "Look",
				Effect:   policy.Allow,
				Action:   []string{"s3:ListBucket"},
				Resource: []string{bucket},
			},
			{
				Sid:      "ReadConfiguration",
				Effect:   policy.Allow,
				Action:   []string{"s3:GetObject"},
				Resource: []string{bucket + "/" + spec.AuditCatalogueKey, bucket + "/" + spec.AuditPolicyKey},
			},
			{
				Sid:      "ReadScan",
				Effect:   policy.Allow,
				Action:   []string{"s3:GetObject"},
				Resource: []string{bucket + "/" + spec.ScanKey},
			},
			{
				Sid:      "Remember",
				Effect:   policy.Allow,
				Action:   []string{"s3:GetObject", "s3:PutObject"},
				Resource: []string{bucket + "/" + spec.AuditStateKey},
			},
			{
				Sid:      "Report",
				Effect:   policy.Allow,
				Action:   []string{"s3:PutObject"},
				Resource: []string{bucket + "/" + spec.AuditReports + args.Environment + "/*"},
			},
			{
				Sid:      "Alert",
				Effect:   policy.Allow,
				Action:   []string{"sns:Publish"},
				Resource: []string{topic},
			},
			{
				// For the topic alone (SNS developer guide, "Encryption at rest").
				Sid:       "EncryptAlerts",
				Effect:    policy.Allow,
				Action:    []string{"kms:Decrypt", "kms:GenerateDataKey"},
				Resource:  []string{key},
				Condition: policy.Condition{"StringEquals": {"kms:ViaService": {"sns." + args.Region + ".amazonaws.com"}}},
			},
		}
		if args.SecurityHub {
			document = append(document, policy.Statement{
				// Into the account's own, as the product that every account has
				// (Security Hub user guide, "Custom product integrations").
				Sid:      "ImportFindings",
				Effect:   policy.Allow,
				Action:   []string{"securityhub:BatchImportFindings"},
				Resource: []string{args.arn("securityhub", "product/"+args.AccountID+"/default")},
			})
		}
		return document
	})
}

// FunctionName returns the name of the auditor's function, by the prefix of the
// stack's resources.
func FunctionName(prefix string) string { return prefix + "-audit" }
