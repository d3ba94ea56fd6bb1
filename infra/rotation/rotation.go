// Package rotation holds the component Rotation: a secret's rotation schedule,
// switched on once the secret has a value.
package rotation

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/secretsmanager"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/sdk/spec"
)

const typeToken = "aistudio:secrets:Rotation"

// Args describes a Rotation.
type Args struct {
	SecretARN    pulumi.StringInput
	FunctionARN  pulumi.StringInput
	FunctionName pulumi.StringInput
	Permission   pulumi.Resource   // that lets Secrets Manager invoke the function
	Seed         *spec.SeedRequest // makes the first value, without Step and SecretID; nil: the secret has one
	Schedule     *Schedule         // nil: seed only
}

// Schedule is when the secret is rotated.
type Schedule struct {
	Expression string // rate or cron expression
	Duration   string // window, such as "3h"; "": AWS's default
}

func (a Args) validate() error {
	var errs []error
	if a.SecretARN == nil || a.FunctionARN == nil || a.FunctionName == nil || a.Permission == nil {
		errs = append(errs, errors.New("SecretARN, FunctionARN, FunctionName and Permission are needed"))
	}
	if a.Seed == nil && a.Schedule == nil {
		errs = append(errs, errors.New("neither Seed nor Schedule is there: nothing to do"))
	}
	if a.Seed != nil {
		if a.Seed.Step != "" || a.Seed.SecretID != "" {
			errs = append(errs, errors.New("Seed has Step or SecretID, which the component sets"))
		}
		if err := complete(*a.Seed, "secret").Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	if a.Schedule != nil && a.Schedule.Expression == "" {
		errs = append(errs, errors.New("Schedule.Expression is missing"))
	}
	return errors.Join(errs...)
}

// Rotation seeds a secret and then schedules its rotation.
type Rotation struct {
	pulumi.ResourceState
}

// New registers a Rotation.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*Rotation, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("rotation %s: %w", name, err)
	}
	component := &Rotation{}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}
	before := []pulumi.Resource{args.Permission}
	if args.Seed != nil {
		seed, err := lambda.NewInvocation(ctx, name+"-seed", &lambda.InvocationArgs{
			FunctionName: args.FunctionName,
			Input:        seedInput(args),
		}, pulumi.Parent(component))
		if err != nil {
			return nil, err
		}
		before = append(before, seed)
	}
	if args.Schedule != nil {
		rules := secretsmanager.SecretRotationRotationRulesArgs{
			ScheduleExpression: pulumi.String(args.Schedule.Expression),
		}
		if args.Schedule.Duration != "" {
			rules.Duration = pulumi.String(args.Schedule.Duration)
		}
		if _, err := secretsmanager.NewSecretRotation(ctx, name, &secretsmanager.SecretRotationArgs{
			SecretId:          args.SecretARN,
			RotationLambdaArn: args.FunctionARN.ToStringOutput().ToStringPtrOutput(),
			RotateImmediately: pulumi.Bool(false), // a deployment only tests; rotations keep to the schedule
			RotationRules:     rules,
		}, pulumi.Parent(component), pulumi.DependsOn(before)); err != nil {
			return nil, err
		}
	}
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{})
}

// seedInput is the request to the function. Neither it nor the answer, both of
// which Pulumi keeps, holds a secret.
func seedInput(args Args) pulumi.StringOutput {
	return args.SecretARN.ToStringOutput().ApplyT(func(arn string) (string, error) {
		text, err := json.Marshal(complete(*args.Seed, arn))
		if err != nil {
			return "", fmt.Errorf("write the seed request of %s: %w", arn, err)
		}
		return string(text), nil
	}).(pulumi.StringOutput)
}

func complete(seed spec.SeedRequest, secretID string) spec.SeedRequest {
	seed.Step, seed.SecretID = spec.StepSeed, secretID
	return seed
}
