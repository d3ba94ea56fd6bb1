// Package rotationfunction holds the component RotationFunction: the Lambda
// function that rotates all secrets of one kind, and makes their first values.
package rotationfunction

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
)

const typeToken = "aistudio:secrets:RotationFunction"

// Args describes a RotationFunction.
type Args struct {
	FunctionName        string // also the role's name: RoleARN tells its ARN before it is there
	Description         string
	ArchivePath         string // zip that holds the executable "bootstrap"
	Architecture        string // arm64 or x86_64, the archive's
	MemoryMB            int
	TimeoutSeconds      int
	ReservedConcurrency *int // nil: the account's unreserved pool
	LogRetentionDays    int
	Environment         map[string]string
	Layers              []string // ARNs of layer versions
	VPC                 *VPC     // nil: outside of any
	AccountID           string
	Region              string
	Access              Access
	Tags                map[string]string
}

// VPC is where a function reaches its databases.
type VPC struct {
	SubnetIDs        []string
	SecurityGroupIDs []string
}

// RoleARN returns the ARN of the role of a function of that name. Secrets
// Manager's policies can name the role before it is there, which breaks the
// circle of a secret that names its rotator and a rotator that names its
// secrets.
func RoleARN(partition, accountID, functionName string) string {
	return "arn:" + partition + ":iam::" + accountID + ":role/" + functionName
}

func (a Args) validate() error {
	var errs []error
	if a.FunctionName == "" || len(a.FunctionName) > 64 {
		errs = append(errs, fmt.Errorf("FunctionName %q: Lambda takes 1 to 64 characters", a.FunctionName))
	}
	for _, need := range []struct{ field, value string }{
		{"ArchivePath", a.ArchivePath}, {"AccountID", a.AccountID}, {"Region", a.Region},
	} {
		if need.value == "" {
			errs = append(errs, fmt.Errorf("%s is missing", need.field))
		}
	}
	if a.Architecture != "arm64" && a.Architecture != "x86_64" {
		errs = append(errs, fmt.Errorf("Architecture is %q: Lambda takes arm64 or x86_64", a.Architecture))
	}
	if a.MemoryMB < 128 || a.MemoryMB > 10240 {
		errs = append(errs, fmt.Errorf("MemoryMB is %d: Lambda takes 128 to 10240", a.MemoryMB))
	}
	if a.TimeoutSeconds < 1 || a.TimeoutSeconds > 900 {
		errs = append(errs, fmt.Errorf("TimeoutSeconds is %d: Lambda takes 1 to 900", a.TimeoutSeconds))
	}
	if a.LogRetentionDays < 1 {
		errs = append(errs, fmt.Errorf("LogRetentionDays is %d: logs would be kept for ever", a.LogRetentionDays))
	}
	if a.VPC != nil && (len(a.VPC.SubnetIDs) == 0 || len(a.VPC.SecurityGroupIDs) == 0) {
		errs = append(errs, errors.New("VPC needs both SubnetIDs and SecurityGroupIDs"))
	}
	if len(a.Tags) == 0 {
		errs = append(errs, errors.New("Tags is missing"))
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
	// Names are fixed, so a replacement has to wait until the old one is gone.
	child := []pulumi.ResourceOption{pulumi.Parent(component), pulumi.DeleteBeforeReplace(true)}

	logs, err := cloudwatch.NewLogGroup(ctx, name, &cloudwatch.LogGroupArgs{
		Name:            pulumi.String("/aws/lambda/" + args.FunctionName),
		RetentionInDays: pulumi.Int(args.LogRetentionDays),
		Tags:            pulumi.ToStringMap(args.Tags),
	}, child...)
	if err != nil {
		return nil, err
	}
	role, access, err := newRole(ctx, name, args, logs.Arn, child)
	if err != nil {
		return nil, err
	}
	function, err := lambda.NewFunction(ctx, name, functionArgs(args, role, logs),
		append(child, pulumi.DependsOn([]pulumi.Resource{access}))...)
	if err != nil {
		return nil, err
	}
	component.ARN, component.Name = function.Arn, function.Name

	component.Permission, err = lambda.NewPermission(ctx, name, &lambda.PermissionArgs{
		StatementId:   pulumi.String("SecretsManager"),
		Action:        pulumi.String("lambda:InvokeFunction"),
		Function:      function.Name,
		Principal:     pulumi.String("secretsmanager.amazonaws.com"),
		SourceAccount: pulumi.String(args.AccountID),
	}, child...)
	if err != nil {
		return nil, err
	}
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{
		"arn":  component.ARN,
		"name": component.Name,
	})
}

func newRole(ctx *pulumi.Context, name string, args Args, logsARN pulumi.StringOutput, opts []pulumi.ResourceOption) (*iam.Role, *iam.RolePolicy, error) {
	trust, err := policy.Trust([]string{"lambda.amazonaws.com"}, nil).JSON()
	if err != nil {
		return nil, nil, err
	}
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{
		Name:             pulumi.String(args.FunctionName),
		Description:      pulumi.String(args.Description),
		AssumeRolePolicy: pulumi.String(trust),
		Tags:             pulumi.ToStringMap(args.Tags),
	}, opts...)
	if err != nil {
		return nil, nil, err
	}
	access, err := iam.NewRolePolicy(ctx, name, &iam.RolePolicyArgs{
		Name:   pulumi.String("rotate"),
		Role:   role.Name,
		Policy: rolePolicy(args, logsARN),
	}, opts...)
	return role, access, err
}

func functionArgs(args Args, role *iam.Role, logs *cloudwatch.LogGroup) *lambda.FunctionArgs {
	function := &lambda.FunctionArgs{
		Name:          pulumi.String(args.FunctionName),
		Description:   pulumi.String(args.Description),
		Runtime:       pulumi.String("provided.al2023"),
		Handler:       pulumi.String("bootstrap"),
		Code:          pulumi.NewFileArchive(args.ArchivePath),
		Architectures: pulumi.ToStringArray([]string{args.Architecture}),
		MemorySize:    pulumi.Int(args.MemoryMB),
		Timeout:       pulumi.Int(args.TimeoutSeconds),
		Role:          role.Arn,
		Layers:        pulumi.ToStringArray(args.Layers),
		LoggingConfig: lambda.FunctionLoggingConfigArgs{
			LogFormat: pulumi.String("JSON"),
			LogGroup:  logs.Name,
		},
		TracingConfig: lambda.FunctionTracingConfigArgs{Mode: pulumi.String("Active")},
		Tags:          pulumi.ToStringMap(args.Tags),
	}
	if len(args.Environment) > 0 {
		function.Environment = lambda.FunctionEnvironmentArgs{Variables: pulumi.ToStringMap(args.Environment)}
	}
	if args.ReservedConcurrency != nil {
		function.ReservedConcurrentExecutions = pulumi.Int(*args.ReservedConcurrency)
	}
	if args.VPC != nil {
		function.VpcConfig = lambda.FunctionVpcConfigArgs{
			SubnetIds:        pulumi.ToStringArray(args.VPC.SubnetIDs),
			SecurityGroupIds: pulumi.ToStringArray(args.VPC.SecurityGroupIDs),
		}
	}
	return function
}
