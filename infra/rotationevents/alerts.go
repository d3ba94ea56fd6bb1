package rotationevents

import (
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/kms"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/sns"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
)

// alerts is the topic of a region, and the key that encrypts it.
type alerts struct{ topicARN, keyARN pulumi.StringOutput }

// deployAlerts registers the topic of a region, its subscriptions, and the rule
// that tells it of each rotation that fails there.
func (e *RotationEvents) deployAlerts(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (alerts, error) {
	opts = append(opts, pulumi.Parent(e))
	made, err := deployTopic(ctx, name+"-alerts", args, opts)
	if err != nil {
		return alerts{}, err
	}
	text, err := failed(args).json()
	if err != nil {
		return alerts{}, err
	}
	opts = append(opts[:len(opts):len(opts)], pulumi.DeleteBeforeReplace(true))
	rule, err := cloudwatch.NewEventRule(ctx, name+"-failed", &cloudwatch.EventRuleArgs{
		Name:         pulumi.String(FailedRule(args.Prefix)),
		Description:  pulumi.String("A rotation of a secret of " + args.SecretPrefix + "* failed or was given up"),
		EventPattern: pulumi.String(text),
		Tags:         pulumi.ToStringMap(args.Tags),
	}, opts...)
	if err != nil {
		return alerts{}, err
	}
	_, err = cloudwatch.NewEventTarget(ctx, name+"-failed", &cloudwatch.EventTargetArgs{
		Rule:     rule.Name,
		TargetId: pulumi.String("alerts"),
		Arn:      made.topicARN,
	}, opts...)
	return made, err
}

// deployTopic registers the topic with a key of its own: EventBridge and
// CloudWatch can't publish to one that the key aws/sns encrypts, because nobody
// can change that key's policy (SNS developer guide, "Enable compatibility
// between event sources from AWS services and encrypted topics").
func deployTopic(ctx *pulumi.Context, name string, args Args, opts []pulumi.ResourceOption) (alerts, error) {
	document, err := keyPolicy(args).JSON()
	if err != nil {
		return alerts{}, err
	}
	key, err := kms.NewKey(ctx, name, &kms.KeyArgs{
		Description:          pulumi.String("Encrypts the alerts about secrets of " + args.SecretPrefix + "*"),
		EnableKeyRotation:    pulumi.Bool(true),
		DeletionWindowInDays: pulumi.Int(args.DeletionWindowDays),
		Policy:               pulumi.String(document),
		Tags:                 pulumi.ToStringMap(args.Tags),
	}, append(opts[:len(opts):len(opts)], pulumi.Protect(args.Protect))...)
	if err != nil {
		return alerts{}, err
	}
	topic, err := sns.NewTopic(ctx, name, &sns.TopicArgs{
		Name:           pulumi.String(topicName(args)),
		KmsMasterKeyId: key.Arn,
		Tags:           pulumi.ToStringMap(args.Tags),
	}, append(opts[:len(opts):len(opts)], pulumi.DeleteBeforeReplace(true))...)
	if err != nil {
		return alerts{}, err
	}
	if _, err := sns.NewTopicPolicy(ctx, name, &sns.TopicPolicyArgs{
		Arn:    topic.Arn,
		Policy: topic.Arn.ApplyT(func(arn string) (string, error) { return topicPolicy(args, arn).JSON() }).(pulumi.StringOutput),
	}, opts...); err != nil {
		return alerts{}, err
	}
	for _, subscription := range args.Subscriptions {
		if _, err := sns.NewTopicSubscription(ctx, name+"-"+subscription.Protocol+"-"+subscription.Endpoint, &sns.TopicSubscriptionArgs{
			Topic:    topic.Arn,
			Protocol: pulumi.String(subscription.Protocol),
			Endpoint: pulumi.String(subscription.Endpoint),
		}, opts...); err != nil {
			return alerts{}, err
		}
	}
	return alerts{topic.Arn, key.Arn}, nil
}

// keyPolicy lets the services that tell the topic use the key for it and for
// nothing else: SNS encrypts with the topic's ARN as context (SNS developer
// guide, "Encryption at rest"). Of the account's own roles, IAM decides.
func keyPolicy(args Args) policy.Document {
	topic := []string{args.arn("sns", topicName(args))}
	document := policy.Document{
		{
			Sid:       "Administration",
			Effect:    policy.Allow,
			Principal: &policy.Principal{AWS: args.Administrators},
			Action:    policy.KeyAdministration,
			Resource:  []string{policy.This},
		},
		{
			Sid:       "EncryptAlerts",
			Effect:    policy.Allow,
			Principal: &policy.Principal{Service: []string{"cloudwatch.amazonaws.com", "events.amazonaws.com"}},
			Action:    []string{"kms:Decrypt", "kms:GenerateDataKey"},
			Resource:  []string{policy.This},
			Condition: policy.Condition{"StringEquals": {"kms:EncryptionContext:aws:sns:topicArn": topic}},
		},
		{
			Sid:       "EncryptForRoles",
			Effect:    policy.Allow,
			Principal: &policy.Principal{AWS: []string{"arn:" + args.Partition + ":iam::" + args.AccountID + ":root"}},
			Action:    []string{"kms:Decrypt", "kms:GenerateDataKey"},
			Resource:  []string{policy.This},
			Condition: policy.Condition{"StringEquals": {
				"kms:EncryptionContext:aws:sns:topicArn": topic,
				"kms:ViaService":                         {"sns." + args.Region + ".amazonaws.com"},
			}},
		},
	}
	if args.Budget {
		document = append(document, policy.Statement{
			Sid:       "EncryptForBudgets",
			Effect:    policy.Allow,
			Principal: &policy.Principal{Service: []string{budgetService}},
			Action:    []string{"kms:Decrypt", "kms:GenerateDataKey"},
			Resource:  []string{policy.This},
			Condition: args.fromBudgets(),
		})
	}
	return document
}

func topicPolicy(args Args, topicARN string) policy.Document {
	document := policy.Document{
		{
			// Without the rule as a condition: EventBridge supports none in the policy
			// of a topic, nor the source's in that of the topic's key (EventBridge user
			// guide, "Amazon SNS permissions"; SNS developer guide, "Enable
			// compatibility between event sources from AWS services and encrypted
			// topics"), so that nobody would be told.
			Sid:       "FromRules",
			Effect:    policy.Allow,
			Principal: &policy.Principal{Service: []string{"events.amazonaws.com"}},
			Action:    []string{"sns:Publish"},
			Resource:  []string{topicARN},
		},
		{
			Sid:       "FromAlarms",
			Effect:    policy.Allow,
			Principal: &policy.Principal{Service: []string{"cloudwatch.amazonaws.com"}},
			Action:    []string{"sns:Publish"},
			Resource:  []string{topicARN},
			Condition: policy.Condition{"ArnLike": {"aws:SourceArn": {args.arn("cloudwatch", "alarm:"+args.Prefix+"-*")}}},
		},
		policy.WithoutTLS("sns:Publish", topicARN),
	}
	if args.Budget {
		document = append(document, policy.Statement{
			Sid:       "FromBudgets",
			Effect:    policy.Allow,
			Principal: &policy.Principal{Service: []string{budgetService}},
			Action:    []string{"sns:Publish"},
			Resource:  []string{topicARN},
			Condition: args.fromBudgets(),
		})
	}
	return document
}

const budgetService = "budgets.amazonaws.com"

// fromBudgets is the condition that AWS Budgets comes for the stack's account
// (Cost Management user guide, "Creating an Amazon SNS topic for budget
// notifications"), which is the same for the topic and for its key (SNS developer
// guide, "Enable compatibility between event sources from AWS services and
// encrypted topics").
func (a Args) fromBudgets() policy.Condition {
	return policy.Condition{
		"StringEquals": {"aws:SourceAccount": {a.AccountID}},
		"ArnLike":      {"aws:SourceArn": {"arn:" + a.Partition + ":budgets::" + a.AccountID + ":*"}},
	}
}

func topicName(args Args) string { return args.Prefix + "-secrets-alerts" }

// FailedRule returns the name of the rule that matches failed rotations, by the
// prefix of the stack's resources.
func FailedRule(prefix string) string { return prefix + "-rotation-failed" }
