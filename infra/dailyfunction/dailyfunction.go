// Package dailyfunction holds the component DailyFunction: a Lambda function that
// a schedule invokes once a day, and the queue of invocations that came to
// nothing.
package dailyfunction

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/scheduler"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/sqs"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/function"
	"github.com/aistudio/secrets/infra/policy"
)

const typeToken = "aistudio:secrets:DailyFunction"

const (
	// TimeoutSeconds is the function's, the longest that Lambda takes.
	TimeoutSeconds = 900

	invocationAge     = 6 * 3600    // seconds after which the day's invocation is given up
	invocationRetries = 185         // EventBridge Scheduler's default and most
	deadLetterSeconds = 14 * 86_400 // the longest that SQS takes
)

// Args describes a DailyFunction.
type Args struct {
	Function  function.Args // without TimeoutSeconds and DeadLetters, which the component sets
	Partition string        // "aws" outside of GovCloud and China
	AccountID string
	Region    string
	Hour      int // of the day, UTC, at which the function is invoked
}

func (a Args) validate() error {
	var errs []error
	for _, need := range []struct{ field, value string }{
		{"Partition", a.Partition}, {"AccountID", a.AccountID}, {"Region", a.Region},
	} {
		if need.value == "" {
			errs = append(errs, fmt.Errorf("%s is missing", need.field))
		}
	}
	if a.Hour < 0 || a.Hour > 23 {
		errs = append(errs, fmt.Errorf("Hour is %d: a day has 0 to 23", a.Hour))
	}
	if a.Function.TimeoutSeconds != 0 || a.Function.DeadLetters != nil {
		errs = append(errs, errors.New("Function has TimeoutSeconds or DeadLetters, which the component sets"))
	}
	if role := a.roleName(); len(role) > 64 {
		errs = append(errs, fmt.Errorf("Function.Name is too long: the schedule's role %s would have %d characters, and IAM takes 64", role, len(role)))
	}
	a.Function.TimeoutSeconds = TimeoutSeconds
	return errors.Join(append(errs, a.Function.Validate())...)
}

// roleName is the name of the schedule's role. With the longest words of a
// configuration it has the 64 characters that IAM takes.
func (a Args) roleName() string { return a.Function.Name + "-invoker" }

// DailyFunction is a function that is invoked once a day, with the payload {}.
type DailyFunction struct {
	pulumi.ResourceState

	ARN pulumi.StringOutput
}

// New registers a DailyFunction.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*DailyFunction, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("daily function %s: %w", name, err)
	}
	component := &DailyFunction{}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}
	queue, err := component.deployQueue(ctx, name, args)
	if err != nil {
		return nil, err
	}
	args.Function.TimeoutSeconds, args.Function.DeadLetters = TimeoutSeconds, queue.Arn
	invoked, err := function.New(ctx, name, args.Function, pulumi.Parent(component))
	if err != nil {
		return nil, err
	}
	component.ARN = invoked.ARN
	if err := component.schedule(ctx, name+"-schedule", args, queue); err != nil {
		return nil, err
	}
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{"arn": component.ARN})
}

func (f *DailyFunction) deployQueue(ctx *pulumi.Context, name string, args Args) (*sqs.Queue, error) {
	queue, err := sqs.NewQueue(ctx, name, &sqs.QueueArgs{
		Name:                    pulumi.String(QueueName(args.Function.Name)),
		MessageRetentionSeconds: pulumi.Int(deadLetterSeconds),
		SqsManagedSseEnabled:    pulumi.Bool(true),
		Tags:                    pulumi.ToStringMap(args.Function.Tags),
	}, pulumi.Parent(f), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return nil, err
	}
	_, err = sqs.NewQueuePolicy(ctx, name, &sqs.QueuePolicyArgs{
		QueueUrl: queue.Url,
		Policy: queue.Arn.ApplyT(func(arn string) (string, error) {
			return policy.Document{policy.WithoutTLS("sqs:*", arn)}.JSON()
		}).(pulumi.StringOutput),
	}, pulumi.Parent(f))
	return queue, err
}

// schedule registers the daily invocation, with a role that can do nothing else.
func (f *DailyFunction) schedule(ctx *pulumi.Context, name string, args Args, queue *sqs.Queue) error {
	// The group is what the scheduler names as the source (EventBridge Scheduler
	// user guide, "Confused deputy prevention").
	trust, err := policy.Document{{
		Sid:       "TakeOn",
		Effect:    policy.Allow,
		Principal: &policy.Principal{Service: []string{"scheduler.amazonaws.com"}},
		Action:    []string{"sts:AssumeRole"},
		Condition: policy.Condition{"StringEquals": {
			"aws:SourceAccount": {args.AccountID},
			"aws:SourceArn":     {strings.Join([]string{"arn", args.Partition, "scheduler", args.Region, args.AccountID, "schedule-group/default"}, ":")},
		}},
	}}.JSON()
	if err != nil {
		return err
	}
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{
		Name:             pulumi.String(args.roleName()),
		Description:      pulumi.String("Invokes " + args.Function.Name),
		AssumeRolePolicy: pulumi.String(trust),
		Tags:             pulumi.ToStringMap(args.Function.Tags),
	}, pulumi.Parent(f), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return err
	}
	access, err := iam.NewRolePolicy(ctx, name, &iam.RolePolicyArgs{
		Name: pulumi.String("access"),
		Role: role.Name,
		Policy: pulumi.All(f.ARN, queue.Arn).ApplyT(func(all []any) (string, error) {
			return policy.Document{
				{Sid: "Invoke", Effect: policy.Allow, Action: []string{"lambda:InvokeFunction"}, Resource: []string{all[0].(string)}},
				{Sid: "KeepFailures", Effect: policy.Allow, Action: []string{"sqs:SendMessage"}, Resource: []string{all[1].(string)}},
			}.JSON()
		}).(pulumi.StringOutput),
	}, pulumi.Parent(f), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return err
	}
	_, err = scheduler.NewSchedule(ctx, name, &scheduler.ScheduleArgs{
		Name:               pulumi.String(args.Function.Name),
		Description:        pulumi.String(args.Function.Description + ", every day"),
		ScheduleExpression: pulumi.String(fmt.Sprintf("cron(0 %d * * ? *)", args.Hour)),
		FlexibleTimeWindow: scheduler.ScheduleFlexibleTimeWindowArgs{Mode: pulumi.String("OFF")},
		Target: scheduler.ScheduleTargetArgs{
			Arn:              f.ARN,
			RoleArn:          role.Arn,
			Input:            pulumi.String("{}"),
			DeadLetterConfig: scheduler.ScheduleTargetDeadLetterConfigArgs{Arn: queue.Arn},
			RetryPolicy: scheduler.ScheduleTargetRetryPolicyArgs{
				MaximumEventAgeInSeconds: pulumi.Int(invocationAge),
				MaximumRetryAttempts:     pulumi.Int(invocationRetries),
			},
		},
	}, pulumi.Parent(f), pulumi.DependsOn([]pulumi.Resource{access}), pulumi.DeleteBeforeReplace(true))
	return err
}

// QueueName returns the name of the queue of invocations that came to nothing, by
// the function's.
func QueueName(function string) string { return function + "-failures" }
