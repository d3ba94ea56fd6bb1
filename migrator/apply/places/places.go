// Package places reads secret values from where they are before a migration:
// variables of Lambda functions, variables of containers, and SSM parameters.
package places

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/aistudio/secrets/migrator/apply/functions"
	"github.com/aistudio/secrets/migrator/apply/refusal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

// ErrGone is returned when a place isn't there, or doesn't hold the variable.
var ErrGone = errors.New("it is gone")

type parameters interface {
	GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error)
}

type definitions interface {
	DescribeTaskDefinition(context.Context, *ecs.DescribeTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error)
}

type variables interface {
	Value(ctx context.Context, function, variable string) (spec.Value, bool, error)
}

// Reader reads places. It is safe for concurrent use.
type Reader struct {
	functions   variables
	definitions definitions
	parameters  parameters
}

// New returns a reader of the places in the configuration's account and region.
func New(config aws.Config, f *functions.Functions) *Reader {
	return &Reader{functions: f, definitions: ecs.NewFromConfig(config), parameters: ssm.NewFromConfig(config)}
}

// Read returns what the place holds now, or ErrGone.
func (r *Reader) Read(ctx context.Context, p plan.Place) (spec.Value, error) {
	value, there, err := r.read(ctx, p)
	switch {
	case err != nil:
		return spec.Value{}, fmt.Errorf("read %s: %w", Name(p), err)
	case !there:
		return spec.Value{}, fmt.Errorf("read %s: %w", Name(p), ErrGone)
	}
	return value, nil
}

// Name names the place for people.
func Name(p plan.Place) string {
	switch p.In {
	case spec.ScanLambda:
		return "variable " + p.Variable + " of Lambda function " + p.ID
	case spec.ScanECS:
		return "variable " + p.Variable + " of container " + p.Container + " in " + p.ID
	default:
		return "parameter " + p.ID
	}
}

func (r *Reader) read(ctx context.Context, p plan.Place) (spec.Value, bool, error) {
	switch p.In {
	case spec.ScanLambda:
		value, there, err := r.functions.Value(ctx, p.ID, p.Variable)
		if missing := (&lambdatypes.ResourceNotFoundException{}); errors.As(err, &missing) {
			return spec.Value{}, false, nil
		}
		return value, there, err
	case spec.ScanECS:
		return r.variable(ctx, p)
	case spec.ScanSSM:
		return r.parameter(ctx, p.ID)
	default:
		return spec.Value{}, false, fmt.Errorf("the plan names a place of the kind %q, which there isn't", p.In)
	}
}

func (r *Reader) variable(ctx context.Context, p plan.Place) (spec.Value, bool, error) {
	out, err := r.definitions.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &p.ID})
	if missing := (&ecstypes.ClientException{}); errors.As(err, &missing) { // ECS has no other sign of it
		return spec.Value{}, false, nil
	}
	if err != nil {
		return spec.Value{}, false, refusal.Of(err)
	}
	for _, c := range out.TaskDefinition.ContainerDefinitions {
		if aws.ToString(c.Name) != p.Container {
			continue
		}
		for _, pair := range c.Environment {
			if aws.ToString(pair.Name) == p.Variable {
				return spec.ValueString(aws.ToString(pair.Value)), true, nil
			}
		}
	}
	return spec.Value{}, false, nil
}

func (r *Reader) parameter(ctx context.Context, name string) (spec.Value, bool, error) {
	out, err := r.parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
	if missing := (&ssmtypes.ParameterNotFound{}); errors.As(err, &missing) {
		return spec.Value{}, false, nil
	}
	if err != nil {
		return spec.Value{}, false, refusal.Of(err)
	}
	return spec.ValueString(aws.ToString(out.Parameter.Value)), true, nil
}
