// Package servicereader holds the component ServiceReader: a role for a service
// that reads secrets and has none of its own.
package servicereader

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
)

const typeToken = "aistudio:secrets:ServiceReader"

// Args describes a ServiceReader.
type Args struct {
	RoleName   string
	Services   []string // AWS services that may take the role on, such as "lambda.amazonaws.com"
	Principals []string // ARNs of users, roles or the account that may
	Tags       map[string]string
}

func (a Args) validate() error {
	var errs []error
	if a.RoleName == "" || len(a.RoleName) > 64 {
		errs = append(errs, fmt.Errorf("RoleName %q: IAM takes 1 to 64 characters", a.RoleName))
	}
	if len(a.Services)+len(a.Principals) == 0 {
		errs = append(errs, errors.New("Services and Principals are missing: nobody could take the role on"))
	}
	if len(a.Tags) == 0 {
		errs = append(errs, errors.New("Tags is missing"))
	}
	return errors.Join(errs...)
}

// ServiceReader is a role without permissions of its own: each secret that it
// may read attaches its reader policy.
type ServiceReader struct {
	pulumi.ResourceState

	RoleARN  pulumi.StringOutput
	RoleName pulumi.StringOutput
}

// New registers a ServiceReader.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*ServiceReader, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("service reader %s: %w", name, err)
	}
	component := &ServiceReader{}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}
	trust, err := policy.Trust(args.Services, args.Principals).JSON()
	if err != nil {
		return nil, err
	}
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{
		Name:             pulumi.String(args.RoleName),
		Description:      pulumi.String("Reads the secrets that list the service as a reader"),
		AssumeRolePolicy: pulumi.String(trust),
		Tags:             pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(component))
	if err != nil {
		return nil, err
	}
	component.RoleARN, component.RoleName = role.Arn, role.Name
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{
		"roleArn":  component.RoleARN,
		"roleName": component.RoleName,
	})
}
