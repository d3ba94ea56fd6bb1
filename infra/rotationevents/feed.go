package rotationevents

import (
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/dynamodb"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/sqs"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/function"
	"github.com/aistudio/secrets/infra/policy"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	// TimeoutSeconds is that of the function that writes the feed.
	TimeoutSeconds = 30

	feedMemoryMB      = 128
	eventAge          = 3600        // seconds after which an event is no news: caches have a TTL of an hour
	eventAttempts     = 185         // EventBridge's default and most
	deadLetterSeconds = 14 * 86_400 // the longest that SQS takes
)

// deployFeed registers the table, the function that writes it, the rule that
// invokes the function, and the queue of what it couldn't write.
func (e *RotationEvents) deployFeed(ctx *pulumi.Context, name string, args Args) error {
	inputs := &dynamodb.TableArgs{
		Name:        pulumi.String(FunctionName(args.Prefix)),
		BillingMode: pulumi.String("PAY_PER_REQUEST"),
		HashKey:     pulumi.String(spec.FeedKey),
		RangeKey:    pulumi.String(spec.FeedTime),
		Attributes: dynamodb.TableAttributeArray{
			dynamodb.TableAttributeArgs{Name: pulumi.String(spec.FeedKey), Type: pulumi.String("S")},
			dynamodb.TableAttributeArgs{Name: pulumi.String(spec.FeedTime), Type: pulumi.String("S")},
		},
		Ttl: dynamodb.TableTtlArgs{AttributeName: pulumi.String(spec.FeedExpiry), Enabled: pulumi.Bool(true)},
		// With the key that AWS manages for DynamoDB, which all who may use the
		// table may use through it: readers need no permission for a key.
		ServerSideEncryption: dynamodb.TableServerSideEncryptionArgs{Enabled: pulumi.Bool(true)},
		PointInTimeRecovery:  dynamodb.TablePointInTimeRecoveryArgs{Enabled: pulumi.Bool(true)},
		Tags:                 pulumi.ToStringMap(args.Tags),
	}
	if args.Replica != nil {
		// What replicates is the table's stream (DynamoDB developer guide, "Global
		// tables: how it works"). TTL is the table's in all regions.
		inputs.StreamEnabled, inputs.StreamViewType = pulumi.Bool(true), pulumi.String("NEW_AND_OLD_IMAGES")
		inputs.Replicas = dynamodb.TableReplicaTypeArray{dynamodb.TableReplicaTypeArgs{
			RegionName: pulumi.String(args.Replica.Region), PointInTimeRecovery: pulumi.Bool(true), PropagateTags: pulumi.Bool(true),
		}}
	}
	table, err := dynamodb.NewTable(ctx, name, inputs, pulumi.Parent(e), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return err
	}
	e.FeedTableName, e.FeedTableARN = table.Name, table.Arn
	if args.Replica != nil {
		// Once the table is there, so is its replica.
		e.FeedReplica = table.Arn.ApplyT(func(arn string) string {
			return strings.Replace(arn, ":"+args.Region+":", ":"+args.Replica.Region+":", 1)
		}).(pulumi.StringOutput)
	}

	queue, err := e.deployDeadLetters(ctx, name, args)
	if err != nil {
		return err
	}
	tell := func(table pulumi.StringInput) pulumi.Output {
		return table.ToStringOutput().ApplyT(func(arn string) policy.Document {
			return policy.Document{{
				Sid:      "TellFeed",
				Effect:   policy.Allow,
				Action:   []string{"dynamodb:PutItem"},
				Resource: []string{arn},
			}}
		})
	}
	wanted := function.Args{
		Name:             FunctionName(args.Prefix),
		Description:      "Writes the rotation feed of " + args.SecretPrefix + "*",
		ArchivePath:      args.ArchivePath,
		Architecture:     args.Architecture,
		MemoryMB:         feedMemoryMB,
		TimeoutSeconds:   TimeoutSeconds,
		LogRetentionDays: args.LogRetentionDays,
		Environment:      pulumi.StringMap{spec.EnvFeedTable: table.Name, spec.EnvMetricsEnvironment: pulumi.String(args.Environment)},
		DeadLetters:      queue.Arn,
		Allow:            tell(table.Arn),
		Tags:             args.Tags,
	}
	var there pulumi.ResourceOption
	var queueThere *sqs.Queue
	if args.Replica != nil {
		there = pulumi.Provider(args.Replica.Provider)
		if queueThere, err = e.deployDeadLetters(ctx, name+"-standby", args.there(), there); err != nil {
			return err
		}
		wanted.Standby = &function.Standby{Provider: args.Replica.Provider, DeadLetters: queueThere.Arn, Allow: []pulumi.Output{tell(e.FeedReplica)}}
	}
	writer, err := function.New(ctx, name, wanted, pulumi.Parent(e))
	if err != nil {
		return err
	}
	if err := e.invoke(ctx, name, args, invoked{writer.Name, writer.ARN, queue.Arn}); err != nil || args.Replica == nil {
		return err
	}
	return e.invoke(ctx, name+"-standby", args.there(), invoked{writer.StandbyName, writer.StandbyARN, queueThere.Arn}, there)
}

