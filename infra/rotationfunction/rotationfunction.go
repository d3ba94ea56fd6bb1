// Package rotationfunction holds the component RotationFunction: the Lambda
// function that rotates secrets of one kind, and makes their first values.
package rotationfunction

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/function"
)

const typeToken = "aistudio:secrets:RotationFunction"

// Args describes a RotationFunction.
type Args struct {
	Function  function.Args // without Allow, which Access tells
	CABundle  string        // file with the authorities of what it connects to, deployed as CAFile; "": none
	AccountID string
	Region    string
	Access    Access
}

// CAFile is where a function finds its CABundle: Lambda unpacks layers to /opt.
const CAFile = "/opt/" + caName

const caName = "ca.pem"

func (a Args) validate() error {
	errs := []error{a.Function.Validate()}
	for _, need := range []struct{ field, value string }{
		{"AccountID", a.AccountID}, {"Region", a.Region},
	} {
		if need.value == "" {
			errs = append(errs, fmt.Errorf("%s is missing", need.field))
		}
	}
	errs = append(errs, a.Access.validate()...)
	return errors.Join(errs...)
}

// RotationFunction is a function that Secrets Manager may invoke, with a role
// that reaches its own secrets and their key.
type RotationFunction struct {
	pulumi.ResourceState

	ARN  pulumi.StringOutput
	Name pulumi.StringOutput

	// Permission lets Secrets Manager invoke the function. AWS refuses to switch
	// rotation on before it is there.
	Permission pulumi.Resource
}

// New registers a RotationFunction.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*RotationFunction, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("rotation function %s: %w", name, err)
	}
	component := &RotationFunction{}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}
	args.Function.Allow = args.Access.statements(args.Region)
	if args.CABundle != "" {
		bundle, err := lambda.NewLayerVersion(ctx, name+"-authorities", &lambda.LayerVersionArgs{
			LayerName:   pulumi.String(args.Function.Name + "-authorities"),
			Description: pulumi.String("The authorities that " + args.Function.Name + " trusts"),
			Code:        pulumi.NewAssetArchive(map[string]any{caName: pulumi.NewFileAsset(args.CABundle)}),
		}, pulumi.Parent(component))
		if err != nil {
			return nil, err
		}
		args.Function.Layers = append(slices.Clone(args.Function.Layers), bundle.Arn)
	}
	rotator, err := function.New(ctx, name, args.Function, pulumi.Parent(component))
	if err != nil {
		return nil, err
	}
	component.ARN, component.Name = rotator.ARN, rotator.Name

	component.Permission, err = lambda.NewPermission(ctx, name, &lambda.PermissionArgs{
		StatementId:   pulumi.String("SecretsManager"),
		Action:        pulumi.String("lambda:InvokeFunction"),
		Function:      rotator.Name,
		Principal:     pulumi.String("secretsmanager.amazonaws.com"),
		SourceAccount: pulumi.String(args.AccountID),
	}, pulumi.Parent(component), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return nil, err
	}
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{
		"arn":  component.ARN,
		"name": component.Name,
	})
}
