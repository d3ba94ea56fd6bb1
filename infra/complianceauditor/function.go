package complianceauditor

import (
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/scheduler"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/sqs"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/function"
	"github.com/aistudio/secrets/infra/policy"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	// TimeoutSeconds is the function's.
	TimeoutSeconds    = 900         // the longest that Lambda takes: what isn't read by then is unknown
	invocationAge     = 6 * 3600    // seconds after which the day's audit is given up
	invocationRetries = 185         // EventBridge Scheduler's default and most
	deadLetterSeconds = 14 * 86_400 // the longest that SQS takes
)

// deployFunction registers the function, what may invoke it once a day, and the
// queue of invocations that came to nothing.
func (c *ComplianceAuditor) deployFunction(ctx *pulumi.Context, name string, args Args) error {
	queue, err := sqs.NewQueue(ctx, name, &sqs.QueueArgs{
		Name:                    pulumi.String(QueueName(args.Prefix)),
		MessageRetentionSeconds: pulumi.Int(deadLetterSeconds),
		SqsManagedSseEnabled:    pulumi.Bool(true),
		Tags:                    pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(c), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return err
	}
	if _, err := sqs.NewQueuePolicy(ctx, name, &sqs.QueuePolicyArgs{
		QueueUrl: queue.Url,
		Policy: queue.Arn.ApplyT(func(arn string) (string, error) {
			return policy.Document{policy.WithoutTLS("sqs:*", arn)}.JSON()
		}).(pulumi.StringOutput),
	}, pulumi.Parent(c)); err != nil {
		return err
	}
	environment := pulumi.StringMap{spec.EnvAuditBucket: c.BucketName, spec.EnvAuditTopic: args.Topic.ARN}
	if args.ReportURL != "" {
		environment[spec.EnvAuditReportURL] = pulumi.String(args.ReportURL)
	}
	if args.SecurityHub {
		environment[spec.EnvAuditSecurityHub] = pulumi.String("true")
	}
	auditor, err := function.New(ctx, name, function.Args{
		Name:             functionName(args),
		Description:      "Audits the secrets of " + args.Prefix,
		ArchivePath:      args.ArchivePath,
		Architecture:     args.Architecture,
		MemoryMB:         args.MemoryMB,
		TimeoutSeconds:   TimeoutSeconds,
		LogRetentionDays: args.LogRetentionDays,
		Environment:      environment,
		DeadLetters:      queue.Arn,
		Allow:            c.access(args),
		Tags:             args.Tags,
	}, pulumi.Parent(c))
	if err != nil {
		return err
	}
	c.FunctionARN = auditor.ARN
	return c.schedule(ctx, name+"-schedule", args, queue)
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

// schedule registers the daily invocation, with a role that can do nothing else.
func (c *ComplianceAuditor) schedule(ctx *pulumi.Context, name string, args Args, queue *sqs.Queue) error {
	// The group is what the scheduler names as the source (EventBridge Scheduler
	// user guide, "Confused deputy prevention").
	trust, err := policy.Document{{
		Sid:       "TakeOn",
		Effect:    policy.Allow,
		Principal: &policy.Principal{Service: []string{"scheduler.amazonaws.com"}},
		Action:    []string{"sts:AssumeRole"},
		Condition: policy.Condition{"StringEquals": {
			"aws:SourceAccount": {args.AccountID},
			"aws:SourceArn":     {args.arn("scheduler", "schedule-group/default")},
		}},
	}}.JSON()
	if err != nil {
		return err
	}
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{
		Name:             pulumi.String(functionName(args) + "-schedule"),
		Description:      pulumi.String("Invokes " + functionName(args)),
		AssumeRolePolicy: pulumi.String(trust),
		Tags:             pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(c), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return err
	}
	access, err := iam.NewRolePolicy(ctx, name, &iam.RolePolicyArgs{
		Name: pulumi.String("access"),
		Role: role.Name,
		Policy: pulumi.All(c.FunctionARN, queue.Arn).ApplyT(func(all []any) (string, error) {
			return policy.Document{
				{Sid: "Invoke", Effect: policy.Allow, Action: []string{"lambda:InvokeFunction"}, Resource: []string{all[0].(string)}},
				{Sid: "KeepFailures", Effect: policy.Allow, Action: []string{"sqs:SendMessage"}, Resource: []string{all[1].(string)}},
			}.JSON()
		}).(pulumi.StringOutput),
	}, pulumi.Parent(c), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return err
	}
	_, err = scheduler.NewSchedule(ctx, name, &scheduler.ScheduleArgs{
		Name:               pulumi.String(functionName(args)),
		Description:        pulumi.String("Audits the secrets of " + args.Prefix + " every day"),
		ScheduleExpression: pulumi.String(fmt.Sprintf("cron(0 %d * * ? *)", args.Hour)),
		FlexibleTimeWindow: scheduler.ScheduleFlexibleTimeWindowArgs{Mode: pulumi.String("OFF")},
		Target: scheduler.ScheduleTargetArgs{
			Arn:              c.FunctionARN,
			RoleArn:          role.Arn,
			Input:            pulumi.String("{}"),
			DeadLetterConfig: scheduler.ScheduleTargetDeadLetterConfigArgs{Arn: queue.Arn},
			RetryPolicy: scheduler.ScheduleTargetRetryPolicyArgs{
				MaximumEventAgeInSeconds: pulumi.Int(invocationAge),
				MaximumRetryAttempts:     pulumi.Int(invocationRetries),
			},
		},
	}, pulumi.Parent(c), pulumi.DependsOn([]pulumi.Resource{access}), pulumi.DeleteBeforeReplace(true))
	return err
}

// FunctionName returns the name of the auditor's function, by the prefix of the
// stack's resources.
func FunctionName(prefix string) string { return prefix + "-audit" }

// QueueName returns the name of the queue of invocations that came to nothing.
func QueueName(prefix string) string { return FunctionName(prefix) + "-failures" }

func functionName(args Args) string { return FunctionName(args.Prefix) }
