package validate

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

type parameterReader interface {
	GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error)
}

// readPlace returns what an old place holds now, or nil if it is gone.
func (v *validation) readPlace(ctx context.Context, p plan.Place) (*spec.Value, error) {
	read := map[spec.ScanPlace]func(context.Context, plan.Place) (*spec.Value, error){
		spec.ScanLambda: v.readVariable, spec.ScanECS: v.readContainer, spec.ScanSSM: v.readParameter,
	}[p.In]
	value, err := read(ctx, p)
	if err != nil && gone(err) {
		return nil, nil
	}
	return value, err
}

func (v *validation) readVariable(ctx context.Context, p plan.Place) (*spec.Value, error) {
	out, err := v.functions.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &p.ID})
	if err != nil || out.Environment == nil {
		return nil, err
	}
	if out.Environment.Error != nil {
		return nil, fmt.Errorf("the environment can't be decrypted: %s", aws.ToString(out.Environment.Error.ErrorCode))
	}
	return held(out.Environment.Variables, p.Variable), nil
}

func (v *validation) readContainer(ctx context.Context, p plan.Place) (*spec.Value, error) {
	out, err := v.tasks.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &p.ID})
	if err != nil {
		if code(err) == "ClientException" { // ECS's way to say that there is none
			return nil, nil
		}
		return nil, err
	}
	for _, c := range out.TaskDefinition.ContainerDefinitions {
		if aws.ToString(c.Name) != p.Container {
			continue
		}
		for _, pair := range c.Environment {
			if aws.ToString(pair.Name) == p.Variable {
				value := spec.ValueString(aws.ToString(pair.Value))
				return &value, nil
			}
		}
	}
	return nil, nil
}

func (v *validation) readParameter(ctx context.Context, p plan.Place) (*spec.Value, error) {
	out, err := v.parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: &p.ID, WithDecryption: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	value := spec.ValueString(aws.ToString(out.Parameter.Value))
	return &value, nil
}

func held(variables map[string]string, name string) *spec.Value {
	text, ok := variables[name]
	if !ok {
		return nil
	}
	value := spec.ValueString(text)
	return &value
}

// name tells people which place it is.
func name(p plan.Place) string {
	switch p.In {
	case spec.ScanLambda:
		return p.Variable + " of function " + p.ID
	case spec.ScanECS:
		return p.Variable + " of container " + p.Container + " in " + p.ID
	default:
		return "parameter " + p.ID
	}
}
