package rotationevents

import (
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/kms"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/sns"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
)

// deployAlerts registers the topic, its subscriptions, and what tells it of
// failed rotations: a rule at once and for each, an alarm for as long as there
// are any.
func (e *RotationEvents) deployAlerts(ctx *pulumi.Context, name string, args Args) error {
	topic, err := e.deployTopic(ctx, name+"-alerts", args)
	if err != nil {
		return err
	}
	e.TopicARN = topic.Arn
	text, err := failed(args).json()
	if err != nil {
		return err
	}
	rule, err := cloudwatch.NewEventRule(ctx, name+"-failed", &cloudwatch.EventRuleArgs{
		Name:         pulumi.String(failedRule(args)),
		Description:  pulumi.String("A rotation of a secret of " + args.SecretPrefix + "* failed or was given up"),
		EventPattern: pulumi.String(text),
		Tags:         pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(e), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return err
	}
	if _, err := cloudwatch.NewEventTarget(ctx, name+"-failed", &cloudwatch.EventTargetArgs{
		Rule:     rule.Name,
		TargetId: pulumi.String("alerts"),
		Arn:      topic.Arn,
	}, pulumi.Parent(e), pulumi.DeleteBeforeReplace(true)); err != nil {
		return err
	}
	return e.alarm(ctx, name+"-failed", args, cloudwatch.MetricAlarmArgs{
		Name:             pulumi.String(failedAlarm(args)),
		AlarmDescription: pulumi.String("Rotations of secrets failed or were given up. The topic got an event for each; `go tool mage rotate:status <secret>` tells the reason."),
		Namespace:        pulumi.String("AWS/Events"),
		MetricName:       pulumi.String("TriggeredRules"),
		Dimensions:       pulumi.StringMap{"RuleName": rule.Name},
		Statistic:        pulumi.String("Sum"),
	})
}

// deployTopic registers the topic with a key of its own: EventBridge and
// CloudWatch can't publish to one that the key aws/sns encrypts, because nobody
// can change that key's policy (SNS developer guide, "Enable compatibility
// between event sources from AWS services and encrypted topics").
func (e *RotationEvents) deployTopic(ctx *pulumi.Context, name string, args Args) (*sns.Topic, error) {
	document, err := keyPolicy(args).JSON()
	if err != nil {
		return nil, err
	}
	key, err := kms.NewKey(ctx, name, &kms.KeyArgs{
		Description:          pulumi.String("Encrypts the alerts about secrets of " + args.SecretPrefix + "*"),
		EnableKeyRotation:    pulumi.Bool(true),
		DeletionWindowInDays: pulumi.Int(args.DeletionWindowDays),
		Policy:               pulumi.String(document),
		Tags:                 pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(e))
	if err != nil {
		return nil, err
	}
	e.TopicKeyARN = key.Arn
	topic, err := sns.NewTopic(ctx, name, &sns.TopicArgs{
		Name:           pulumi.String(topicName(args)),
		KmsMasterKeyId: key.Arn,
		Tags:           pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(e), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return nil, err
	}
	if _, err := sns.NewTopicPolicy(ctx, name, &sns.TopicPolicyArgs{
		Arn:    topic.Arn,
		Policy: topic.Arn.ApplyT(func(arn string) (string, error) { return topicPolicy(args, arn).JSON() }).(pulumi.StringOutput),
	}, pulumi.Parent(e)); err != nil {
		return nil, err
	}
	for _, subscription := range args.Subscriptions {
		if _, err := sns.NewTopicSubscription(ctx, name+"-"+subscription.Protocol+"-"+subscription.Endpoint, &sns.TopicSubscriptionArgs{
			Topic:    topic.Arn,
			Protocol: pulumi.String(subscription.Protocol),
			Endpoint: pulumi.String(subscription.Endpoint),
		}, pulumi.Parent(e)); err != nil {
			return nil, err
		}
	}
	return topic, nil
}

// keyPolicy lets the services that tell the topic use the key for it and for
// nothing else: SNS encrypts with the topic's ARN as context (SNS developer
// guide, "Encryption at rest"). Of the account's own roles, IAM decides.
func keyPolicy(args Args) policy.Document {
	topic := []string{args.arn("sns", topicName(args))}
	return policy.Document{
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
}

func topicPolicy(args Args, topicARN string) policy.Document {
	alarms := []string{args.arn("cloudwatch", "alarm:"+failedAlarm(args)), args.arn("cloudwatch", "alarm:"+feedAlarm(args))}
	for _, name := range args.Alarms {
		alarms = append(alarms, args.arn("cloudwatch", "alarm:"+name))
	}
	return policy.Document{
		{
			Sid:       "FromTheRule",
			Effect:    policy.Allow,
			Principal: &policy.Principal{Service: []string{"events.amazonaws.com"}},
			Action:    []string{"sns:Publish"},
			Resource:  []string{topicARN},
			Condition: policy.Condition{"ArnEquals": {"aws:SourceArn": {args.arn("events", "rule/"+failedRule(args))}}},
		},
		{
			Sid:       "FromAlarms",
			Effect:    policy.Allow,
			Principal: &policy.Principal{Service: []string{"cloudwatch.amazonaws.com"}},
			Action:    []string{"sns:Publish"},
			Resource:  []string{topicARN},
			Condition: policy.Condition{"ArnEquals": {"aws:SourceArn": alarms}},
		},
		policy.WithoutTLS("sns:Publish", topicARN),
	}
}

// alarm registers an alarm that tells the topic when a metric is above 0, and not
// when it no longer is: that time has passed doesn't mend what failed. A time
// without data is one in which nothing failed.
func (e *RotationEvents) alarm(ctx *pulumi.Context, name string, args Args, alarm cloudwatch.MetricAlarmArgs) error {
	alarm.ComparisonOperator = pulumi.String("GreaterThanThreshold")
	alarm.Threshold = pulumi.Float64(0)
	alarm.Period = pulumi.Int(300)
	alarm.EvaluationPeriods = pulumi.Int(1)
	alarm.TreatMissingData = pulumi.String("notBreaching")
	alarm.AlarmActions = pulumi.Array{e.TopicARN}
	alarm.Tags = pulumi.ToStringMap(args.Tags)
	_, err := cloudwatch.NewMetricAlarm(ctx, name, &alarm, pulumi.Parent(e), pulumi.DeleteBeforeReplace(true))
	return err
}

func topicName(args Args) string { return args.Prefix + "-secrets-alerts" }

func failedRule(args Args) string { return args.Prefix + "-rotation-failed" }

func failedAlarm(args Args) string { return args.Prefix + "-rotation-failed" }
