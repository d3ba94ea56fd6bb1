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
	Function  function.Args // without Allow, which Access tells, and without Standby
	Standby   *Standby      // in Access.ReplicaRegion; nil: nowhere
	CABundle  string        // file with the authorities of what it connects to, deployed as CAFile; "": none
	AccountID string
	Region    string
	Access    Access
}

// Standby is where a function stands by to rotate what is promoted there.
type Standby struct {
	Provider pulumi.ProviderResource // of the region
	Layers   pulumi.StringArray      // ARNs of versions of layers there, in place of Function.Layers
	VPC      *function.VPC           // there, in place of Function.VPC
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
	if a.Standby != nil && a.Access.ReplicaRegion == "" {
		errs = append(errs, errors.New("Standby needs Access.ReplicaRegion"))
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

	StandbyARN pulumi.StringOutput // in the replica's region; empty text: it doesn't stand by

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
	if there := args.Standby; there != nil {
		args.Function.Standby = &function.Standby{Provider: there.Provider, Layers: there.Layers, VPC: there.VPC, Allow: args.Access.standby(args.Region)}
	}
	if args.CABundle != "" {
		if err := component.addAuthorities(ctx, name+"-authorities", &args); err != nil {
			return nil, err
		}
	}
	rotator, err := function.New(ctx, name, args.Function, pulumi.Parent(component))
	if err != nil {
		return nil, err
	}
	component.ARN, component.Name, component.StandbyARN = rotator.ARN, rotator.Name, rotator.StandbyARN
	if component.Permission, err = component.permit(ctx, name, args, rotator.Name); err != nil {
		return nil, err
	}
	if standby := args.Function.Standby; standby != nil {
		if _, err := component.permit(ctx, name+"-standby", args, rotator.StandbyName, pulumi.Provider(standby.Provider)); err != nil {
			return nil, err
		}
	}
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{
		"arn":        component.ARN,
		"name":       component.Name,
		"standbyArn": component.StandbyARN,
	})
}

// permit lets Secrets Manager invoke the function of a region.
func (r *RotationFunction) permit(ctx *pulumi.Context, name string, args Args, function pulumi.StringInput, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	return lambda.NewPermission(ctx, name, &lambda.PermissionArgs{
		StatementId:   pulumi.String("SecretsManager"),
		Action:        pulumi.String("lambda:InvokeFunction"),
		Function:      function,
		Principal:     pulumi.String("secretsmanager.amazonaws.com"),
		SourceAccount: pulumi.String(args.AccountID),
	}, append(opts, pulumi.Parent(r), pulumi.DeleteBeforeReplace(true))...)
}

// addAuthorities gives the function, wherever it is, a layer with its CABundle.
func (r *RotationFunction) addAuthorities(ctx *pulumi.Context, name string, args *Args) error {
	publish := func(name string, opts ...pulumi.ResourceOption) (pulumi.StringInput, error) {
		bundle, err := lambda.NewLayerVersion(ctx, name, &lambda.LayerVersionArgs{
			LayerName:   pulumi.String(args.Function.Name + "-authorities"),
			Description: pulumi.String("The authorities that " + args.Function.Name + " trusts"),
			Code:        pulumi.NewAssetArchive(map[string]any{caName: pulumi.NewFileAsset(args.CABundle)}),
		}, append(opts, pulumi.Parent(r))...)
		if err != nil {
			return nil, err
		}
		return bundle.Arn, nil
	}
	arn, err := publish(name)
	if err != nil {
		return err
	}
	args.Function.Layers = append(slices.Clone(args.Function.Layers), arn)
	if args.Function.Standby == nil {
		return nil
	}
	standby := *args.Function.Standby
	if arn, err = publish(name+"-standby", pulumi.Provider(standby.Provider)); err != nil {
		return err
	}
	standby.Layers = append(slices.Clone(standby.Layers), arn)
	args.Function.Standby = &standby
	return nil
}