// deployDeadLetters registers the queue of changes that didn't get into the
// feed.
func (e *RotationEvents) deployDeadLetters(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*sqs.Queue, error) {
	opts = append(opts, pulumi.Parent(e))
	queue, err := sqs.NewQueue(ctx, name, &sqs.QueueArgs{
		Name:                    pulumi.String(QueueName(args.Prefix)),
		MessageRetentionSeconds: pulumi.Int(deadLetterSeconds),
		SqsManagedSseEnabled:    pulumi.Bool(true),
		Tags:                    pulumi.ToStringMap(args.Tags),
	}, append(opts, pulumi.DeleteBeforeReplace(true))...)
	if err != nil {
		return nil, err
	}
	document := queue.Arn.ApplyT(func(arn string) (string, error) {
		return policy.Document{
			{
				Sid:       "FromTheRule",
				Effect:    policy.Allow,
				Principal: &policy.Principal{Service: []string{"events.amazonaws.com"}},
				Action:    []string{"sqs:SendMessage"},
				Resource:  []string{arn},
				Condition: policy.Condition{"ArnEquals": {"aws:SourceArn": {args.arn("events", "rule/"+changedRule(args))}}},
			},
			policy.WithoutTLS("sqs:*", arn),
		}.JSON()
	}).(pulumi.StringOutput)
	if _, err := sqs.NewQueuePolicy(ctx, name, &sqs.QueuePolicyArgs{QueueUrl: queue.Url, Policy: document}, opts...); err != nil {
		return nil, err
	}
	return queue, nil
}

// invoked is the function of a region, and the queue of events that it doesn't
// get.
type invoked struct{ name, arn, queue pulumi.StringInput }

// invoke registers the rule of a region and lets it invoke the function there.
func (e *RotationEvents) invoke(ctx *pulumi.Context, name string, args Args, writer invoked, opts ...pulumi.ResourceOption) error {
	text, err := changed(args).json()
	if err != nil {
		return err
	}
	opts = append(opts, pulumi.Parent(e), pulumi.DeleteBeforeReplace(true))
	rule, err := cloudwatch.NewEventRule(ctx, name, &cloudwatch.EventRuleArgs{
		Name:         pulumi.String(changedRule(args)),
		Description:  pulumi.String("A secret of " + args.SecretPrefix + "* got a new value"),
		EventPattern: pulumi.String(text),
		Tags:         pulumi.ToStringMap(args.Tags),
	}, opts...)
	if err != nil {
		return err
	}
	permission, err := lambda.NewPermission(ctx, name, &lambda.PermissionArgs{
		StatementId: pulumi.String("EventBridge"),
		Action:      pulumi.String("lambda:InvokeFunction"),
		Function:    writer.name,
		Principal:   pulumi.String("events.amazonaws.com"),
		SourceArn:   rule.Arn,
	}, opts...)
	if err != nil {
		return err
	}
	_, err = cloudwatch.NewEventTarget(ctx, name, &cloudwatch.EventTargetArgs{
		Rule:             rule.Name,
		TargetId:         pulumi.String("feed"),
		Arn:              writer.arn,
		DeadLetterConfig: cloudwatch.EventTargetDeadLetterConfigArgs{Arn: writer.queue},
		RetryPolicy: cloudwatch.EventTargetRetryPolicyArgs{
			MaximumEventAgeInSeconds: pulumi.Int(eventAge),
			MaximumRetryAttempts:     pulumi.Int(eventAttempts), // left out, the provider asks for none
		},
	}, append(opts, pulumi.DependsOn([]pulumi.Resource{permission}))...)
	return err
}

func changedRule(args Args) string { return args.Prefix + "-secret-changed" }

// FunctionName returns the name of the function that writes the feed, by the
// prefix of the stack's resources. It is the table's too.
func FunctionName(prefix string) string { return prefix + "-rotation-feed" }

// QueueName returns the name of the queue of changes that didn't get into the
// feed.
func QueueName(prefix string) string { return FunctionName(prefix) + "-failures" }
